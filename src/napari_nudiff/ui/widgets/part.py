"""A part of a dock: a heading that folds what is below it."""

from __future__ import annotations

from qtpy.QtGui import QFont
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_nudiff.ui.widgets.accent import HEMATOXYLIN_LIGHT


class Part(QWidget):
    """A heading in spaced capitals over a thin line, and a panel below it.

    Parameters
    ----------
    title : str
    content : QWidget
    """

    def __init__(self, title: str, content: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title, self.content = title.upper(), content
        self.heading = QPushButton(self._title)
        self.heading.setCheckable(True)
        self.heading.setChecked(True)
        self.heading.setToolTip("Fold or unfold this part.")
        self.heading.setStyleSheet(
            "QPushButton { text-align: left; background: transparent; font-weight: 600; "
            "font-size: 8pt; padding: 2px 0px 3px 0px; border: 0px; border-radius: 0px; "
            f"border-bottom: 1px solid {HEMATOXYLIN_LIGHT}; }}"
        )
        font = QFont(self.heading.font())
        font.setLetterSpacing(QFont.SpacingType.AbsoluteSpacing, 1.2)
        self.heading.setFont(font)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.heading)
        layout.addWidget(content)
        self.heading.toggled.connect(self._on_toggled)

    def expand(self, expanded: bool = True) -> None:
        """Show or hide the content."""
        self.heading.setChecked(expanded)

    def _on_toggled(self, expanded: bool) -> None:
        self.heading.setText(self._title if expanded else f"{self._title}  …")
        self.content.setVisible(expanded)
