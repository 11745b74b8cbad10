"""What an edit touches: the changed nuclei, the pixels around them, and the windows to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_nudiff.errors import LayoutError
from napari_nudiff.nuclei.descriptors import MIN_SIDE_PX
from napari_nudiff.nuclei.structure import validate_layout
from napari_nudiff.synthesis.request import EditRequest
from napari_nudiff.synthesis.tiling import Window

Mask = NDArray[np.bool_]
Weight = NDArray[np.float32]
Bounds = tuple[slice, slice]  # rows, columns

CONTEXT_PX = 32
"""What a network is shown around the pixels that may change, at least."""


@dataclass(frozen=True, eq=False)
class Patch:
    """A window, and what may change in it.

    Attributes
    ----------
    window : Window
        Starts at multiples of what the network needs; ends there too, or at the canvas's edge.
    weight : ndarray, (h, w), float32
        Of the new pixels in the window; 0 where another patch is at work.
    """

    window: Window
    weight: Weight

    @property
    def at(self) -> Bounds:
        """Where the window lies in an array of the canvas."""
        top, left = self.window.top, self.window.left
        return slice(top, top + self.window.height), slice(left, left + self.window.width)


@dataclass(frozen=True, eq=False)
class Region:
    """Where an edit may change pixels, and how much of the old ones shows through.

    Attributes
    ----------
    weight : ndarray, (H, W), float32
        Share of the new pixels: 1 well inside, falling smoothly to 0 at the edge of the region
        and exactly 0 outside. The edge of the canvas is no edge of the region.
    """

    weight: Weight

    @property
    def mask(self) -> Mask:
        """The pixels that may change, (H, W)."""
        inside: Mask = self.weight > 0
        return inside

    @property
    def is_empty(self) -> bool:
        """Whether nothing may change."""
        return not self.weight.any()

    def patches(self, multiple_px: int, context_px: int = CONTEXT_PX) -> list[Patch]:
        """Windows that cover the region: one for each part, or for parts that lie together.

        Parameters
        ----------
        multiple_px : int
            Windows start at multiples of this.
        context_px : int
            How far windows reach beyond the region, at least, where the canvas does.
        """
        part, _ = ndimage.label(self.mask, np.ones((3, 3)))
        height, width = self.weight.shape
        groups = [
            _Group(
                _around(rows, height, multiple_px, context_px),
                _around(cols, width, multiple_px, context_px),
                [number],
            )
            for number, (rows, cols) in enumerate(ndimage.find_objects(part), start=1)
        ]
        return [self._patch(group, part) for group in _merged(groups)]

    def _patch(self, group: _Group, part: NDArray[np.integer]) -> Patch:
        at = group.rows, group.cols
        weight = np.where(np.isin(part[at], group.parts), self.weight[at], np.float32(0))
        top, left = group.rows.start, group.cols.start
        return Patch(Window(top, left, *weight.shape), weight)


def changed_region(
    before: NDArray[np.integer],
    after: NDArray[np.integer],
    margin_px: int = EditRequest.margin_px,
    blend_px: int = EditRequest.blend_px,
) -> Region:
    """Where an image has to change when its layout does.

    Parameters
    ----------
    before, after : ndarray, (H, W), integer
    margin_px : int
        The region reaches this far around the old and the new place of every changed nucleus.
    blend_px : int
        Over this many pixels at the region's edge the new pixels fade out.

    Returns
    -------
    Region
        Empty if at most ids changed.

    Raises
    ------
    LayoutError
        If one is no layout, or their shapes differ.
    """
    return region_around(changed_nuclei(before, after), margin_px, blend_px)


def changed_nuclei(before: NDArray[np.integer], after: NDArray[np.integer]) -> Mask:
    """Pixels of the nuclei that were added, removed or altered, where they were and where they are.

    Nuclei that only got another id are not changed.

    Parameters
    ----------
    before, after : ndarray, (H, W), integer

    Returns
    -------
    ndarray, (H, W), bool

    Raises
    ------
    LayoutError
        If one is no layout, or their shapes differ.
    """
    for labels in (before, after):
        validate_layout(labels)
    if before.shape != after.shape:
        raise LayoutError(
            f"The layout before has shape {before.shape}, the one after {after.shape}. Extend the "
            "canvas of the first, or choose layouts of the same image."
        )
    differs = before != after
    suspect = pixels_of(before, differs) | pixels_of(after, differs)
    changed = np.zeros(before.shape, dtype=np.bool_)
    changed[suspect] = ~_only_renamed(before[suspect], after[suspect])
    return changed


def pixels_of(labels: NDArray[np.integer], where: Mask) -> Mask:
    """All pixels of the nuclei that have a pixel there."""
    ids = np.unique(labels[where])
    mask: Mask = np.isin(labels, ids[ids > 0])
    return mask


def _only_renamed(before: NDArray[np.integer], after: NDArray[np.integer]) -> Mask:
    """Of pixels with all of their nuclei: whether the old nucleus is the new one but for its id."""
    _, old, old_area = np.unique(before, return_inverse=True, return_counts=True)
    _, new, new_area = np.unique(after, return_inverse=True, return_counts=True)
    _, pair, shared = np.unique(
        old.astype(np.int64) * len(new_area) + new, return_inverse=True, return_counts=True
    )
    whole = (shared[pair] == old_area[old]) & (shared[pair] == new_area[new])
    renamed: Mask = whole & (before > 0) & (after > 0)
    return renamed


def region_around(
    core: Mask, margin_px: int = EditRequest.margin_px, blend_px: int = EditRequest.blend_px
) -> Region:
    """A mask grown by a margin that fades out.

    Parameters
    ----------
    core : ndarray, (H, W), bool
    margin_px, blend_px : int
        As in `changed_region`.

    Returns
    -------
    Region
    """
    weight = np.zeros(core.shape, dtype=np.float32)
    if not core.any():
        return Region(weight)
    at = bounds_of(core, margin_px + 1)
    distance = ndimage.distance_transform_edt(~core[at])  # at least 1 outside
    fade = np.clip((margin_px + 1 - distance) / (min(blend_px, margin_px) + 1), 0, 1)
    weight[at] = fade * fade * (3 - 2 * fade)
    return Region(weight)


def bounds_of(mask: Mask, margin_px: int = 0) -> Bounds:
    """The smallest part of the canvas that holds a mask, which is not empty, and a margin."""
    along = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    rows, cols = (
        slice(max(int(at[0]) - margin_px, 0), int(at[-1]) + 1 + margin_px) for at in along
    )
    return rows, cols


# Windows


class _Group(NamedTuple):
    """Parts of a region that share a window."""

    rows: slice
    cols: slice
    parts: list[int]

    @property
    def area(self) -> int:
        return int((self.rows.stop - self.rows.start) * (self.cols.stop - self.cols.start))


def _around(side: slice, size: int, multiple_px: int, context_px: int) -> slice:
    """One side of a window around a part: aligned, inside the canvas and not too short."""
    lacking = max(MIN_SIDE_PX - (side.stop - side.start) - 2 * context_px, 0)
    reach = context_px + -(-lacking // 2)
    start = max(side.start - reach, 0) // multiple_px * multiple_px
    stop = min(-(-max(side.stop + reach, start + MIN_SIDE_PX) // multiple_px) * multiple_px, size)
    start = min(start, max(stop - MIN_SIDE_PX, 0) // multiple_px * multiple_px)
    return slice(start, stop)


def _merged(groups: list[_Group]) -> list[_Group]:
    """Let windows be one where that is no larger than both together."""
    done: list[_Group] = []
    for group in groups:
        while (other := _first_to_join(group, done)) is not None:
            done.remove(other)
            group = _joined(group, other)
        done.append(group)
    return done


def _first_to_join(group: _Group, others: list[_Group]) -> _Group | None:
    for other in others:
        if _joined(group, other).area <= group.area + other.area:
            return other
    return None


def _joined(a: _Group, b: _Group) -> _Group:
    rows, cols = (
        slice(min(x.start, y.start), max(x.stop, y.stop))
        for x, y in ((a.rows, b.rows), (a.cols, b.cols))
    )
    return _Group(rows, cols, a.parts + b.parts)
