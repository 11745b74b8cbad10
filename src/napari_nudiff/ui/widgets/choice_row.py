"""Buttons in a row, one of which is chosen."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QWidget

from napari_nudiff.ui.widgets.accent import HEMATOXYLIN

_STYLE = (
    "QPushButton { padding: 3px 0px; }"
    f"QPushButton:checked {{ background-color: {HEMATOXYLIN}; color: white; font-weight: 600; }}"
)


class ChoiceRow(QWidget):
    """Buttons that leave the focus where it is: the keys are quicker.

    Parameters
    ----------
    texts : sequence of str
        What is on the buttons.
    tooltips : sequence of str
    """

    chosen = Signal(int)  # place in the row, from 0

    def __init__(
        self, texts: Sequence[str], tooltips: Sequence[str], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.buttons = [QPushButton(text) for text in texts]
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for place, (button, tooltip) in enumerate(zip(self.buttons, tooltips, strict=True)):
            button.setCheckable(True)
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            button.setStyleSheet(_STYLE)
            button.setToolTip(tooltip)
            button.clicked.connect(lambda _, place=place: self._on_clicked(place))
            layout.addWidget(button, 1)
        self._place: int | None = None

    def show_choice(self, place: int | None) -> None:
        """Show which one is chosen; None = none yet."""
        self._place = place
        for number, button in enumerate(self.buttons):
            button.setChecked(number == place)

    def choice(self) -> int | None:
        """Which one is shown as chosen."""
        return self._place

    def _on_clicked(self, place: int) -> None:
        self.show_choice(self._place)  # until the owner decides otherwise
        self.chosen.emit(place)
