"""New nuclei with the shapes of others."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.nuclei import editing
from napari_nudiff.nuclei.editing import Point
from napari_nudiff.nuclei.structure import OFFICIAL_MIN_VECTOR_AREA_PX
from napari_nudiff.sample_data import sampled_layout
from napari_nudiff.ui.tools.editor import LayoutEditor
from napari_nudiff.ui.tools.guide import Guide
from napari_nudiff.ui.tools.outline import mask_outline, transformed
from napari_nudiff.ui.tools.tool import Pointer

Mask = NDArray[np.bool_]

BANKS = {"sampled": "the sampled layout", "layout": "the nuclei of this layout"}
"""Where shapes come from."""

_WINDOW_PX = 1024  # of a layout, where the user looks: enough shapes, without a wait
_NO_SHAPES = (
    "There is no whole nucleus in view to take shapes from. Those of the sampled layout that comes "
    "with the package are used instead."
)


class StampTool:
    """A click adds a nucleus of a random shape, turned at random; its ghost follows the mouse.

    Parameters
    ----------
    guide : Guide
    random : numpy.random.Generator, optional

    Attributes
    ----------
    bank : str
        A name of `BANKS`.
    """

    cursor = "cross"

    def __init__(self, guide: Guide, random: np.random.Generator | None = None) -> None:
        self.bank = "sampled"
        self._guide = guide
        self._random = random or np.random.default_rng()
        self._shapes: list[Mask] = []
        self._point: Point | None = None

    def start(self, editor: LayoutEditor) -> None:
        """Become active: look for shapes."""
        self._editor = editor
        self._shapes = sampled_shapes()
        if self.bank == "layout":
            self._shapes = _shapes_in_view(editor.layer) or self._shapes
            if self._shapes is sampled_shapes():
                editor.refused.emit(_NO_SHAPES)
        self._draw_next()

    def stop(self) -> None:
        """End."""
        self._point = None
        self._guide.clear()

    def hover(self, pointer: Pointer) -> None:
        """Show the nucleus that a click would add."""
        self._point = pointer.point
        self._show()

    def press(self, pointer: Pointer) -> None:
        """Add it, and choose the next one."""
        mask, angle, flip, overlap = self._mask, self._angle, self._flip, self._editor.overlap
        self._editor.edit(
            lambda la: editing.stamp(la, mask, pointer.point, angle, flip=flip, on_overlap=overlap)
        )
        self._draw_next()
        self.hover(pointer)

    def drag(self, pointer: Pointer) -> None:
        """Show the next one."""
        self.hover(pointer)

    def release(self, pointer: Pointer) -> None:
        """Nothing more to do."""

    def _draw_next(self) -> None:
        self._mask = self._shapes[self._random.integers(len(self._shapes))]
        self._angle = float(self._random.uniform(0, 360))
        self._flip = bool(self._random.integers(2))
        # The shape's centre of mass goes where the mouse is.
        outline = mask_outline(self._mask) - np.argwhere(self._mask).mean(axis=0)
        outline[..., 1] *= -1 if self._flip else 1
        self._outline = transformed(outline, self._angle)

    def _show(self) -> None:
        if self._point is not None:
            self._guide.show(self._editor.layer, self._outline + self._point)


@cache
def sampled_shapes() -> list[Mask]:
    """The nuclei of the sampled layout that comes with the package."""
    ((labels, _, _),) = sampled_layout()
    return editing.shapes_of(labels, OFFICIAL_MIN_VECTOR_AREA_PX)


def _shapes_in_view(layer: Any) -> list[Mask]:
    """Whole nuclei around the middle of what the viewer shows."""
    labels = np.asarray(layer.data)
    middle = np.mean(layer.corner_pixels[:, -2:], axis=0).astype(int)
    first = np.clip(middle - _WINDOW_PX // 2, 0, np.maximum(np.array(labels.shape) - _WINDOW_PX, 0))
    rows, cols = (slice(start, start + _WINDOW_PX) for start in first)
    return editing.shapes_of(labels[rows, cols], OFFICIAL_MIN_VECTOR_AREA_PX)
