"""A seed with a die beside it."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QSpinBox, QWidget

from napari_nudiff.ui.widgets.dice_button import DiceButton


class SeedEdit(QWidget):
    """A number, and a button that asks for another one."""

    valueChanged = Signal(int)
    dice_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.number, self.dice = QSpinBox(), DiceButton()
        self.number.setRange(0, 2**31 - 1)
        self.number.setToolTip("The same seed, layout and settings give the same image again.")
        self.dice.setToolTip("Another seed: another tissue around the same nuclei.")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.number, 1)
        layout.addWidget(self.dice)
        self.number.valueChanged.connect(self.valueChanged)
        self.dice.clicked.connect(self.dice_requested)

    def value(self) -> int:
        """The seed."""
        return int(self.number.value())

    def setValue(self, value: int) -> None:
        """Show a seed."""
        self.number.setValue(value)
