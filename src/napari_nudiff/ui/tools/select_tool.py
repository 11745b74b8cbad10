"""Nuclei selected, moved, turned and resized."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.nuclei import editing
from napari_nudiff.nuclei.editing import Edit
from napari_nudiff.ui.tools.editor import LayoutEditor
from napari_nudiff.ui.tools.guide import Guide
from napari_nudiff.ui.tools.outline import (
    Segments,
    degrees_between,
    mask_outline,
    transformed,
)
from napari_nudiff.ui.tools.tool import Pointer

_SNAP_DEGREES = 15
_FACTORS = 0.1, 10.0
_MIN_ARM_PX = 1.0  # from the centre to where a resize begins


class SelectTool:
    """A click selects; a drag moves what is selected, with Ctrl turns it, with Alt resizes it.

    Parameters
    ----------
    guide : Guide
        To show where the nuclei would go.
    """

    cursor = "standard"

    def __init__(self, guide: Guide) -> None:
        self._guide = guide
        self._start: Pointer | None = None
        self._dragged = False
        self._narrow_to: int | None = None  # by a click on one of several selected

    def start(self, editor: LayoutEditor) -> None:
        """Become active."""
        self._editor = editor

    def stop(self) -> None:
        """End; nothing is moved."""
        self._start, self._narrow_to, self._dragged = None, None, False
        self._guide.clear()

    def hover(self, pointer: Pointer) -> None:
        """Nothing to see."""

    def press(self, pointer: Pointer) -> None:
        """Select what is under the mouse, and get ready to drag it."""
        editor, nucleus_id = self._editor, self._editor.nucleus_at(pointer.point)
        if pointer.shift:
            if nucleus_id:
                editor.toggle(nucleus_id)
        elif nucleus_id in editor.ids:
            self._narrow_to = nucleus_id
        elif nucleus_id or not (pointer.control or pointer.alt):
            editor.select([nucleus_id] if nucleus_id else [])
        if editor.ids and (nucleus_id in editor.ids or pointer.control or pointer.alt):
            self._start = pointer
            self._outline = selection_outline(editor)
            self._centre = _centre_of(editor)

    def drag(self, pointer: Pointer) -> None:
        """Show where it would go."""
        if self._start is None:
            return
        self._dragged = self._dragged or not pointer.is_click_from(self._start)
        if self._dragged:
            self._guide.show(self._editor.layer, self._preview(self._start, pointer))

    def release(self, pointer: Pointer) -> None:
        """Put it there."""
        start, narrow_to = self._start, self._narrow_to
        # napari leaves out moves that follow each other too quickly; the release it does not.
        dragged = self._dragged or (start is not None and not pointer.is_click_from(start))
        self.stop()
        if start is not None and dragged:
            self._editor.edit(lambda labels: self._transform(labels, start, pointer))
        elif narrow_to is not None and not (pointer.control or pointer.alt):
            self._editor.select([narrow_to])

    def _preview(self, start: Pointer, end: Pointer) -> Segments:
        if start.control:
            return transformed(self._outline, self._degrees(start, end), about=self._centre)
        if start.alt:
            return transformed(self._outline, 0, self._factor(start, end), self._centre)
        return self._outline + np.floor(np.subtract(end.point, start.point) + 0.5)

    def _transform(self, labels: NDArray[Any], start: Pointer, end: Pointer) -> Edit:
        editor = self._editor
        where = {"on_overlap": editor.overlap, "bounds": editor.bounds}
        if start.control:
            degrees = self._degrees(start, end)
            return editing.rotate(labels, editor.ids, degrees, "common centre", **where)  # type: ignore[arg-type]
        if start.alt:
            factor = self._factor(start, end)
            return editing.scale(labels, editor.ids, factor, "common centre", **where)  # type: ignore[arg-type]
        offset = np.subtract(end.point, start.point)
        return editing.move(labels, editor.ids, (offset[0], offset[1]), **where)  # type: ignore[arg-type]

    def _degrees(self, start: Pointer, end: Pointer) -> float:
        degrees = degrees_between(start.point, end.point, self._centre)
        return _SNAP_DEGREES * round(degrees / _SNAP_DEGREES) if end.shift else degrees

    def _factor(self, start: Pointer, end: Pointer) -> float:
        before, after = (np.hypot(*np.subtract(p.point, self._centre)) for p in (start, end))
        return float(np.clip(after / max(before, _MIN_ARM_PX), *_FACTORS))


def selection_outline(editor: LayoutEditor) -> Segments:
    """The outlines of the selected nuclei."""
    outlines = [mask_outline(nucleus.mask(), nucleus.corner) for nucleus in editor.selected]
    return np.concatenate([np.zeros((0, 2, 2)), *outlines])


def _centre_of(editor: LayoutEditor) -> NDArray[np.float64]:
    """The centre of all pixels of the selected nuclei."""
    pixels = [np.stack([nucleus.rows, nucleus.cols]) for nucleus in editor.selected]
    centre: NDArray[np.float64] = np.concatenate(pixels, axis=1).mean(axis=1)
    return centre
