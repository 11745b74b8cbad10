"""Text beside and above the controls."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGraphicsOpacityEffect, QLabel, QWidget


class Caption(QLabel):
    """A small, wrapped, quiet line below a control."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setStyleSheet("Caption { font-size: 8pt; padding: 0px; }")
        effect = QGraphicsOpacityEffect(self)
        effect.setOpacity(0.72)
        self.setGraphicsEffect(effect)
