"""What can be done with the selected nuclei, or with all, without the mouse."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.errors import LayoutError
from napari_nudiff.nuclei import editing
from napari_nudiff.nuclei.editing import Edit
from napari_nudiff.nuclei.placement import new_ids
from napari_nudiff.nuclei.structure import OFFICIAL_MIN_VECTOR_AREA_PX
from napari_nudiff.ui.tools.editor import LayoutEditor, MakeEdit

Mask = NDArray[np.bool_]

SCATTER_PX = 2048 * 2048
"""Nuclei are scattered in regions up to this area: in a larger one it would take a minute."""

_GAP_PX = 2  # between a nucleus and its copy
_NO_SELECTION = "No nucleus is selected. Take the arrow tool and click one; Shift adds more."


class Operations:
    """Edits by a button or a key; each is one step of napari's undo.

    Parameters
    ----------
    editor : LayoutEditor
    """

    def __init__(self, editor: LayoutEditor) -> None:
        self._editor = editor

    # Of what is selected

    def delete(self) -> None:
        """Remove the selected nuclei."""
        self._with_selected(lambda la: editing.delete(la, **self._selected()))

    def duplicate(self) -> None:
        """Copy the selected nuclei beside themselves, and select the copies."""
        ids = self._editor.ids
        if self._with_selected(self._duplicated) is not None:
            highest = int(self._editor.labels.max())
            self._editor.select(range(highest - len(ids) + 1, highest + 1))

    def merge(self) -> None:
        """Make one nucleus of those selected."""
        self._with_selected(lambda la: editing.merge(la, **self._selected()))

    def split_at_necks(self) -> None:
        """Split the selected nuclei where they are narrow, and select what comes of it."""
        edit = self._with_selected(lambda la: editing.split_at_necks(la, **self._selected()))
        if edit is not None:
            self._editor.select([*self._editor.ids, *np.unique(edit.after).tolist()])

    def nudge(self, rows: int, cols: int) -> None:
        """Move the selected nuclei by some pixels."""
        self._with_selected(lambda la: editing.move(la, offset=(rows, cols), **self._placed()))

    def turn(self, degrees: float) -> None:
        """Turn each selected nucleus about its own centre."""
        self._with_selected(lambda la: editing.rotate(la, degrees=degrees, **self._placed()))

    def resize(self, factor: float) -> None:
        """Resize each selected nucleus about its own centre."""
        self._with_selected(lambda la: editing.scale(la, factor=factor, **self._placed()))

    # Of what is selected; of all where nothing is

    def fill_holes(self) -> None:
        """Fill the holes of nuclei."""
        self._run(lambda la: editing.fill_holes(la, **self._chosen()), "There is no hole to fill.")

    def smooth(self, scale_px: float) -> None:
        """Smooth the outlines of nuclei; their areas stay."""
        self._run(
            lambda la: editing.smooth_outlines(la, scale_px, **self._chosen()),
            "There is no outline to smooth.",
        )

    def separate(self) -> None:
        """Give each part of nuclei that are in several parts a number of its own."""
        self._run(
            lambda la: editing.split_disconnected(la, **self._chosen()),
            "No nucleus is in several parts.",
        )

    # Of the layout

    def remove_specks(self) -> None:
        """Delete what is too small for a nucleus, but not what the border cuts."""
        least = OFFICIAL_MIN_VECTOR_AREA_PX
        self._run(
            lambda la: editing.remove_specks(la, least, keep_cut=True),
            f"No nucleus is smaller than {least} px.",
        )

    def renumber(self) -> None:
        """Number the nuclei 1, 2, 3 ... without gaps."""
        self._run(editing.relabel_contiguous, "The nuclei are numbered without gaps already.")

    def scatter(self, mask: Mask, **options: Any) -> Edit | None:
        """Scatter nuclei in a region; options as of `editing.scatter_in`."""
        return self._run(
            lambda la: _scattered(la, mask, options),
            "Nothing was added: the region is as dense as that already, or has no room.",
        )

    def _with_selected(self, make: MakeEdit) -> Edit | None:
        if self._editor.layer is not None and not self._editor.ids:
            self._editor.refused.emit(_NO_SELECTION)
            return None
        return self._editor.edit(make)

    def _run(self, make: MakeEdit, nothing: str) -> Edit | None:
        edit = self._editor.edit(make)
        if edit is not None and edit.is_empty:
            self._editor.refused.emit(nothing)
        return edit

    def _selected(self) -> dict[str, Any]:
        return {"ids": self._editor.ids, "bounds": self._editor.bounds}

    def _placed(self) -> dict[str, Any]:
        return {**self._selected(), "on_overlap": self._editor.overlap}

    def _chosen(self) -> dict[str, Any]:
        return self._selected() if self._editor.ids else {}

    def _duplicated(self, labels: NDArray[Any]) -> Edit:
        """On the first side where there is room; if there is none, as the overlaps are set."""
        new_ids(labels, len(self._editor.ids))  # too few left is no matter of room
        rows, cols = (side.stop - side.start + _GAP_PX for side in self._editor.bounds)
        offsets = [(0, cols), (rows, 0), (0, -cols), (-rows, 0)]
        for offset in offsets:
            if not _is_inside(self._editor.bounds, offset, labels.shape):
                continue
            try:
                return editing.duplicate(
                    labels, offset=offset, on_overlap="refuse", **self._selected()
                )
            except LayoutError:
                continue
        return editing.duplicate(labels, offset=(rows // 2, cols // 2), **self._placed())


def _is_inside(bounds: editing.Bounds, offset: tuple[int, int], shape: tuple[int, ...]) -> bool:
    return all(
        side.start + by >= 0 and side.stop + by <= size
        for side, by, size in zip(bounds, offset, shape, strict=True)
    )


def _scattered(labels: NDArray[Any], mask: Mask, options: dict[str, Any]) -> Edit:
    area_px = int(np.count_nonzero(mask))
    if area_px > SCATTER_PX:
        raise LayoutError(
            f"This region has {area_px / 1e6:.0f} million pixels; nuclei are scattered in up to "
            f"{SCATTER_PX / 1e6:.0f} million at a time. Nothing was changed; choose a smaller one."
        )
    return editing.scatter_in(labels, mask, **options)
