"""Outlines of nuclei, drawn into label images.

The origin of the coordinates is the corner of the first pixel, as in QuPath and Aperio: the centre
of the pixel in row r and column c is x = c + 0.5, y = r + 0.5.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon as covered_points
from skimage.measure import points_in_poly

from napari_nudiff.errors import DatasetError

_FEWEST_POINTS = 3
_REGION_AREAS = 10  # that of the median outline
_FEWEST_INSIDE = 2

Ring = NDArray[np.float64]  # (n, 2): x, y


class Polygon(NamedTuple):
    """One outline with its holes."""

    outline: Ring
    holes: tuple[Ring, ...] = ()


def as_ring(points: object) -> Ring:
    """Check the points of a ring.

    Raises
    ------
    DatasetError
        They are no list of finite x, y.
    """
    try:
        ring = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DatasetError(f"An outline holds something else than numbers: {error}") from error
    if ring.ndim != 2 or ring.shape[1] < 2 or not np.isfinite(ring).all():
        raise DatasetError(
            f"An outline of shape {ring.shape} was found; each must be a list of finite x, y."
        )
    return ring[:, :2]


def draw_nuclei(
    nuclei: Iterable[Sequence[Polygon]], shape: tuple[int, int]
) -> tuple[NDArray[np.int32], int]:
    """Draw nuclei over each other, later ones on top.

    A pixel belongs to a polygon when its centre does.

    Parameters
    ----------
    nuclei : iterable of sequences of Polygon
        Each nucleus is the union of its polygons.
    shape : (int, int)
        Height and width in pixels; what lies outside is cut off.

    Returns
    -------
    labels : ndarray, (H, W), int32
        Nucleus i (from 1) has the id i.
    lost : int
        Nuclei that no pixel shows: outside, without area, or covered by later ones.
    """
    labels = np.zeros(shape, dtype=np.int32)
    count = 0
    for count, polygons in enumerate(nuclei, 1):
        for polygon in polygons:
            draw_polygon(labels, polygon, count)
    return labels, count - len(np.unique(labels[labels > 0]))


def lost_note(lost: int) -> tuple[str, ...]:
    """What to say of nuclei that no pixel shows."""
    return (f"{lost} outlines cover no pixel of the image",) if lost else ()


def regions_among(nuclei: Sequence[Sequence[Polygon]]) -> list[int]:
    """Which outlines are regions of interest: far larger than a nucleus, with others in them.

    Parameters
    ----------
    nuclei : sequence of sequences of Polygon

    Returns
    -------
    list of int
        Their places in the sequence.
    """
    areal = [i for i, polygons in enumerate(nuclei) if polygons]
    if len(areal) <= _FEWEST_INSIDE:
        return []
    points = [np.concatenate([polygon.outline for polygon in nuclei[i]]) for i in areal]
    lows = np.array([p.min(axis=0) for p in points])
    highs = np.array([p.max(axis=0) for p in points])
    areas, centres = np.prod(highs - lows, axis=1), (lows + highs) / 2
    found = []
    for place in np.flatnonzero(areas > _REGION_AREAS * np.median(areas)):
        inside = ((centres > lows[place]) & (centres < highs[place])).all(axis=1)
        inside[place] = False
        ring = nuclei[areal[place]][0].outline
        if np.count_nonzero(points_in_poly(centres[inside], ring)) >= _FEWEST_INSIDE:
            found.append(areal[place])
    return found


def region_note(names: Sequence[str]) -> tuple[str, ...]:
    """What to say of regions that were left out."""
    if not names:
        return ()
    return (f"{len(names)} regions with nuclei inside left out: {', '.join(names)}",)


def draw_polygon(labels: NDArray[np.int32], polygon: Polygon, number: int) -> None:
    """Draw one polygon into a contiguous label image, in place."""
    inside = _covered(polygon.outline, labels.shape)
    for hole in polygon.holes:
        inside = np.setdiff1d(inside, _covered(hole, labels.shape), assume_unique=True)
    labels.ravel()[inside] = number


def _covered(ring: Ring, shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Places of the pixels in a ring, in the flattened image."""
    if len(ring) < _FEWEST_POINTS:
        return np.zeros(0, dtype=np.intp)
    rows, cols = covered_points(ring[:, 1] - 0.5, ring[:, 0] - 0.5, shape)
    return np.asarray(rows * shape[1] + cols)
