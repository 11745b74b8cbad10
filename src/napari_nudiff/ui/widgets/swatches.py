"""A row of little pictures of stains, one of which is chosen."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import QRectF, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPainterPath, QPaintEvent, QPen
from qtpy.QtWidgets import QAbstractButton, QButtonGroup, QHBoxLayout, QWidget

from napari_nudiff.ui.widgets.accent import HEMATOXYLIN_LIGHT

Colours = list[tuple[int, int, int]]  # of gaps, of tissue, of nuclei
_SIDE_PX = 24


class Swatch(QAbstractButton):
    """Tissue with two nuclei in the colours of a stain; a dash where there is none.

    It only shows, until it is made choosable.
    """

    def __init__(self, colours: Colours | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._colours = colours
        self.setFixedSize(_SIDE_PX, _SIDE_PX)
        self.setEnabled(False)

    def make_choosable(self) -> None:
        """Let it be clicked, and show whether it is chosen."""
        self.setEnabled(True)
        self.setCheckable(True)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def show_colours(self, colours: Colours | None) -> None:
        """Show another stain."""
        self._colours = colours
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw it."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = QRectF(self.rect()).adjusted(2, 2, -2, -2)
        path = QPainterPath()
        path.addRoundedRect(frame, 4, 4)
        painter.setClipPath(path)
        if self._colours is None:
            painter.fillRect(frame, QColor(128, 128, 128, 60))
            painter.setPen(self.palette().text().color())
            painter.drawText(frame, Qt.AlignmentFlag.AlignCenter, "–")
        else:
            self._paint_tissue(painter, frame, self._colours)
        painter.setClipping(False)
        if self.isChecked() or self.hasFocus():
            painter.setPen(QPen(QColor(HEMATOXYLIN_LIGHT), 2.5 if self.isChecked() else 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(frame, 4, 4)
        painter.end()

    @staticmethod
    def _paint_tissue(painter: QPainter, frame: QRectF, colours: Colours) -> None:
        gap, tissue, nucleus = (QColor(*colour) for colour in colours)
        painter.fillRect(frame, tissue)
        painter.setPen(Qt.PenStyle.NoPen)
        width, height = frame.width(), frame.height()
        for colour, x, y, w, h in (
            (gap, 0.55, -0.15, 0.6, 0.4),
            (nucleus, 0.12, 0.2, 0.4, 0.33),
            (nucleus, 0.5, 0.52, 0.34, 0.38),
        ):
            painter.setBrush(colour)
            left, top = frame.left() + x * width, frame.top() + y * height
            painter.drawEllipse(QRectF(left, top, w * width, h * height))


class Swatches(QWidget):
    """Stains to choose from.

    Parameters
    ----------
    stains : mapping of str to list of (int, int, int), or None
        Colours by name; None for "as it comes".
    """

    valueChanged = Signal(str)

    def __init__(self, stains: Mapping[str, Colours | None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.buttons = {name: Swatch(colours) for name, colours in stains.items()}
        self._group = QButtonGroup(self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        for name, button in self.buttons.items():
            button.make_choosable()
            button.setToolTip(name.capitalize() or "As it comes: the model chooses.")
            button.setAccessibleName(name or "as it comes")
            button.clicked.connect(lambda _, name=name: self.valueChanged.emit(name))
            self._group.addButton(button)
            layout.addWidget(button)
        layout.addStretch(1)

    def value(self) -> str:
        """The name of the chosen one; "" = none."""
        return next((name for name, button in self.buttons.items() if button.isChecked()), "")

    def setValue(self, name: str) -> None:
        """Show one as chosen."""
        self.buttons[name].setChecked(True)
