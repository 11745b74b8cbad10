"""Four numbers of pixels, one for each side of a canvas."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QSpinBox, QWidget

_MAX_PX = 4096
_PLACES = {"Top": (0, 0), "Right": (0, 2), "Bottom": (1, 0), "Left": (1, 2)}


class SidesEdit(QWidget):
    """How much to add at the top, right, bottom and left."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setHorizontalSpacing(8)
        layout.setVerticalSpacing(6)
        self._numbers = [self._add(layout, name) for name in _PLACES]
        layout.setColumnStretch(1, 1)
        layout.setColumnStretch(3, 1)

    def sides_px(self) -> tuple[int, int, int, int]:
        """Top, right, bottom, left."""
        top, right, bottom, left = (number.value() for number in self._numbers)
        return top, right, bottom, left

    def set_sides_px(self, *sides_px: int) -> None:
        """Top, right, bottom, left."""
        for number, value in zip(self._numbers, sides_px, strict=True):
            number.setValue(value)

    def _add(self, layout: QGridLayout, name: str) -> QSpinBox:
        row, column = _PLACES[name]
        number = QSpinBox(maximum=_MAX_PX, singleStep=32)
        number.setToolTip(f"{name}: pixels to add there, 0 to {_MAX_PX}.")
        number.setAccessibleName(name)
        number.setStyleSheet("QSpinBox { min-width: 44px; }")  # two fit a narrow dock
        number.valueChanged.connect(self.changed)
        layout.addWidget(QLabel(name), row, column, Qt.AlignmentFlag.AlignVCenter)
        layout.addWidget(number, row, column + 1)
        return number
