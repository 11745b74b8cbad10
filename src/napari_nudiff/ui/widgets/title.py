"""Title of a part of a dock."""

from __future__ import annotations

from qtpy.QtGui import QFont
from qtpy.QtWidgets import QLabel, QWidget

from napari_nudiff.ui.widgets.accent import HEMATOXYLIN_LIGHT


class Title(QLabel):
    """A title in spaced capitals over a thin line."""

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(text.upper(), parent)
        self.setStyleSheet(
            "Title { font-weight: 600; font-size: 8pt; padding: 2px 0px 3px 0px; "
            f"border-bottom: 1px solid {HEMATOXYLIN_LIGHT}; }}"
        )
        font = self.font()
        font.setLetterSpacing(QFont.SpacingType.AbsoluteSpacing, 1.2)
        self.setFont(font)
