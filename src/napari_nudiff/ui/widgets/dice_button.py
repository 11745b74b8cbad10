"""A button that is a die."""

from __future__ import annotations

import random

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QPainter, QPaintEvent, QPalette
from qtpy.QtWidgets import QPushButton, QWidget

_PIPS = {
    1: [(0, 0)],
    2: [(-1, -1), (1, 1)],
    3: [(-1, -1), (0, 0), (1, 1)],
    4: [(-1, -1), (1, 1), (-1, 1), (1, -1)],
    5: [(-1, -1), (1, 1), (-1, 1), (1, -1), (0, 0)],
    6: [(-1, -1), (-1, 0), (-1, 1), (1, -1), (1, 0), (1, 1)],
}


class DiceButton(QPushButton):
    """Rolls when clicked; painted in the theme's text colour."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._face = 5
        self.setFixedSize(QSize(28, 26))
        self.setAccessibleName("Draw a random seed")
        self.clicked.connect(self._on_clicked)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the button, and on it a die."""
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colour = self.palette().color(QPalette.ColorRole.ButtonText)
        painter.setPen(colour)
        centre = QRectF(self.rect()).center()
        painter.drawRoundedRect(QRectF(centre.x() - 8, centre.y() - 8, 16, 16), 3.5, 3.5)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        for x, y in _PIPS[self._face]:
            painter.drawEllipse(centre + QPointF(4.2 * x, 4.2 * y), 1.6, 1.6)
        painter.end()

    def _on_clicked(self) -> None:
        self._face = random.choice([face for face in _PIPS if face != self._face])
        self.update()
