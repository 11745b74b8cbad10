"""A plot of how well readers tell real from synthetic."""

from __future__ import annotations

from collections.abc import Iterator

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter, QPaintEvent, QPalette, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_nudiff.dataset.reader_study import Reader, Share
from napari_nudiff.ui.widgets.accent import EOSIN, HEMATOXYLIN_LIGHT

_MARKS = {"accuracy": HEMATOXYLIN_LIGHT, "sensitivity": EOSIN, "specificity": "#2a9d8f"}
_ROW_PX, _MARK_PX, _LINE_PX = 46, 4, 12
_LEFT_PX, _RIGHT_PX, _TOP_PX, _BOTTOM_PX = 82, 20, 6, 44
_PRINT_WIDTH_PX, _PRINT_MARGIN_PX, _PRINT_FINER = 680, 12, 3


class StudyPlot(QWidget):
    """For each reader three shares with their intervals, and the line of mere guessing."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._readers: tuple[Reader, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def show_readers(self, readers: tuple[Reader, ...]) -> None:
        """Draw other readers."""
        self._readers = readers
        self.setFixedHeight(self._height_px())
        self.setVisible(bool(readers))
        self.update()

    def picture(self) -> QImage:
        """The plot on white, for a file."""
        width, height = (
            _PRINT_FINER * (side + 2 * _PRINT_MARGIN_PX)
            for side in (_PRINT_WIDTH_PX, self._height_px())
        )
        image = QImage(width, height, QImage.Format.Format_RGB32)
        image.fill(QColor("white"))
        painter = QPainter(image)
        painter.scale(_PRINT_FINER, _PRINT_FINER)
        painter.translate(_PRINT_MARGIN_PX, _PRINT_MARGIN_PX)
        self._paint(painter, _PRINT_WIDTH_PX, QColor("#222222"))
        painter.end()
        return image

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw it in the theme's colour of text."""
        painter = QPainter(self)
        self._paint(painter, self.width(), self.palette().color(QPalette.ColorRole.WindowText))
        painter.end()

    def _height_px(self) -> int:
        return _TOP_PX + _BOTTOM_PX + _ROW_PX * len(self._readers)

    def _paint(self, painter: QPainter, width: int, ink: QColor) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = QFont(self.font())
        font.setPointSize(8)
        painter.setFont(font)
        right, bottom = width - _RIGHT_PX, self._height_px() - _BOTTOM_PX
        self._paint_axis(painter, right, bottom, ink)
        for row, reader in enumerate(self._readers):
            middle = _TOP_PX + (row + 0.5) * _ROW_PX
            self._paint_name(painter, reader.name, middle, ink)
            for colour, found, y in _marks(reader, middle):
                _paint_share(painter, found, y, right, colour)
        self._paint_legend(painter, bottom, ink)

    def _paint_axis(self, painter: QPainter, right: int, bottom: int, ink: QColor) -> None:
        faint = QColor(ink)
        faint.setAlphaF(0.35)
        for value in (0.0, 0.25, 0.5, 0.75, 1.0):
            x = _x(value, right)
            style = Qt.PenStyle.DashLine if value == 0.5 else Qt.PenStyle.SolidLine
            faint.setAlphaF(0.7 if value == 0.5 else 0.2)
            painter.setPen(QPen(faint, 1, style))
            painter.drawLine(QPointF(x, _TOP_PX), QPointF(x, bottom))
            painter.setPen(ink)
            frame = QRectF(x - 30, bottom + 2, 60, 14)
            painter.drawText(frame, Qt.AlignmentFlag.AlignCenter, f"{value * 100:.0f} %")

    def _paint_name(self, painter: QPainter, name: str, middle: float, ink: QColor) -> None:
        painter.setPen(ink)
        space = _LEFT_PX - 10
        metrics = QFontMetricsF(painter.font())
        text = metrics.elidedText(name, Qt.TextElideMode.ElideRight, space)
        align = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(QRectF(0, middle - 10, space, 20), align, text)

    def _paint_legend(self, painter: QPainter, bottom: int, ink: QColor) -> None:
        x, y = float(_LEFT_PX) - 4, bottom + 30.0
        metrics = QFontMetricsF(painter.font())
        for name, colour in _MARKS.items():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colour))
            painter.drawEllipse(QPointF(x, y), _MARK_PX, _MARK_PX)
            painter.setPen(ink)
            painter.drawText(QPointF(x + 8, y + metrics.ascent() / 2 - 1), name)
            x += metrics.horizontalAdvance(name) + 22


def _marks(reader: Reader, middle: float) -> Iterator[tuple[str, Share, float]]:
    for place, (name, colour) in enumerate(_MARKS.items()):
        yield colour, getattr(reader, name), middle + (place - 1) * _LINE_PX


def _paint_share(painter: QPainter, found: Share, y: float, right: int, colour: str) -> None:
    if not found.total:
        return
    painter.setPen(QPen(QColor(colour), 2))
    painter.drawLine(QPointF(_x(found.low, right), y), QPointF(_x(found.high, right), y))
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colour))
    painter.drawEllipse(QPointF(_x(found.value, right), y), _MARK_PX, _MARK_PX)


def _x(value: float, right: int) -> float:
    return _LEFT_PX + value * (right - _LEFT_PX)
