"""From instance labels to the nuclei structure that the diffusion models work on.

A structure is a float32 array of three maps, `(3, H, W)`: semantic (1 in nuclei, 0 outside), then
the horizontal and the vertical distance of each pixel to the centre of its nucleus, each divided by
its largest magnitude on that side, so that they run from -1 (left, top) to +1 (right, bottom).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.errors import LayoutError

OFFICIAL_MIN_VECTOR_AREA_PX = 31
"""The published code draws no distance maps in nuclei smaller than this (area, pixels).

Its threshold is written 30; the golden values show a nucleus of exactly 30 pixels without maps.
"""

_MIN_BOX_PX = 2  # nor in nuclei whose bounding box is thinner than this


def validate_layout(labels: NDArray[Any]) -> NDArray[np.integer]:
    """Check that an array is a layout: one plane of non-negative integer labels.

    Parameters
    ----------
    labels : ndarray, (H, W), any integer type
        0 is background, every other number is one nucleus.

    Returns
    -------
    ndarray, (H, W)
        The same array, not a copy.

    Raises
    ------
    LayoutError
        If the array is not two-dimensional, has no pixel, is not of an integer type or has a
        negative label.
    """
    if labels.ndim != 2:
        raise LayoutError(_shape_complaint(labels.shape))
    if labels.size == 0:
        raise LayoutError(f"A layout needs at least one pixel; this one has shape {labels.shape}.")
    if not np.issubdtype(labels.dtype, np.integer):
        raise LayoutError(_dtype_complaint(labels.dtype))
    if np.issubdtype(labels.dtype, np.signedinteger) and (lowest := labels.min()) < 0:
        raise LayoutError(
            f"A layout has labels of 0 (background) and above; this one contains {lowest}. "
            "Set the negative labels to 0."
        )
    return labels


def _shape_complaint(shape: tuple[int, ...]) -> str:
    expected = f"A layout is one plane of labels, (height, width); this array has shape {shape}"
    if len(shape) == 3 and shape[-1] in (3, 4):
        return f"{expected}, like a colour image. Choose the labels that belong to that image."
    return f"{expected}. Choose one plane of it."


def _dtype_complaint(dtype: np.dtype[Any]) -> str:
    expected = f"A layout has an integer label for each nucleus; this array is {dtype}"
    if dtype == np.bool_:
        return f"{expected}, a mask. Number its connected parts first (skimage.measure.label)."
    return f"{expected}. Convert it with .astype(numpy.int32) if its values are whole numbers."


def encode_structure(
    labels: NDArray[np.integer], *, min_vector_area_px: int = OFFICIAL_MIN_VECTOR_AREA_PX
) -> NDArray[np.float32]:
    """Draw the structure of a layout: semantic, horizontal and vertical map.

    The centre is the centre of mass of the visible pixels, rounded as the published code does.

    Parameters
    ----------
    labels : ndarray, (H, W), any integer type
        0 is background. The ids need not be contiguous nor the nuclei connected.
    min_vector_area_px : int
        Nuclei with fewer pixels are in the semantic map only: their distances are 0.

    Returns
    -------
    ndarray, (3, H, W), float32
        Semantic 0 or 1; horizontal (-1 left, +1 right) and vertical (-1 top, +1 bottom), 0 in the
        background.

    Raises
    ------
    LayoutError
        If `labels` is no layout.

    References
    ----------
    Graham et al., HoVer-Net, Medical Image Analysis 58 (2019); Yu et al., MICCAI 2023, and the
    `get_hv` of its published code.
    """
    validate_layout(labels)
    structure = np.zeros((3, *labels.shape), dtype=np.float32)
    # Every array below has one entry for each of these. (Of a mask they are found 5 times faster.)
    pixels = np.flatnonzero(labels != 0)
    if not len(pixels):
        return structure
    nucleus, area = _number(labels.ravel()[pixels])
    rows, cols = np.divmod(pixels.astype(np.int32), np.int32(labels.shape[1]))
    across, down = _extent(cols, nucleus, area), _extent(rows, nucleus, area)
    thinnest = np.minimum(across.length, down.length)
    drawn = (area >= min_vector_area_px) & (thinnest >= _MIN_BOX_PX)
    semantic, horizontal, vertical = structure.reshape(3, -1)
    semantic[pixels] = 1
    horizontal[pixels] = _normalised_distance(cols, nucleus, across, drawn)
    vertical[pixels] = _normalised_distance(rows, nucleus, down, drawn)
    return structure


def flip_structure(structure: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mirror a structure left to right, its vectors too.

    Parameters
    ----------
    structure : ndarray, (..., 3, H, W), float

    Returns
    -------
    ndarray, (..., 3, H, W)
        A new array: within the rounding of the centres, the structure of the mirrored layout.
    """
    flipped = structure[..., ::-1].copy()
    flipped[..., 1, :, :] *= -1
    return flipped


def rotate_structure(structure: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """Rotate a structure by quarter turns, its vectors too.

    Parameters
    ----------
    structure : ndarray, (..., 3, H, W), float
    k : int
        Quarter turns counter-clockwise, as in `numpy.rot90`; any integer.

    Returns
    -------
    ndarray, (..., 3, H, W) or (..., 3, W, H)
        A new array: within the rounding of the centres, the structure of the rotated layout.
    """
    rotated = np.rot90(structure, k, axes=(-2, -1)).copy()
    semantic, h, v = (rotated[..., channel, :, :].copy() for channel in range(3))
    across, down = ((h, v), (v, -h), (-h, -v), (-v, h))[k % 4]
    return np.stack([semantic, across, down], axis=-3)


def _number(ids: NDArray[np.integer]) -> tuple[NDArray[np.integer], NDArray[np.intp]]:
    """Small numbers for the ids of some pixels, and how many pixels have each number."""
    if ids.max() <= 4 * len(ids):  # a table with gaps is cheaper than sorting
        nucleus = ids.astype(np.intp)
        return nucleus, np.bincount(nucleus)
    _, nucleus, area = np.unique(ids, return_inverse=True, return_counts=True)
    return nucleus, area


class _Extent(NamedTuple):
    """Of each nucleus, along one axis, in pixels."""

    length: NDArray[np.int32]
    centre: NDArray[np.int32]  # position
    before: NDArray[np.int32]  # from the first pixel to the centre, at least 1
    after: NDArray[np.int32]  # from the centre to the last pixel, at least 1


def _extent(
    position: NDArray[np.int32], nucleus: NDArray[np.integer], area: NDArray[np.intp]
) -> _Extent:
    first = np.full(len(area), np.iinfo(np.int32).max, dtype=np.int32)
    last = np.full(len(area), -1, dtype=np.int32)
    np.minimum.at(first, nucleus, position)
    np.maximum.at(last, nucleus, position)
    total = np.bincount(nucleus, weights=position, minlength=len(area)).astype(np.int64)
    # The centre of mass rounded half up, and counted from 1 below it: the published convention.
    centre = ((2 * total + area) // np.maximum(2 * area, 1) - 1).astype(np.int32)
    before, after = np.maximum(centre - first, 1), np.maximum(last - centre, 1)
    return _Extent(last - first + 1, centre, before, after)


def _normalised_distance(
    position: NDArray[np.int32],
    nucleus: NDArray[np.integer],
    extent: _Extent,
    drawn: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Distance of pixels to the centre of their nucleus, -1..1; 0 in nuclei that are not drawn."""
    distance: NDArray[np.float32] = (position - extent.centre[nucleus]).astype(np.float32)
    # An infinite extent makes every distance 0.
    before, after = (
        np.where(drawn, side, np.inf).astype(np.float32) for side in (extent.before, extent.after)
    )
    distance /= np.where(distance < 0, before[nucleus], after[nucleus])
    return distance
