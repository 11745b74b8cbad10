"""A part of a panel that folds away."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QSizePolicy, QVBoxLayout, QWidget


class Section(QWidget):
    """A heading that shows and hides a widget below it.

    Its arrow is text, so that it follows the theme.

    Parameters
    ----------
    title : str
    content : QWidget
    """

    toggled = Signal(bool)

    def __init__(self, title: str, content: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title, self.content = title, content
        self.heading = QPushButton()
        self.heading.setCheckable(True)
        self.heading.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.heading.setStyleSheet(
            "QPushButton { text-align: left; background: transparent; padding: 3px 0px; }"
            "QPushButton:hover { text-decoration: underline; }"
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.heading)
        layout.addWidget(content)
        self.heading.toggled.connect(self._on_toggled)
        self._on_toggled(False)

    def expand(self, expanded: bool = True) -> None:
        """Show or hide the content."""
        self.heading.setChecked(expanded)

    def _on_toggled(self, expanded: bool) -> None:
        self.heading.setText(f"{'▾' if expanded else '▸'}  {self._title}")
        self.content.setVisible(expanded)
        self.toggled.emit(expanded)
