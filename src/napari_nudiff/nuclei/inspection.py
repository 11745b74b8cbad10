"""What should be looked at in a layout before it is rendered, and how to put it right.

A layout is read as runs of equal labels along the rows: there are some 30 times fewer of them
than pixels, and all that is counted here can be counted on them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_nudiff.errors import LayoutError
from napari_nudiff.nuclei import editing
from napari_nudiff.nuclei.descriptors import MIN_SIDE_PX
from napari_nudiff.nuclei.edit import Bounds, Edit
from napari_nudiff.nuclei.structure import OFFICIAL_MIN_VECTOR_AREA_PX, validate_layout

Labels = NDArray[np.integer]
Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]

_OVERSIZED = 8.0  # areas, in those of the layout's median nucleus ...
_FEWEST_COMPARED = 10  # ... if it has as many as this


class Finding(NamedTuple):
    """Something in a layout that should be looked at.

    Attributes
    ----------
    kind : str
        "speck", "disconnected", "hole", "oversized" or "small canvas".
    ids : tuple of int
        The nuclei; none if it is about the canvas.
    message : str
        For the user, in a few words.
    fix_name : str
        The function of `napari_nudiff.nuclei.editing` that puts it right; see `fix`.
    """

    kind: str
    ids: tuple[int, ...]
    message: str
    fix_name: str


@dataclass(frozen=True, eq=False)
class LayoutReport:
    """What a layout consists of; entry i of each array is about nucleus `ids[i]`.

    Attributes
    ----------
    shape : (int, int)
        Of the canvas.
    min_area_px : int
        Below it a nucleus is a speck.
    ids : ndarray, (N,), integer
        In ascending order.
    area_px : ndarray, (N,), integer
    part_count : ndarray, (N,), integer
        Parts that are connected through the sides of pixels.
    hole_count : ndarray, (N,), integer
        Gaps of background within the nucleus.
    boxes : ndarray, (N, 4), integer
        First row, first column, last row + 1, last column + 1.
    """

    shape: tuple[int, int]
    min_area_px: int
    ids: NDArray[np.int64]
    area_px: Indices
    part_count: Indices
    hole_count: Indices
    boxes: Indices

    @property
    def count(self) -> int:
        """Number of nuclei."""
        return len(self.ids)

    @property
    def foreground(self) -> float:
        """Fraction of the canvas that is nucleus."""
        return float(self.area_px.sum() / (self.shape[0] * self.shape[1]))

    @property
    def specks(self) -> tuple[int, ...]:
        """Nuclei that are too small to be drawn; not those that the border cuts."""
        cut = (self.boxes[:, :2] == 0).any(axis=1) | (self.boxes[:, 2:] == self.shape).any(axis=1)
        return self._chosen((self.area_px < self.min_area_px) & ~cut)

    @property
    def disconnected(self) -> tuple[int, ...]:
        """Nuclei in several parts."""
        return self._chosen(self.part_count > 1)

    @property
    def holed(self) -> tuple[int, ...]:
        """Nuclei with holes."""
        return self._chosen(self.hole_count > 0)

    @property
    def oversized(self) -> tuple[int, ...]:
        """Nuclei that are implausibly large beside the others: perhaps several in one."""
        if self.count < _FEWEST_COMPARED:
            return ()
        return self._chosen(self.area_px > _OVERSIZED * np.median(self.area_px))

    @property
    def largest(self) -> int | None:
        """The nucleus of the largest area; None if there are none."""
        return int(self.ids[self.area_px.argmax()]) if self.count else None

    @property
    def is_large_enough(self) -> bool:
        """Whether the canvas can be rendered."""
        return min(self.shape) >= MIN_SIDE_PX

    @property
    def issues(self) -> list[Finding]:
        """What should be looked at; empty if all is well."""
        found = [
            Finding(kind, ids, _counted(len(ids), text), _FIXES[kind][0])
            for kind, ids, text in (
                ("speck", self.specks, f"smaller than {self.min_area_px} px"),
                ("disconnected", self.disconnected, "in several parts"),
                ("hole", self.holed, "with holes"),
                ("oversized", self.oversized, "far larger than the others"),
            )
            if ids
        ]
        return found if self.is_large_enough else [*found, self._small_canvas()]

    def bounds_of(self, nucleus_id: int) -> Bounds:
        """Bounding box of a nucleus, as the edits take it.

        Raises
        ------
        LayoutError
            If it was not there.
        """
        place = int(np.searchsorted(self.ids, nucleus_id))
        if place == self.count or self.ids[place] != nucleus_id:
            raise LayoutError(
                f"There was no nucleus {nucleus_id} when this layout was inspected. Inspect it "
                "again, or choose one of the report's ids."
            )
        top, left, bottom, right = self.boxes[place].tolist()
        return slice(top, bottom), slice(left, right)

    def _chosen(self, chosen: Mask) -> tuple[int, ...]:
        return tuple(self.ids[chosen].tolist())

    def _small_canvas(self) -> Finding:
        height, width = self.shape
        message = f"the canvas is {height} x {width} px; {MIN_SIDE_PX} x {MIN_SIDE_PX} are needed"
        return Finding("small canvas", (), message, "extend_canvas")


def _counted(number: int, text: str) -> str:
    return f"{number} {'nucleus' if number == 1 else 'nuclei'} {text}"


def inspect_layout(
    labels: Labels,
    min_area_px: int = OFFICIAL_MIN_VECTOR_AREA_PX,
    *,
    previous: LayoutReport | None = None,
    bounds: Bounds | None = None,
) -> LayoutReport:
    """Look for what should be put right in a layout.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
    min_area_px : int
        Nuclei with fewer pixels are specks; the default is what the structure maps need.
    previous : LayoutReport, optional
        Of the same layout before a change.
    bounds : (slice, slice), optional
        With `previous`: nothing else has changed since (`Edit.bounds`), so that only this part
        and the nuclei that reach into it are looked at.

    Returns
    -------
    LayoutReport

    Raises
    ------
    LayoutError
        If `labels` is no layout.
    """
    if previous is None or bounds is None or previous.shape != labels.shape:
        validate_layout(labels)
        return _report(labels, min_area_px)
    if bounds[0].start == bounds[0].stop:
        return replace(previous, min_area_px=min_area_px)
    return _renewed(labels, min_area_px, previous, bounds)


def _report(labels: Labels, min_area_px: int) -> LayoutReport:
    parts = _measure_parts(labels)
    nuclei = parts.value != 0
    ids, nucleus = np.unique(parts.value[nuclei], return_inverse=True)
    boxes = np.full((len(ids), 4), labels.shape * 2)
    boxes[:, 2:] = 0
    np.minimum.at(boxes[:, :2], nucleus, parts.box[nuclei, :2])
    np.maximum.at(boxes[:, 2:], nucleus, parts.box[nuclei, 2:])
    return LayoutReport(
        shape=(labels.shape[0], labels.shape[1]),
        min_area_px=min_area_px,
        ids=ids.astype(np.int64),
        area_px=_summed(nucleus, parts.area_px[nuclei], len(ids)),
        part_count=np.bincount(nucleus, minlength=len(ids)),
        hole_count=_count_holes(parts, ids, labels.shape),
        boxes=boxes,
    )


def _summed(index: Indices, values: Indices, count: int) -> Indices:
    return np.bincount(index, weights=values, minlength=count).astype(np.intp)


class _Parts(NamedTuple):
    """Connected parts of nuclei and of the background; entry i is about part i."""

    value: Labels  # (P,)
    area_px: Indices  # (P,)
    box: Indices  # (P, 4) first row, first column, last row + 1, last column + 1
    sides: tuple[Indices, Indices]  # (S,), (S,) pairs of parts that touch through sides


def _measure_parts(labels: Labels) -> _Parts:
    start, stop, value = _runs(labels)
    upper, lower = _stacked(start, labels.shape[1])
    part = _connect(upper, lower, value)
    count = int(part.max()) + 1
    value_of_part = np.empty(count, dtype=value.dtype)
    value_of_part[part] = value
    row, left = np.divmod(start, labels.shape[1])
    box = np.empty((count, 4), dtype=np.intp)
    box[:, :2], box[:, 2:] = max(labels.shape), 0
    for column, edge, collect in (
        (0, row, np.minimum),
        (1, left, np.minimum),
        (2, row + 1, np.maximum),
        (3, left + stop - start, np.maximum),
    ):
        collect.at(box[:, column], part, edge)
    beside = np.flatnonzero(row[1:] == row[:-1])
    sides = (
        np.concatenate([part[beside], part[upper]]),
        np.concatenate([part[beside + 1], part[lower]]),
    )
    return _Parts(value_of_part, _summed(part, stop - start, count), box, sides)


def _runs(labels: Labels) -> tuple[Indices, Indices, Labels]:
    """First pixel, last pixel + 1 (row by row from 0) and label of each run within a row."""
    pixels = np.ravel(labels)
    begins = np.empty(pixels.size, dtype=np.bool_)
    np.not_equal(pixels[1:], pixels[:-1], out=begins[1:])
    begins[:: labels.shape[1]] = True
    start = np.flatnonzero(begins)
    return start, np.append(start[1:], pixels.size), pixels[start]


def _stacked(start: Indices, width: int) -> tuple[Indices, Indices]:
    """Pairs of runs of which one lies above the other.

    Each pair meets for the first time where one of the two begins.
    """
    lower_begins = start[np.searchsorted(start, width) :]
    upper_begins = start[: np.searchsorted(start, start[-1] - start[-1] % width)] + width
    place = np.concatenate([lower_begins, upper_begins])
    upper = np.searchsorted(start, place - width, side="right") - 1
    lower = np.searchsorted(start, place, side="right") - 1
    return upper, lower


def _connect(upper: Indices, lower: Indices, value: Labels) -> Indices:
    """The part that each run belongs to."""
    same = value[upper] == value[lower]
    links = coo_array(
        (np.ones(np.count_nonzero(same), dtype=np.int8), (upper[same], lower[same])),
        shape=(len(value), len(value)),
    )
    part: Indices = connected_components(links, directed=False)[1].astype(np.intp)
    return part


def _count_holes(parts: _Parts, ids: Labels, shape: tuple[int, ...]) -> Indices:
    """Gaps of background that touch one nucleus only, and not the border."""
    a, b = (np.concatenate(pair) for pair in (parts.sides, parts.sides[::-1]))
    edge = (parts.value[a] == 0) & (parts.value[b] != 0)
    gap, neighbour = a[edge], parts.value[b[edge]]
    lowest = np.full(len(parts.value), np.iinfo(parts.value.dtype).max, dtype=parts.value.dtype)
    highest = np.zeros_like(lowest)
    np.minimum.at(lowest, gap, neighbour)
    np.maximum.at(highest, gap, neighbour)
    inner = (parts.box[:, :2] > 0).all(axis=1) & (parts.box[:, 2:] < shape).all(axis=1)
    holes = highest[(parts.value == 0) & inner & (lowest == highest)]
    return np.bincount(np.searchsorted(ids, holes), minlength=len(ids))


# After a change


def _renewed(
    labels: Labels, min_area_px: int, previous: LayoutReport, bounds: Bounds
) -> LayoutReport:
    """A report of which only the nuclei that reach, or reached, into a changed part are new."""
    top, left = bounds[0].start, bounds[1].start
    changed = np.array([top, left, bounds[0].stop, bounds[1].stop])
    boxes = previous.boxes
    stale = (boxes[:, :2] < changed[2:]).all(axis=1) & (boxes[:, 2:] > changed[:2]).all(axis=1)
    stale |= np.isin(previous.ids, labels[bounds])  # a new part, far from the others
    reached = np.vstack([boxes[stale], changed])
    (top, left), (bottom, right) = reached[:, :2].min(axis=0), reached[:, 2:].max(axis=0)
    now = _report(labels[top:bottom, left:right], min_area_px)
    fresh = np.isin(now.ids, previous.ids[~stale], invert=True)
    ids = np.concatenate([previous.ids[~stale], now.ids[fresh]])
    order = np.argsort(ids)

    def joined(old: Indices, new: Indices) -> Indices:
        return np.concatenate([old[~stale], new[fresh]])[order]

    return LayoutReport(
        shape=previous.shape,
        min_area_px=min_area_px,
        ids=ids[order],
        area_px=joined(previous.area_px, now.area_px),
        part_count=joined(previous.part_count, now.part_count),
        hole_count=joined(previous.hole_count, now.hole_count),
        boxes=joined(boxes, now.boxes + np.array([top, left, top, left])),
    )


# Click to fix


def fix(labels: Labels, finding: Finding) -> Edit:
    """The edit that puts a finding right.

    Specks are deleted; of disconnected nuclei, parts get their own id and crumbs are deleted; holes
    are filled; oversized nuclei are split where they have necks.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
        As it was inspected.
    finding : Finding

    Returns
    -------
    Edit

    Raises
    ------
    LayoutError
        If no edit can do it: the canvas is too small, or no oversized nucleus has a neck.
    """
    if finding.kind not in _FIXES:
        raise LayoutError(
            f"{finding.message.capitalize()}, and no edit can enlarge it. Nothing was changed; "
            "make a new layer with extend_canvas."
        )
    return _FIXES[finding.kind][1](labels, finding.ids)


def _separate_parts(labels: Labels, ids: tuple[int, ...]) -> Edit:
    return editing.split_disconnected(labels, ids, min_part_px=OFFICIAL_MIN_VECTOR_AREA_PX)


_FIXES: dict[str, tuple[str, Callable[[Labels, tuple[int, ...]], Edit]]] = {
    "speck": ("delete", editing.delete),
    "disconnected": ("split_disconnected", _separate_parts),
    "hole": ("fill_holes", editing.fill_holes),
    "oversized": ("split_at_necks", editing.split_at_necks),
}
