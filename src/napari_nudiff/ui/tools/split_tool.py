"""Nuclei cut in two by a line."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.nuclei import editing
from napari_nudiff.nuclei.editing import Edit, Point
from napari_nudiff.ui.tools.editor import LayoutEditor
from napari_nudiff.ui.tools.guide import Guide
from napari_nudiff.ui.tools.outline import path
from napari_nudiff.ui.tools.tool import Pointer

_STEP_PX = 0.5
_NOT_ACROSS = (
    "This line does not go across a nucleus. Nothing was changed; drag it from one side of a "
    "nucleus to the other."
)


class SplitTool:
    """A line dragged across nuclei splits those that it crosses from side to side.

    Parameters
    ----------
    guide : Guide
    """

    cursor = "cross"

    def __init__(self, guide: Guide) -> None:
        self._guide = guide
        self._start: Pointer | None = None

    def start(self, editor: LayoutEditor) -> None:
        """Become active."""
        self._editor = editor

    def stop(self) -> None:
        """End; nothing is cut."""
        self._start = None
        self._guide.clear()

    def hover(self, pointer: Pointer) -> None:
        """Nothing to see yet."""

    def press(self, pointer: Pointer) -> None:
        """Begin the line."""
        self._start = pointer

    def drag(self, pointer: Pointer) -> None:
        """Show the line."""
        if self._start is not None:
            self._guide.show(self._editor.layer, path([self._start.point, pointer.point]))

    def release(self, pointer: Pointer) -> None:
        """Cut."""
        start = self._start
        self.stop()
        if start is None or pointer.is_click_from(start):
            return
        line = start.point, pointer.point
        crossed = crossed_nuclei(self._editor.labels, line)
        if not crossed:
            self._editor.refused.emit(_NOT_ACROSS)
        self._editor.edit_together(partial(_cut, nucleus_id=i, line=line) for i in crossed)


def _cut(labels: NDArray[Any], nucleus_id: int, line: tuple[Point, Point]) -> Edit:
    return editing.split(labels, nucleus_id, line)


def crossed_nuclei(labels: NDArray[Any], line: tuple[Point, Point]) -> list[int]:
    """The nuclei that a line enters and leaves; else the only one that it touches, if it is one.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
    line : ((float, float), (float, float))
        Row and column of its ends.

    Returns
    -------
    list of int
        From its start to its end.
    """
    count = int(np.ptp(line, axis=0).max() / _STEP_PX) + 2
    at = np.floor(np.linspace(*line, count) + 0.5).astype(int)
    inside = ((at >= 0) & (at < labels.shape)).all(axis=1)
    along = np.zeros(count, dtype=labels.dtype)
    along[inside] = labels[tuple(at[inside].T)]
    touched = [i for i in dict.fromkeys(along.tolist()) if i]
    across = [i for i in touched if i not in (along[0], along[-1])]
    return across or (touched if len(touched) == 1 else [])
