"""A wipe between two images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSlider, QWidget

_RANGE = 100
_NOTHING = np.zeros((1, 1, 3), np.uint8)


class CompareBar(QWidget):
    """A slider from one image to the other, and a button that flips between them."""

    moved = Signal(object)  # the image to show
    closed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _RANGE)
        self.slider.setToolTip("Left of here: A; right of here: B.")
        self.flip, self.done = QPushButton("Flip"), QPushButton("Done")
        self.flip.setToolTip("All of A, all of B.")
        self._a = self._b = _NOTHING
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(QLabel("A"))
        layout.addWidget(self.slider, 1)
        layout.addWidget(QLabel("B"))
        layout.addWidget(self.flip)
        layout.addWidget(self.done)
        self.slider.valueChanged.connect(lambda _: self.moved.emit(self.image()))
        self.flip.clicked.connect(self._on_flip)
        self.done.clicked.connect(self.closed)
        self.hide()

    def compare(self, a: NDArray[np.uint8], b: NDArray[np.uint8]) -> None:
        """Begin with the left half of one image and the right half of the other."""
        self._a, self._b = a, b
        self.show()
        with QSignalBlocker(self.slider):
            self.slider.setValue(_RANGE // 2)
        self.moved.emit(self.image())

    def end(self) -> None:
        """Hide, and let go of the images."""
        self._a = self._b = _NOTHING
        self.hide()

    def image(self) -> NDArray[np.uint8]:
        """One image left of the divider, the other right of it."""
        return wiped(self._a, self._b, self.slider.value() / _RANGE)

    def _on_flip(self) -> None:
        self.slider.setValue(0 if self.slider.value() > _RANGE // 2 else _RANGE)


def wiped(a: NDArray[np.uint8], b: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """The left ``share`` of one image (H, W, 3) and the rest of another of its size."""
    divider = round(share * a.shape[1])
    return np.concatenate([a[:, :divider], b[:, divider:]], axis=1)
