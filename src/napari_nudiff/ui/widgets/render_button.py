"""The one big button."""

from __future__ import annotations

from qtpy.QtWidgets import QPushButton, QSizePolicy, QWidget

from napari_nudiff.ui.widgets.accent import HEMATOXYLIN, HEMATOXYLIN_DARK, HEMATOXYLIN_LIGHT


class RenderButton(QPushButton):
    """The main action of a dock."""

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumHeight(34)
        self.setStyleSheet(
            f"QPushButton {{ background-color: {HEMATOXYLIN}; color: white; font-weight: 600; "
            "border-radius: 4px; font-size: 11pt; }"
            f"QPushButton:hover {{ background-color: {HEMATOXYLIN_LIGHT}; }}"
            f"QPushButton:pressed {{ background-color: {HEMATOXYLIN_DARK}; }}"
            "QPushButton:disabled { background-color: rgba(111, 82, 173, 120); "
            "color: rgba(255, 255, 255, 190); border: 0px; }"
        )
