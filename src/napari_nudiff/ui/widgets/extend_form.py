"""How to make a canvas larger."""

from __future__ import annotations

from typing import NamedTuple

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QPushButton, QVBoxLayout, QWidget

from napari_nudiff.ui.widgets.sides_edit import SidesEdit

_DEFAULT_PX = 128
_CONTINUE = "let the model continue the nuclei"


class Extension(NamedTuple):
    """What to add around a layout.

    Attributes
    ----------
    top_px, right_px, bottom_px, left_px : int
    continued : bool
        Whether the structure model draws nuclei there; else it is empty.
    """

    top_px: int
    right_px: int
    bottom_px: int
    left_px: int
    continued: bool


class ExtendForm(QWidget):
    """Pixels at the four sides, and whether nuclei are drawn there."""

    extend_requested = Signal(object)  # Extension

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.sides, self.continued = SidesEdit(), QCheckBox(_CONTINUE)
        self.extend = QPushButton("Extend")
        self.sides.set_sides_px(0, _DEFAULT_PX, 0, 0)
        self.continued.setChecked(True)
        self.continued.setToolTip("Otherwise the new part is empty, for you to paint in.")
        self.extend.setToolTip("Adds a new, larger layer; this one stays as it is.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        for widget in (self.sides, self.continued, self.extend):
            layout.addWidget(widget)
        self.sides.changed.connect(self._on_changed)
        self.extend.clicked.connect(self._on_extend)

    def _on_changed(self) -> None:
        self.extend.setEnabled(any(self.sides.sides_px()))

    def _on_extend(self) -> None:
        self.extend_requested.emit(Extension(*self.sides.sides_px(), self.continued.isChecked()))
