"""Height and width of a new layout."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QLabel, QSpinBox, QWidget


class SizeEdit(QWidget):
    """Two numbers of pixels."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.height_px, self.width_px = QSpinBox(), QSpinBox()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for number, name in ((self.height_px, "Height"), (self.width_px, "Width")):
            number.setRange(64, 8192)
            number.setSingleStep(64)
            number.setToolTip(f"{name} in pixels, 64 to 8192.")
            number.setAccessibleName(name)
            number.setStyleSheet("QSpinBox { min-width: 44px; }")  # two fit a narrow dock
        layout.addWidget(self.height_px, 1)
        layout.addWidget(QLabel("×"))
        layout.addWidget(self.width_px, 1)
