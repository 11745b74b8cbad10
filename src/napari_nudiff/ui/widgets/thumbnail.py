"""A small picture of an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap


def thumbnail(image: NDArray[np.uint8], side_px: int) -> QPixmap:
    """The middle square of an image (H, W, 3), made small by averaging; never made larger."""
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    square = _averaged(image[top : top + side, left : left + side], max(side // side_px, 1))
    height, width, _ = square.shape
    drawn = QImage(square.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    if width > side_px:  # Qt averages too, by less than two
        smooth = Qt.TransformationMode.SmoothTransformation
        drawn = drawn.scaled(side_px, side_px, Qt.AspectRatioMode.IgnoreAspectRatio, smooth)
    return QPixmap.fromImage(drawn.copy())  # a copy: the array is gone soon


def _averaged(square: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Means of blocks of ``factor`` by ``factor`` pixels; an incomplete block is left out."""
    side = square.shape[0] // factor
    whole = square[: side * factor, : side * factor]
    rows = whole.reshape(side, factor, -1).sum(axis=1, dtype=np.uint32)  # several times as fast
    sums = rows.reshape(side, side, factor, 3).sum(axis=2)
    return np.ascontiguousarray((sums / factor**2).round().astype(np.uint8))
