"""A number with two buttons that take a step of that size, one way or the other."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QSpinBox, QWidget

from napari_nudiff.ui.widgets.glyph_button import GlyphButton


class StepEdit(QWidget):
    """By how much, and which way.

    Parameters
    ----------
    number : QSpinBox
    back, forth : GlyphButton
    """

    stepped = Signal(int)  # by the number, or less than 0 for the other way

    def __init__(
        self,
        number: QSpinBox,
        back: GlyphButton,
        forth: GlyphButton,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.number, self.back, self.forth = number, back, forth
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(number, 1)
        layout.addWidget(back)
        layout.addWidget(forth)
        back.clicked.connect(lambda: self.stepped.emit(-number.value()))
        forth.clicked.connect(lambda: self.stepped.emit(number.value()))
