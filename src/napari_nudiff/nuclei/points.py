"""Nuclei from points: one in each place that somebody marked, as far as a foreground map shows it.

Points are cheap to annotate and give the exact number of nuclei; a segmenter shows where
each ends. A watershed joins them. Where the two disagree, both kinds of disagreement are listed.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from napari_nudiff.errors import LayoutError
from napari_nudiff.nuclei.layout import (
    fill_holes,
    relabel_contiguous,
    smooth_outlines,
    split_disconnected,
)

FOREGROUND = 0.5
"""Probability from which on a pixel is nucleus."""

FAINTEST = 0.2
"""A pale nucleus is followed down to half of its own peak; below this peak there is none."""

_SEED_REACH = 0.2  # of the reach: the peak of a nucleus is looked for so near to its point
_SPUR = 0.15  # of the reach: half the width of what is cut off as a spur
_MOST_NUCLEI = 3  # what is larger than so many and unmarked is no single nucleus
_NOTCH = 0.3  # of the reach: half the width of what is filled as a notch
_SMOOTH = 0.12  # of the reach: the blur that smooths outlines
_SMALLEST = 0.25  # of the median area: what is smaller is no outline of a nucleus
_BODY = 0.75  # of a nucleus is left without its spurs; thin nuclei are all spur
_DISTANCE_WEIGHT = 0.5  # of a reach against a probability of 1
_DISC_QUANTILE = 0.25  # of the areas that were found: nuclei that are hard to see are rather small

Points = NDArray[np.floating[Any]] | NDArray[np.integer[Any]]


class PointNuclei(NamedTuple):
    """Nuclei of some points.

    Attributes
    ----------
    labels : ndarray, (H, W), int32
        The nucleus of points[i] has the id i + 1; what no point marks comes after them, if wanted.
    disagreeing : ndarray, (n,), integer
        Points where the foreground map shows no nucleus; they have a disc, or nothing.
    unmarked : ndarray, (m, 2), float
        Centres (row, column) of what the foreground map shows and no point marks.
    """

    labels: NDArray[np.int32]
    disagreeing: NDArray[np.intp]
    unmarked: NDArray[np.float64]


def nuclei_from_points(
    points: Points,
    foreground: NDArray[np.floating[Any]],
    *,
    reach_px: float = 14.0,
    keep_disagreeing: bool = True,
    keep_unmarked: bool = False,
) -> PointNuclei:
    """Find the outline of the nucleus at each point.

    A watershed of the foreground map, seeded with the points, without holes and with smooth
    outlines.

    Parameters
    ----------
    points : ndarray, (n, 2)
        Row and column of each nucleus, in pixels of the map; pixel centres are whole numbers.
    foreground : ndarray, (H, W), float
        Probability of nucleus, 0..1.
    reach_px : float
        No nucleus reaches further from its point.
    keep_disagreeing : bool
        Whether a point where the map shows no nucleus gets a disc of a small nucleus's size.
    keep_unmarked : bool
        Whether what the map shows and no point marks becomes a nucleus, unless it is larger than
        three of them.

    Returns
    -------
    PointNuclei

    Raises
    ------
    LayoutError
        The arrays have another form, a point lies outside, or two lie in one pixel.
    """
    places = _validate(points, foreground, reach_px)
    owner, distance = _nearest(places, foreground.shape)
    near = distance <= max(_SEED_REACH * reach_px, 1)
    numbers = np.arange(1, len(places) + 1)
    peak = np.asarray(ndimage.maximum(foreground * near, owner, numbers), dtype=np.float64)
    labels = _flood(foreground, np.where(near, owner, 0), distance / reach_px, peak)
    rows, cols = np.nonzero(labels)  # near one point, and yet of another one
    far = np.hypot(*(np.stack([rows, cols]) - places[labels[rows, cols] - 1].T)) > reach_px
    labels[rows[far], cols[far]] = 0
    labels = _largest_parts(labels, len(places))
    areas = np.bincount(labels.ravel(), minlength=len(places) + 1)[1:]
    sure = areas[(peak >= FOREGROUND) & (areas > 0)]
    typical = float(np.median(sure)) if len(sure) else math.pi * (reach_px / 2) ** 2
    found = (peak >= FAINTEST) & (areas >= _SMALLEST * typical)
    labels[~np.append(True, found)[labels]] = 0
    labels = _rounded(labels, reach_px)
    labels = _largest_parts(smooth_outlines(labels, _SMOOTH * reach_px), len(places))
    found &= np.isin(numbers, labels)
    if keep_disagreeing:
        area = float(np.quantile(sure, _DISC_QUANTILE)) if len(sure) else typical / 2
        discs = np.where(np.append(False, ~found)[owner], owner, 0)
        discs[distance > math.sqrt(area / math.pi)] = 0
        # However crowded it is, a point keeps what is next to it.
        labels = np.where((labels == 0) | (discs > 0) & (distance < 2), discs, labels)
        labels = _largest_parts(labels, len(places))
    parts, centres = _unmarked(foreground, labels, typical)
    if keep_unmarked:
        small = np.bincount(parts.ravel()) <= _MOST_NUCLEI * typical
        labels = np.where((parts > 0) & small[parts], len(places) + parts, labels)
    return PointNuclei(labels, np.flatnonzero(~found), centres)


def _validate(
    points: Points, foreground: NDArray[np.floating[Any]], reach_px: float
) -> NDArray[np.intp]:
    """The pixel of each point."""
    if foreground.ndim != 2 or not foreground.size or not np.isfinite(foreground).all():
        raise LayoutError(
            "A foreground map is one plane of finite probabilities, (height, width); this one has "
            f"shape {foreground.shape}."
        )
    if not reach_px >= 1:
        raise LayoutError(f"The reach of a point must be 1 px or more; it is {reach_px} px.")
    points = np.asarray(points, dtype=np.float64)
    points = points if len(points) else points.reshape(0, 2)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise LayoutError(f"Points are finite rows and columns, (n, 2), not {points.shape}.")
    places = np.rint(points).astype(np.intp)
    outside = ((places < 0) | (places >= foreground.shape)).any(axis=1)
    if outside.any():
        raise LayoutError(
            f"{outside.sum()} points lie outside of the {foreground.shape} pixels, the first at "
            f"{points[outside][0].tolist()} (row, column)."
        )
    _, first, count = np.unique(places, axis=0, return_index=True, return_counts=True)
    if (count > 1).any():
        twice = points[first[count > 1][0]].tolist()
        raise LayoutError(f"Two points lie in one pixel, at {twice} (row, column).")
    return places


def _nearest(
    places: NDArray[np.intp], shape: tuple[int, ...]
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """The number of the nearest point of each pixel, and how far away it is."""
    number = np.zeros(shape, dtype=np.int32)
    number[tuple(places.T)] = np.arange(1, len(places) + 1)
    distance, nearest = ndimage.distance_transform_edt(number == 0, return_indices=True)
    return number[tuple(nearest)], distance


def _flood(
    foreground: NDArray[np.floating[Any]],
    seeds: NDArray[np.int32],
    distance: NDArray[np.float64],
    peak: NDArray[np.float64],
) -> NDArray[np.int32]:
    """Watershed from the seeds; a pale nucleus ends at half of its peak, others at one half.

    Distances are in reaches: they part nuclei where the foreground shows no valley between them.
    """
    depth = -foreground + _DISTANCE_WEIGHT * distance
    flooded = watershed(depth, seeds, mask=(foreground >= FAINTEST / 2) & (distance <= 1))
    labels: NDArray[np.int32] = flooded.astype(np.int32)
    level = np.append(1, np.clip(peak / 2, FAINTEST / 2, FOREGROUND))
    labels[foreground < level[labels]] = 0
    return labels


def _largest_parts(labels: NDArray[np.integer], count: int) -> NDArray[np.int32]:
    """Of each nucleus 1..count its largest part, without holes."""
    parts = split_disconnected(labels).astype(np.int32)
    parts[parts > count] = 0
    return np.asarray(fill_holes(parts), dtype=np.int32)


def _rounded(labels: NDArray[np.int32], reach_px: float) -> NDArray[np.int32]:
    """Cut the spurs of each nucleus and fill its notches; thin nuclei keep their form."""
    spur, notch = _disc(_SPUR * reach_px), _disc(_NOTCH * reach_px)
    margin = len(notch)
    padded = np.pad(labels, margin)
    rounded = padded.copy()
    for number, box in enumerate(ndimage.find_objects(padded), 1):
        if box is None:
            continue
        window = tuple(slice(side.start - margin, side.stop + margin) for side in box)
        mask = padded[window] == number
        body = ndimage.binary_opening(mask, spur)
        body = body if body.sum() >= _BODY * mask.sum() else mask
        rounded[window][mask & ~body] = 0
        rounded[window][ndimage.binary_closing(body, notch) & (rounded[window] == 0)] = number
    return rounded[margin:-margin, margin:-margin]


def _disc(radius_px: float) -> NDArray[np.bool_]:
    side = np.arange(-math.ceil(radius_px), math.ceil(radius_px) + 1)
    disc: NDArray[np.bool_] = np.hypot(side[:, None], side) <= radius_px
    return disc


def _unmarked(
    foreground: NDArray[np.floating[Any]], labels: NDArray[np.int32], typical: float
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """What is as large as half a nucleus and belongs to none, numbered, and its centres."""
    width_px = math.sqrt(typical / math.pi) / 2  # rims of nuclei are thinner
    rest = (foreground >= FOREGROUND) & (labels == 0)
    parts = ndimage.label(ndimage.binary_opening(rest, _disc(max(width_px, 1))))[0]
    large = np.bincount(parts.ravel()) >= typical / 2
    parts = relabel_contiguous(np.where(large[parts], parts, 0))
    centres = ndimage.center_of_mass(rest, parts, np.arange(1, parts.max() + 1))
    return parts, np.asarray(centres, dtype=np.float64).reshape(-1, 2)
