"""Nuclei split into several, and merged into one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse.csgraph import connected_components
from skimage.measure import label
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

from napari_nudiff.errors import LayoutError
from napari_nudiff.nuclei import layout
from napari_nudiff.nuclei.edit import (
    Bounds,
    Edit,
    Labels,
    changed_pixels,
    require,
    require_fit,
    together,
)
from napari_nudiff.nuclei.placement import (
    SLIVER_PX,
    Mask,
    Nucleus,
    Parts,
    Point,
    connected_parts,
    find_nuclei,
    from_mask,
    write_nuclei,
)

MAX_GAP_PX = 8
"""Nuclei that are further apart than this are not merged."""

# How much narrower than a part its neck must be for a nucleus to be split there: half the width,
# in pixels, and as a fraction of the part's.
_MIN_NECK_PX = 0.75
_MIN_NECK = 0.08
# A bridge between nuclei is as wide as ways are that are longer than the shortest by this (pixels).
_NECK_DETOUR_PX = 1.5


def split(
    labels: Labels,
    nucleus_id: int,
    line: tuple[Point, Point] | None = None,
    *,
    bounds: Bounds | None = None,
) -> Edit:
    """Split a nucleus that is several.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
    nucleus_id : int
    line : ((float, float), (float, float)), optional
        Two points, row and column, of the line to split along; it goes on beyond both. Without
        it, a watershed of the distance to the outline splits the nucleus at its necks.
    bounds : (slice, slice), optional
        All of the nucleus lies in here.

    Returns
    -------
    Edit
        The largest part keeps the id, the others get those above the highest.

    Raises
    ------
    LayoutError
        If the nucleus is not there, the line does not cut it into parts of at least `SLIVER_PX`,
        it has no neck, or the type has not enough ids left.
    RequestError
        If the line is a point.
    """
    if line is None:
        return split_at_necks(labels, nucleus_id, bounds=bounds)
    (nucleus,) = find_nuclei(labels, nucleus_id, bounds)
    return _number_each(labels, [nucleus], [_split_along(nucleus, line)])


def _split_along(nucleus: Nucleus, line: tuple[Point, Point]) -> Parts:
    start, end = np.asarray(line, dtype=float)
    require(not np.array_equal(start, end), "The line", line, "between two points")
    mask = nucleus.mask()
    rows, cols = np.indices(mask.shape) + np.reshape(nucleus.corner, (2, 1, 1))
    down, across = end - start
    beyond = (cols - start[1]) * down >= (rows - start[0]) * across
    part, area = connected_parts(np.where(mask, 1 + beyond, 0))
    large = area >= SLIVER_PX
    large[0] = False
    if np.count_nonzero(large) < 2:
        raise LayoutError(
            f"This line does not cut nucleus {nucleus.id} into parts of at least {SLIVER_PX} px. "
            "Nothing was changed; draw the line across the nucleus."
        )
    # Slivers go to the part that they touch.
    return _flooded(np.zeros(mask.shape), np.where(large[part], part, 0), mask)


def _flooded(height: NDArray[np.float64], seeds: Parts, mask: Mask) -> Parts:
    flooded: Parts = watershed(height, seeds, mask=mask)
    return flooded


def split_at_necks(
    labels: Labels, ids: int | Sequence[int], *, bounds: Bounds | None = None
) -> Edit:
    """Split nuclei that are several where their outline has necks; leave those without.

    A watershed of the distance to the outline finds the necks.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
    ids : int or sequence of int
    bounds : (slice, slice), optional
        All of the nuclei lies in here.

    Returns
    -------
    Edit
        The largest part of each keeps the id, the others get those above the highest.

    Raises
    ------
    LayoutError
        If a nucleus is not there, none has a neck, or the type has not enough ids left.
    """
    nuclei = find_nuclei(labels, ids, bounds)
    parts = [_split_at_necks(nucleus) for nucleus in nuclei]
    if all(part.max() < 2 for part in parts):
        raise LayoutError(
            f"Nucleus {nuclei[0].id} has no neck where it could be split. Nothing was changed; "
            "draw a line to split it along."
        )
    return _number_each(labels, nuclei, parts)


def _split_at_necks(nucleus: Nucleus) -> Parts:
    mask = nucleus.mask(margin=1)
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), 1) * mask
    neck = max(_MIN_NECK_PX, _MIN_NECK * depth.max())
    # Summits that stand higher by more than the neck than the pass to any other one.
    summits = local_maxima(reconstruction(np.maximum(depth - neck, 0), depth)) & mask
    return _flooded(-depth, label(summits), mask)[1:-1, 1:-1]


def split_disconnected(
    labels: Labels,
    ids: int | Sequence[int] | None = None,
    *,
    min_part_px: int = 0,
    bounds: Bounds | None = None,
) -> Edit:
    """Give every connected part of a nucleus its own id.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
    ids : int or sequence of int, optional
        Default: all.
    min_part_px : int
        Parts with fewer pixels are cleared instead, unless they are the nucleus's largest.
    bounds : (slice, slice), optional
        All of the nuclei lies in here.

    Returns
    -------
    Edit
        The largest part of each keeps the id, the others get those above the highest.

    Raises
    ------
    LayoutError
        If a nucleus is not there, or the type has not enough ids left.
    """
    if ids is None and not (ids := _disconnected(labels)):
        return together(labels, [])
    nuclei = find_nuclei(labels, ids, bounds)
    parts = [connected_parts(nucleus.mask())[0] for nucleus in nuclei]
    return _number_each(labels, nuclei, parts, min_part_px)


def _disconnected(labels: Labels) -> list[int]:
    """Nuclei in several parts."""
    changed = layout.split_disconnected(labels) != labels
    return [int(i) for i in np.unique(labels[changed])]


def _number_each(
    labels: Labels, nuclei: list[Nucleus], parts: list[Parts], min_part_px: int = 0
) -> Edit:
    """Give the parts of each nucleus ids of their own."""
    next_id = int(labels.max()) + 1
    edits = []
    for nucleus, part in zip(nuclei, parts, strict=True):
        edits.append(_number_parts(labels.dtype, nucleus, part, next_id, min_part_px))
        next_id = max(next_id, int(edits[-1].after.max(initial=0)) + 1)
    return together(labels, edits)


def _number_parts(
    dtype: np.dtype[Any], nucleus: Nucleus, part: Parts, next_id: int, min_part_px: int
) -> Edit:
    """Give the parts in a nucleus's bounding box new ids, or 0 to the small ones."""
    top, left = nucleus.corner
    mine = part[nucleus.rows - top, nucleus.cols - left]
    area = np.bincount(mine)
    area[0] = 0  # what belongs to no part keeps the id, like the largest one
    others = np.flatnonzero((area > 0) & (np.arange(len(area)) != area.argmax()))
    large = others[area[others] >= min_part_px]
    require_fit(next_id + len(large) - 1, dtype)
    id_of_part = np.full(len(area), nucleus.id, dtype=dtype)
    before = np.full(len(mine), nucleus.id, dtype=dtype)
    id_of_part[others] = 0
    id_of_part[large] = np.arange(next_id, next_id + len(large))
    return changed_pixels(nucleus.rows, nucleus.cols, before, id_of_part[mine])


def merge(labels: Labels, ids: Sequence[int], *, bounds: Bounds | None = None) -> Edit:
    """Make one connected nucleus of several.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
    ids : sequence of int
        At least two; the first gives its id.
    bounds : (slice, slice), optional
        All of the nuclei lies in here.

    Returns
    -------
    Edit
        Gaps up to `MAX_GAP_PX` are bridged over background where they are narrowest.

    Raises
    ------
    LayoutError
        If a nucleus is not there, there is only one, they are further apart, or others lie between.
    """
    old = find_nuclei(labels, ids, bounds)
    if len(old) < 2:
        raise LayoutError(
            f"Only nucleus {old[0].id} is selected, but at least two are needed to merge. Nothing "
            "was changed; select those to merge."
        )
    rows, cols = (np.concatenate([n[axis] for n in old]) for axis in (1, 2))
    union = Nucleus(old[0].id, rows, cols)
    _require_close(old)
    return write_nuclei(labels, [union, _bridge(labels, union)])


def _require_close(nuclei: list[Nucleus]) -> None:
    """Refuse from the bounding boxes alone, before what lies between them is looked at."""
    corners = np.array([n.corner for n in nuclei])
    ends = np.array([(n.rows.max(), n.cols.max()) for n in nuclei])
    reach = (corners[:, None] - ends <= MAX_GAP_PX + 1).all(axis=-1)
    if connected_components(reach & reach.T, directed=False)[0] > 1:
        raise LayoutError(_TOO_FAR)


_TOO_FAR = (
    f"These nuclei cannot be merged: between some of them is a gap of more than {MAX_GAP_PX} px, "
    "or another nucleus. Nothing was changed; move them closer first."
)


def _bridge(labels: Labels, union: Nucleus) -> Nucleus:
    """The pixels of background that connect the parts of what is to be one nucleus."""
    mask = union.mask(margin=2)
    top, left = (first - 2 for first in union.corner)
    free = ~mask & (_padded_window(labels, (top, left), mask.shape) == 0)
    joined = mask
    part, area = connected_parts(joined)
    while len(area) > 2:
        joined = joined | _neck(part, free)
        count = len(area)
        part, area = connected_parts(joined)
        if len(area) == count:
            raise LayoutError(_TOO_FAR)
    return from_mask(union.id, joined & ~mask, (top, left))


def _neck(part: Parts, free: Mask) -> Mask:
    """Free pixels on the shortest ways from the first part to the others, and close to them."""
    from_first, from_others = (
        ndimage.distance_transform_edt(~which) for which in (part == 1, part > 1)
    )
    shortest = from_first[part > 1].min()
    if shortest > MAX_GAP_PX + 1:
        raise LayoutError(_TOO_FAR)
    near = free & (from_first + from_others <= shortest + _NECK_DETOUR_PX)
    piece, _ = connected_parts(near)
    reaches = [
        np.bincount(piece[distance == 1], minlength=piece.max() + 1) > 0
        for distance in (from_first, from_others)
    ]
    chosen: Mask = near & (reaches[0] & reaches[1])[piece]
    return chosen


def _padded_window(labels: Labels, corner: tuple[int, int], shape: tuple[int, ...]) -> Labels:
    """A window of a layout; what lies outside the canvas is as if taken."""
    window = np.ones(shape, dtype=labels.dtype)
    starts = [max(c, 0) for c in corner]
    stops = [min(c + s, n) for c, s, n in zip(corner, shape, labels.shape, strict=True)]
    inner = tuple(slice(a - c, b - c) for a, b, c in zip(starts, stops, corner, strict=True))
    window[inner] = labels[starts[0] : stops[0], starts[1] : stops[1]]
    return window
