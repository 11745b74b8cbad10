"""A button with a small drawing on it."""

from __future__ import annotations

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPalette, QPen
from qtpy.QtWidgets import QPushButton, QWidget

from napari_nudiff.ui.widgets.accent import HEMATOXYLIN
from napari_nudiff.ui.widgets.glyphs import GLYPHS, SIDE

_SIZE_PX = 28, 28
_STROKE_PX = 1.4
_DISABLED_OPACITY = 0.35


class GlyphButton(QPushButton):
    """Painted in the theme's text colour; a click leaves the keyboard's focus where it is.

    Parameters
    ----------
    glyph : str
        A name of `GLYPHS`.
    name : str
        For screen readers, and the first line of the tooltip.
    tooltip : str
        What it does, and its key.
    checkable : bool
    """

    def __init__(
        self,
        glyph: str,
        name: str,
        tooltip: str,
        *,
        checkable: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._glyph = GLYPHS[glyph]
        self.setCheckable(checkable)
        self.setFixedSize(QSize(*_SIZE_PX))
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAccessibleName(name)
        self.setToolTip(f"<b>{name}</b><br>{tooltip}")
        self.setStyleSheet(
            f"QPushButton:checked {{ background-color: {HEMATOXYLIN}; }}"
            "QPushButton::menu-indicator { image: none; width: 0px; }"
        )

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the button, and on it the drawing."""
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        text = self.palette().color(QPalette.ColorRole.ButtonText)
        colour = QColor("white") if self.isChecked() else text
        painter.setOpacity(1.0 if self.isEnabled() else _DISABLED_OPACITY)
        round_ends = Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin
        painter.setPen(QPen(colour, _STROKE_PX, Qt.PenStyle.SolidLine, *round_ends))
        painter.translate(QRectF(self.rect()).center() - QPointF(SIDE / 2, SIDE / 2))
        self._glyph(painter)
        painter.end()
