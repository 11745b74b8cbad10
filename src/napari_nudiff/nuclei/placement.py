"""Nuclei as lists of pixels, found in layouts and put into them, and what happens on overlap.

What an edit of a nucleus costs depends on its pixels, not on the canvas; only to look for it by its
id takes a pass over the layout (4 ms at 4000 x 4000 px), or over the part that is known to have it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

from napari_nudiff.errors import LayoutError
from napari_nudiff.nuclei.edit import (
    Bounds,
    Edit,
    Indices,
    Labels,
    changed_pixels,
    require,
    require_fit,
)
from napari_nudiff.nuclei.structure import validate_layout

Mask = NDArray[np.bool_]
Parts = NDArray[np.integer]  # (h, w), numbered from 1; 0 = none
Point = tuple[float, float]  # row, column; the centre of the first pixel is 0, 0

SLIVER_PX = 10
"""What another nucleus cuts off a nucleus disappears if it is smaller than this (area, pixels)."""

_FEW_IDS = 8  # up to this many are faster looked for one by one


class Nucleus(NamedTuple):
    """The pixels of a nucleus, and its id, or the id it will get."""

    id: int
    rows: Indices  # (P,) may lie outside the canvas
    cols: Indices  # (P,)

    @property
    def corner(self) -> tuple[int, int]:
        """First row and column."""
        return int(self.rows.min()), int(self.cols.min())

    @property
    def centre(self) -> NDArray[np.float64]:
        """Of mass: row, column."""
        return np.array([self.rows.mean(), self.cols.mean()])

    def mask(self, margin: int = 0) -> Mask:
        """Its bounding box, with a margin on each side."""
        top, left = self.corner
        shape = np.ptp(self.rows) + 1 + 2 * margin, np.ptp(self.cols) + 1 + 2 * margin
        mask = np.zeros(shape, dtype=np.bool_)
        mask[self.rows - top + margin, self.cols - left + margin] = True
        return mask

    def moved(self, rows: int, cols: int) -> Nucleus:
        """The same one elsewhere."""
        return Nucleus(self.id, self.rows + rows, self.cols + cols)

    def select(self, chosen: Mask) -> Nucleus:
        """A part of it."""
        return Nucleus(self.id, self.rows[chosen], self.cols[chosen])

    def within(self, shape: tuple[int, ...]) -> Nucleus:
        """What of it lies on a canvas."""
        inside = (self.rows >= 0) & (self.rows < shape[0])
        return self.select(inside & (self.cols >= 0) & (self.cols < shape[1]))


def from_mask(nucleus_id: int, mask: Mask, corner: tuple[int, int]) -> Nucleus:
    """A nucleus from a mask, given the row and column of the mask's first pixel."""
    rows, cols = np.nonzero(mask)
    return Nucleus(nucleus_id, rows + corner[0], cols + corner[1])


def find_nuclei(labels: Labels, ids: int | Iterable[int], bounds: Bounds | None) -> list[Nucleus]:
    """The pixels of nuclei, in the order in which these are named."""
    require_layout(labels)
    wanted = _named(ids)
    top, left = (s.indices(n)[0] for s, n in zip(bounds or _ALL, labels.shape, strict=True))
    view = labels[bounds or _ALL]
    found = _is_any(view, wanted)
    # Of a flat mask they are found 10 times faster than of one with two axes.
    rows, cols = np.divmod(np.flatnonzero(found), max(view.shape[1], 1))
    owner = view[rows, cols]
    order = np.argsort(owner, kind="stable")
    places = [order[slice(*np.searchsorted(owner, (i, i + 1), sorter=order))] for i in wanted]
    nuclei = [
        Nucleus(i, rows[p] + top, cols[p] + left) for i, p in zip(wanted, places, strict=True)
    ]
    _require_present(nuclei, bounds)
    return nuclei


_ALL = np.s_[:, :]


def _is_any(labels: Labels, ids: list[int]) -> Mask:
    if len(ids) > _FEW_IDS:
        return np.isin(labels, ids)
    return reduce(np.logical_or, (labels == i for i in ids))


def _named(ids: int | Iterable[int]) -> list[int]:
    """Ids without repetition; refuses what can be no nucleus."""
    several = ids if isinstance(ids, Iterable) else [ids]
    named = list(dict.fromkeys(int(i) for i in several))
    if not named or min(named) < 1:
        raise LayoutError(
            f"{'No nucleus' if not named else f'Label {min(named)}'} is selected, but an edit "
            "needs a nucleus, a label of 1 or more. Nothing was changed; select a nucleus."
        )
    return named


def _require_present(nuclei: list[Nucleus], bounds: Bounds | None) -> None:
    missing = [str(n.id) for n in nuclei if not len(n.rows)]
    if missing:
        where = "in this layout" if bounds is None else "within the given bounds"
        raise LayoutError(
            f"There is no nucleus {', '.join(missing[:5])} {where}. Nothing was changed; select "
            "one that is there."
        )


def require_layout(labels: Labels) -> None:
    """Check the form of a layout without a look at each pixel."""
    validate_layout(labels if labels.ndim != 2 or not labels.size else labels[:1, :1])


def new_ids(labels: Labels, count: int = 1) -> list[int]:
    """Ids above the highest one."""
    highest = int(labels.max())
    require_fit(highest + count, labels.dtype)
    return list(range(highest + 1, highest + count + 1))


def bounds_at(labels: Labels, point: Point) -> Bounds | None:
    """Bounding box of the nucleus under a point, found without a pass over the layout.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
    point : (float, float)
        Row and column.

    Returns
    -------
    (slice, slice) or None
        None in the background. Parts that are far from the rest may be left out.
    """
    require_layout(labels)
    row, col = (math.floor(p + 0.5) for p in point)
    inside = 0 <= row < labels.shape[0] and 0 <= col < labels.shape[1]
    if not inside or not labels[row, col]:
        return None
    return _bounds_of(labels, labels[row, col], (slice(row, row + 1), slice(col, col + 1)))


def _bounds_of(labels: Labels, nucleus_id: int, start: Bounds) -> Bounds:
    """Bounding box of a nucleus: a window grows until the nucleus no longer reaches its sides."""
    window, step = start, 16
    while True:
        wider = widened(window, step, labels.shape)
        rows, cols = np.nonzero(labels[wider] == nucleus_id)
        top, left = wider[0].start, wider[1].start
        window = (
            slice(int(rows.min()) + top, int(rows.max()) + top + 1),
            slice(int(cols.min()) + left, int(cols.max()) + left + 1),
        )
        if widened(window, 1, labels.shape) == _common(widened(window, 1, labels.shape), wider):
            return window
        step *= 2


def widened(bounds: Bounds, margin: int, shape: tuple[int, ...]) -> Bounds:
    """Bounds with a margin on each side, as far as the canvas goes."""
    rows, cols = (
        slice(max(side.start - margin, 0), min(side.stop + margin, size))
        for side, size in zip(bounds, shape, strict=True)
    )
    return rows, cols


def _common(a: Bounds, b: Bounds) -> Bounds:
    rows, cols = (
        slice(max(p.start, q.start), min(p.stop, q.stop)) for p, q in zip(a, b, strict=True)
    )
    return rows, cols


# What happens where nuclei overlap


def exchange(
    labels: Labels, old: list[Nucleus], new: list[Nucleus], on_overlap: str = "under"
) -> Edit:
    """Take some nuclei out of a layout and put others in."""
    require(on_overlap in _OVERLAPS, "on_overlap", on_overlap, f"one of {', '.join(_OVERLAPS)}")
    inside = [nucleus.within(labels.shape) for nucleus in new]
    freed = [nucleus.id for nucleus in old]
    placed, slivers = _OVERLAPS[on_overlap](labels, freed, inside)
    for nucleus in placed:
        _require_visible(nucleus)
    cleared = [Nucleus(0, n.rows, n.cols) for n in (*old, *slivers)]
    return write_nuclei(labels, [*cleared, *placed])


def _require_visible(nucleus: Nucleus) -> None:
    if not len(nucleus.rows):
        raise LayoutError(
            f"Nucleus {nucleus.id} would vanish: at this place it is outside the canvas, under "
            "other nuclei, or smaller than a pixel. Nothing was changed; choose another place or "
            "size."
        )


def write_nuclei(labels: Labels, nuclei: list[Nucleus]) -> Edit:
    """The edit that writes nuclei one after the other: of several on a pixel the last counts."""
    values = np.concatenate([np.full(len(n.rows), n.id, dtype=labels.dtype) for n in nuclei])
    last = _claims(nuclei, labels.shape, first=False)
    rows, cols = (np.concatenate([n[axis] for n in nuclei])[last] for axis in (1, 2))
    return changed_pixels(rows, cols, labels[rows, cols], values[last])


def _claims(nuclei: list[Nucleus], shape: tuple[int, ...], *, first: bool) -> Mask:
    """Which pixels of some nuclei, one after the other, are the first, or last, on their place."""
    places = np.concatenate([n.rows * shape[1] + n.cols for n in nuclei])
    direction = slice(None, None, 1 if first else -1)
    chosen = np.zeros(len(places), dtype=np.bool_)
    chosen[direction][np.unique(places[direction], return_index=True)[1]] = True
    return chosen


def _occupants(labels: Labels, freed: list[int], nuclei: list[Nucleus]) -> Labels:
    """Which nuclei are on the pixels of some others, one after the other; 0 where none stays."""
    there = np.concatenate([labels[n.rows, n.cols] for n in nuclei])
    there[np.isin(there, freed)] = 0
    return there


_Placed = tuple[list[Nucleus], list[Nucleus]]  # as placed; slivers of others to clear


def _go_under(labels: Labels, freed: list[int], new: list[Nucleus]) -> _Placed:
    free = _claims(new, labels.shape, first=True) & (_occupants(labels, freed, new) == 0)
    return [_cut(nucleus, part) for nucleus, part in _by_nucleus(new, free)], []


def _go_over(labels: Labels, freed: list[int], new: list[Nucleus]) -> _Placed:
    on_top = _claims(new, labels.shape, first=False)
    occupants = _occupants(labels, freed, new)
    rows, cols = (np.concatenate([n[axis] for n in new]) for axis in (1, 2))
    covered = Nucleus(0, rows, cols)
    cut = [int(i) for i in np.unique(occupants) if i]
    slivers = [_slivers(labels, i, covered, occupants == i) for i in cut]
    return [_cut(nucleus, part) for nucleus, part in _by_nucleus(new, on_top)], slivers


def _refuse(labels: Labels, freed: list[int], new: list[Nucleus]) -> _Placed:
    occupants = _occupants(labels, freed, new)
    shared = not _claims(new, labels.shape, first=True).all()
    if shared or occupants.any():
        others = ", ".join(str(i) for i in np.unique(occupants) if i) or "one another"
        raise LayoutError(
            f"There is no room here without overlap: the nucleus would cover {others}. Nothing was "
            "changed; choose another place, or let it go under or over the others."
        )
    return new, []


_OVERLAPS: dict[str, Callable[[Labels, list[int], list[Nucleus]], _Placed]] = {
    "under": _go_under,
    "over": _go_over,
    "refuse": _refuse,
}


def _by_nucleus(nuclei: list[Nucleus], chosen: Mask) -> Iterable[tuple[Nucleus, Mask]]:
    """Cut what is about all pixels of some nuclei, one after the other, into what is about each."""
    ends = np.cumsum([len(nucleus.rows) for nucleus in nuclei])
    return zip(nuclei, np.split(chosen, ends[:-1]), strict=True)


def _cut(nucleus: Nucleus, kept: Mask) -> Nucleus:
    """A part of a nucleus without the slivers that the cut made; the largest part stays."""
    rest = nucleus.select(kept)
    if kept.all() or not kept.any():
        return rest
    part, area = connected_parts(rest.mask())
    large = area >= min(SLIVER_PX, area[1:].max())
    top, left = rest.corner
    return rest.select(large[part[rest.rows - top, rest.cols - left]])


def _slivers(labels: Labels, nucleus_id: int, covered: Nucleus, shared: Mask) -> Nucleus:
    """What is to disappear of a nucleus that is covered in part."""
    hidden = covered.select(shared)
    top, left = hidden.corner
    start = slice(top, int(hidden.rows.max()) + 1), slice(left, int(hidden.cols.max()) + 1)
    bounds = _bounds_of(labels, nucleus_id, start)
    corner = bounds[0].start, bounds[1].start
    rest = labels[bounds] == nucleus_id
    rest[hidden.rows - corner[0], hidden.cols - corner[1]] = False
    part, area = connected_parts(rest)
    return from_mask(nucleus_id, rest & (area < SLIVER_PX)[part], corner)


def connected_parts(mask: NDArray[Any]) -> tuple[Parts, NDArray[np.intp]]:
    """Connected parts of what is not 0, numbered from 1, and their areas; entry 0 is the rest."""
    part = label(mask, connectivity=1)
    return part, np.bincount(part.ravel())
