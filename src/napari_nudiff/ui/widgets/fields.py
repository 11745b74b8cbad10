"""Rows of labelled controls that fit a narrow dock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QGridLayout, QLabel, QSizePolicy, QWidget
from superqt import QLabeledDoubleSlider

LABEL_WIDTH_PX = 82


class Fields(QGridLayout):
    """A grid of labels and controls; a label explains what its control does."""

    def __init__(self) -> None:
        super().__init__()
        self.setContentsMargins(0, 0, 0, 0)
        self.setHorizontalSpacing(8)
        self.setVerticalSpacing(6)
        self.setColumnMinimumWidth(0, LABEL_WIDTH_PX)
        self.setColumnStretch(1, 1)

    def add(self, text: str, control: QWidget, tooltip: str = "") -> None:
        """Add a row."""
        row = self.rowCount()
        label = QLabel(text)
        label.setBuddy(control)
        label.setToolTip(tooltip)
        if tooltip:
            control.setToolTip(tooltip)
        self.addWidget(label, row, 0, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.addWidget(control, row, 1)

    def show(self, control: QWidget, shown: bool) -> None:
        """Show or hide the row of a control."""
        row, *_ = self.getItemPosition(self.indexOf(control))
        for column in range(self.columnCount()):
            item = self.itemAtPosition(row, column)
            if item is not None:
                item.widget().setVisible(shown)

    def add_below(self, widget: QWidget) -> None:
        """Add a widget in the column of the controls."""
        self.addWidget(widget, self.rowCount(), 1)


def shrinkable(combo: QComboBox) -> QComboBox:
    """Let a combo box be narrower than its longest item."""
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(6)
    combo.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return combo


def choice(items: Mapping[Any, str]) -> QComboBox:
    """A combo box of values and what to call them."""
    combo = shrinkable(QComboBox())
    for value, text in items.items():
        combo.addItem(text, value)
    return combo


def slider(low: float, high: float, step: float, decimals: int) -> QLabeledDoubleSlider:
    """A slider with its number beside it."""
    made = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
    made.setRange(low, high)
    made.setSingleStep(step)
    made.setDecimals(decimals)
    return made
