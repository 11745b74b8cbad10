"""Outlines of the nuclei of a label image, as polygons with holes.

The origin of the coordinates is the corner of the first pixel, as in `polygons`, which draws these
outlines back into the same labels: a contour runs half-way between pixel centres, so that exactly
the centres of a nucleus's pixels lie inside.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import find_contours, points_in_poly

from napari_nudiff.dataset.polygons import Polygon, Ring


def outlines_of(labels: NDArray[np.integer]) -> Iterator[tuple[int, list[Polygon]]]:
    """The id of each nucleus and its outline, one polygon for each unconnected part.

    Parameters
    ----------
    labels : ndarray, (H, W), integer

    Yields
    ------
    int, list of Polygon
        In the order of the ids; points are x, y.
    """
    ids, dense = np.unique(labels, return_inverse=True)
    boxes: list[tuple[slice, slice] | None] = ndimage.find_objects(dense.reshape(labels.shape) + 1)
    for nucleus, box in zip(ids.tolist(), boxes, strict=True):
        if nucleus != 0 and box is not None:
            yield nucleus, _polygons(labels[box] == nucleus, (box[1].start, box[0].start))


def back_to_front(labels: NDArray[np.integer]) -> list[tuple[int, list[Polygon]]]:
    """The same in an order in which outlines may be drawn without their holes.

    A nucleus in the hole of another would be covered by it: those with holes come first, the larger
    before the smaller, and then the others in the order of their ids.
    """

    def place(nucleus: tuple[int, list[Polygon]]) -> tuple[float, int]:
        number, polygons = nucleus
        holed = [abs(_area(part.outline)) for part in polygons if part.holes]
        return -max(holed, default=0.0), number

    return sorted(outlines_of(labels), key=place)


def _polygons(mask: NDArray[np.bool_], corner_xy: tuple[int, int]) -> list[Polygon]:
    padded = np.pad(mask, 1).astype(np.float32)
    # Corners that only touch are no connection, neither of parts nor of holes' surroundings.
    contours = find_contours(padded, 0.5, fully_connected="low")
    rings = [contour[:, ::-1] + corner_xy - 0.5 for contour in contours]
    outer = [ring for ring in rings if _turn(ring) == _turn(rings[_largest(rings)])]
    holes = [ring for ring in rings if _turn(ring) != _turn(rings[_largest(rings)])]
    return [Polygon(ring, tuple(h for h in holes if _owner(h, outer) is ring)) for ring in outer]


def _turn(ring: Ring) -> bool:
    """Which way round a ring runs; holes run the other way than what they are in."""
    return _area(ring) > 0


def _area(ring: Ring) -> float:
    x, y = ring.T
    return float(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2


def _largest(rings: list[Ring]) -> int:
    return int(np.argmax([abs(_area(ring)) for ring in rings]))


def _owner(hole: Ring, outer: list[Ring]) -> Ring | None:
    """The smallest outline around a hole."""
    around = [ring for ring in outer if points_in_poly(hole[:1], ring)[0]]
    return min(around, key=lambda ring: abs(_area(ring)), default=None)
