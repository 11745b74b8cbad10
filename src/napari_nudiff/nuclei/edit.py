"""Changes of layouts: what an edit by hand is, to apply, to undo, and to join."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.errors import LayoutError, RequestError

Labels = NDArray[np.integer]
Indices = NDArray[np.integer]
Bounds = tuple[slice, slice]  # rows, columns


@dataclass(frozen=True, eq=False)
class Edit:
    """A change of some pixels of a layout.

    `indices` and `after` are what napari's `Labels.data_setitem` takes.

    Attributes
    ----------
    indices : (ndarray, ndarray), (P,), integer
        Rows and columns of the changed pixels, each pixel once.
    before, after : ndarray, (P,), integer
        Their labels, of the layout's type.
    """

    indices: tuple[Indices, Indices]
    before: Labels
    after: Labels

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes."""
        return not len(self.after)

    @property
    def bounds(self) -> Bounds:
        """Bounding box of the changed pixels; slices of nothing if there are none."""
        if self.is_empty:
            return slice(0, 0), slice(0, 0)
        rows, cols = (slice(int(i.min()), int(i.max()) + 1) for i in self.indices)
        return rows, cols

    @property
    def nbytes(self) -> int:
        """Memory that it takes, in bytes."""
        return sum(array.nbytes for array in (*self.indices, self.before, self.after))

    def apply(self, labels: Labels) -> None:
        """Make the change in place.

        Parameters
        ----------
        labels : ndarray, (H, W), integer

        Raises
        ------
        LayoutError
            If it does not fit: the canvas is too small or the type too narrow. Nothing changes.
        """
        rows, cols = self.bounds
        if labels.ndim != 2 or rows.stop > labels.shape[0] or cols.stop > labels.shape[1]:
            raise LayoutError(
                f"This change reaches to row {rows.stop - 1} and column {cols.stop - 1}, but the "
                f"layout has shape {labels.shape}: it belongs to another one. Nothing was changed."
            )
        labels[self.indices] = cast_labels(self.after, labels.dtype)

    def revert(self, labels: Labels) -> None:
        """Undo the change in place; raises as `apply` does."""
        self.inverse().apply(labels)

    def inverse(self) -> Edit:
        """The edit that undoes this one."""
        return Edit(self.indices, self.after, self.before)

    def then(self, other: Edit) -> Edit:
        """One edit that does what this one and then another does.

        Parameters
        ----------
        other : Edit
            Made of the layout that this one leaves.
        """
        pixels = np.union1d(self._pixels, other._pixels)
        mine, its = (np.searchsorted(pixels, edit._pixels) for edit in (self, other))
        before = np.empty(len(pixels), dtype=self.before.dtype)
        after = np.empty_like(before)
        before[its], before[mine] = other.before, self.before
        after[mine], after[its] = self.after, other.after
        return changed_pixels(pixels >> 32, pixels & 0xFFFFFFFF, before, after)

    @property
    def _pixels(self) -> NDArray[np.int64]:
        """One number for each pixel, whatever the canvas; sorted row by row."""
        rows, cols = self.indices
        return rows.astype(np.int64) << 32 | cols


def as_edit(before: Labels, after: Labels, at: tuple[int, int] = (0, 0)) -> Edit:
    """The edit that makes one array of labels of another.

    Parameters
    ----------
    before, after : ndarray, (H, W), integer
        The edit has the type of `before`.
    at : (int, int)
        Row and column of their first pixel in the layout.

    Returns
    -------
    Edit

    Raises
    ------
    LayoutError
        If the shapes differ, or a new label does not fit the type.
    """
    if before.shape != after.shape:
        raise LayoutError(
            f"An edit keeps the shape of a layout; these have {before.shape} and {after.shape}. "
            "Make a new layer of the second one instead."
        )
    rows, cols = np.divmod(np.flatnonzero(before != after), before.shape[1])
    old, new = before[rows, cols], after[rows, cols]
    return changed_pixels(rows + at[0], cols + at[1], old, cast_labels(new, before.dtype))


def changed_pixels(rows: Indices, cols: Indices, before: Labels, after: Labels) -> Edit:
    """An edit of those of some pixels that change; positions take half the memory as int32."""
    chosen = before != after
    indices = rows[chosen].astype(np.int32), cols[chosen].astype(np.int32)
    return Edit(indices, before[chosen], after[chosen])


def cast_labels(values: Labels, dtype: np.dtype[Any]) -> Labels:
    """Labels as another type, if they fit it."""
    if values.dtype != dtype and values.size:
        require_fit(int(values.max()), dtype)
    return values.astype(dtype, copy=False)


def require_fit(highest: int, dtype: np.dtype[Any]) -> None:
    """Refuse a label that a type cannot hold."""
    if highest > np.iinfo(dtype).max:
        raise LayoutError(
            f"This needs label {highest}, but {dtype} labels end at {np.iinfo(dtype).max}. Nothing "
            "was changed. Convert the layer to a wider type, such as int32, or relabel it first."
        )


def together(labels: Labels, edits: list[Edit]) -> Edit:
    """Edits of different pixels of one layout as one."""
    none = np.zeros(0, dtype=np.int32)
    edits = [Edit((none, none), labels[:0, 0], labels[:0, 0]), *edits]
    rows, cols = (np.concatenate([edit.indices[axis] for edit in edits]) for axis in (0, 1))
    before = np.concatenate([edit.before for edit in edits])
    return Edit((rows, cols), before, np.concatenate([edit.after for edit in edits]))


def require(condition: bool, name: str, value: object, expected: str) -> None:
    """Refuse a value that makes no sense, before anything changes."""
    if not condition:
        raise RequestError(f"{name} is {value}; it must be {expected}. Nothing was changed.")
