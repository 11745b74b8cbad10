"""From a nuclei structure back to instance labels: this project's decoder, and the published one.

Inside a nucleus the horizontal map rises from left to right and does not change from top to bottom;
the vertical map does the reverse. Where two nuclei touch, both laws break. `decode_instances` lets
each pixel walk against its vector to the centre of its nucleus, which splits touching nuclei even
in noisy maps, and then joins the pieces between which the laws hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.segmentation import watershed

from napari_nudiff.errors import LayoutError
from napari_nudiff.nuclei.structure import encode_structure

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]
Labels = NDArray[np.int32]
Indices = NDArray[np.intp]

# Tuned once on maps with white noise up to 0.3, blur up to 1.5 px and smooth errors of 0.2.
_CLEAN_NOISE = 0.02  # below this deviation maps are taken as they are; 8-bit rounding is 0.002
_STEP_TOLERANCE = 0.2  # a pixel never steps over a larger violation of the laws than this ...
_STEP_TOLERANCE_NOISE = 3.0  # ... plus this many deviations of the noise
_JOIN_TOLERANCE = 0.12  # pieces are one nucleus if their boundary violates the laws by less
_SEMANTIC_BLUR_PX = 1.5  # Gaussian width in pixels = this * sqrt(noise)
_VECTOR_BLUR_PX = 1.8


def decode_instances(
    structure: NDArray[np.floating[Any]], *, min_area_px: int = 10
) -> NDArray[np.int32]:
    """Find the nuclei of a structure.

    Parameters
    ----------
    structure : ndarray, (3, H, W), float
        Semantic map (a pixel is nucleus where it is 0.5 or more), horizontal and vertical map in
        -1..1. May be noisy, blurred or rounded to 8 bits.
    min_area_px : int
        Nuclei smaller than this (pixels) are joined to a neighbour, or dropped if they have none.

    Returns
    -------
    ndarray, (H, W), int32
        0 is background, nuclei are 1..N in the order of their first pixels, each connected.

    Raises
    ------
    LayoutError
        If `structure` is not three planes of finite numbers.
    """
    semantic, horizontal, vertical = _validate_structure(structure)
    mask = _foreground(semantic)
    labels = np.zeros(mask.shape, dtype=np.int32)
    if not mask.any():
        return labels
    horizontal, vertical, noise = _denoise(horizontal, vertical, mask)
    across, down = horizontal[mask], vertical[mask]
    pairs = _neighbours(mask, across, down)
    piece = _walk_to_centres(pairs, across, down, noise, sum(mask.shape))
    piece = _join_consistent(pairs, piece)
    piece = _join_small(pairs, piece, min_area_px)
    labels[mask] = _number_nuclei(piece, min_area_px)
    return labels


def _validate_structure(structure: NDArray[np.floating[Any]]) -> tuple[Map, Map, Map]:
    if structure.ndim != 3 or len(structure) != 3 or not structure.size:
        raise LayoutError(
            "A nuclei structure is three planes (semantic, horizontal, vertical), "
            f"(3, height, width); this array has shape {structure.shape}."
        )
    if not np.isfinite(structure).all():
        raise LayoutError(
            "This nuclei structure has values that are not finite numbers, so no nuclei can be "
            "found in it. If a model made it, check its checkpoint."
        )
    semantic, horizontal, vertical = structure.astype(np.float32)
    return semantic, horizontal, vertical


# Noise


def _foreground(semantic: Map) -> Mask:
    """Where there is nucleus; a noisy semantic map is smoothed first."""
    noise = _estimate_noise(semantic, np.ones(semantic.shape, dtype=np.bool_))
    if noise > _CLEAN_NOISE:
        semantic = ndimage.gaussian_filter(semantic, _SEMANTIC_BLUR_PX * np.sqrt(noise))
    mask: Mask = semantic >= 0.5
    return mask


def _denoise(horizontal: Map, vertical: Map, mask: Mask) -> tuple[Map, Map, float]:
    """Smooth noisy distance maps within the nuclei; also return the noise that is left."""
    noise = max(_estimate_noise(horizontal, mask), _estimate_noise(vertical, mask))
    if noise <= _CLEAN_NOISE:
        return horizontal, vertical, noise
    width_px = _VECTOR_BLUR_PX * np.sqrt(noise)
    weight = np.maximum(ndimage.gaussian_filter(mask.astype(np.float32), width_px), 1e-6)
    horizontal, vertical = (
        ndimage.gaussian_filter(plane * mask, width_px) / weight for plane in (horizontal, vertical)
    )
    return horizontal, vertical, noise / max(2 * np.sqrt(np.pi) * width_px, 1.0)


def _estimate_noise(plane: Map, mask: Mask) -> float:
    """Deviation of white noise in a map, from differences that are 0 in an exact map.

    The second difference down of the second difference across vanishes on what depends on the
    row or on the column alone (Immerkaer, Computer Vision and Image Understanding 64, 1996).
    """
    difference = np.abs(np.diff(np.diff(plane, 2, axis=0), 2, axis=1))
    inside = ndimage.binary_erosion(mask, np.ones((3, 3)))[1:-1, 1:-1]
    sample = difference[inside]
    return float(np.median(sample)) / 0.6745 / 6 if sample.size else 0.0


# Pairs of neighbouring pixels. Pixels are numbered 0..P-1 over the foreground, row by row.


class _Pairs(NamedTuple):
    first: Indices  # (E,) the left or the upper pixel of each pair
    second: Indices  # (E,) the right or the lower one
    is_horizontal: Mask  # (E,)
    fall: Map  # (E,) decrease of the map along the pair's direction: none inside a nucleus
    sideways: Map  # (E,) change of the other map: none inside a nucleus

    def select(self, chosen: Mask) -> _Pairs:
        return _Pairs(
            self.first[chosen],
            self.second[chosen],
            self.is_horizontal[chosen],
            self.fall[chosen],
            self.sideways[chosen],
        )


def _neighbours(mask: Mask, across: Map, down: Map) -> _Pairs:
    """All pairs of pixels that share a side, and how they break the laws of the maps."""
    number = np.full(mask.shape, -1)
    number[mask] = np.arange(len(across))
    beside = mask[:, :-1] & mask[:, 1:]
    below = mask[:-1] & mask[1:]
    left, right = number[:, :-1][beside], number[:, 1:][beside]
    upper, lower = number[:-1][below], number[1:][below]
    return _Pairs(
        np.concatenate([left, upper]),
        np.concatenate([right, lower]),
        np.arange(len(left) + len(upper)) < len(left),
        np.concatenate([across[left] - across[right], down[upper] - down[lower]]),
        np.concatenate([down[right] - down[left], across[lower] - across[upper]]),
    )


# Pieces: an array of P numbers, 0..N-1, for the pixels of the foreground


def _walk_to_centres(
    pairs: _Pairs, across: Map, down: Map, noise: float, longest_walk: int
) -> Indices:
    """Let each pixel walk against its vector; those that end in one place are one piece."""
    tolerance = _STEP_TOLERANCE + _STEP_TOLERANCE_NOISE * noise
    allowed = (pairs.fall < tolerance) & (np.abs(pairs.sideways) < tolerance)
    steps = pairs.select(allowed)
    beside, below = steps.select(steps.is_horizontal), steps.select(~steps.is_horizontal)
    prefers_beside = np.abs(across) >= np.abs(down)
    following = np.arange(len(across))
    for preferred in (False, True):  # the second, the preferred direction, overrides the first
        for step, position, choice in (
            (beside, across, prefers_beside == preferred),
            (below, down, prefers_beside != preferred),
        ):
            onward = choice[step.first] & (position[step.first] < 0)
            back = choice[step.second] & (position[step.second] > 0)
            following[step.first[onward]] = step.second[onward]
            following[step.second[back]] = step.first[back]
    return _renumber(_ends(following, longest_walk))


def _ends(following: Indices, longest_walk: int) -> Indices:
    """Where the walk from each pixel ends: the smallest number of the circle it runs into."""
    end, smallest = following, np.arange(len(following))
    for _ in range(longest_walk.bit_length()):  # each round doubles the length of the walk
        smallest = np.minimum(smallest, smallest[end])
        end = end[end]
        following = end
    return smallest[following]


def _renumber(piece: Indices) -> Indices:
    """The same pieces, numbered from 0 without gaps."""
    used = np.zeros(len(piece), dtype=np.intp)
    used[piece] = 1
    return (np.cumsum(used) - 1)[piece]


def _number_nuclei(piece: Indices, min_area_px: int) -> Indices:
    """Number the pieces 1..N in the order of their first pixels; those too small are 0."""
    area = np.bincount(piece)
    first = np.full(len(area), len(piece))
    np.minimum.at(first, piece, np.arange(len(piece)))
    order = np.argsort(first)
    large = area[order] >= min_area_px
    number = np.zeros(len(area), dtype=np.intp)
    number[order] = np.cumsum(large) * large
    return number[piece]


class _Borders(NamedTuple):
    source: Indices  # (B,) a piece
    target: Indices  # (B,) one that it touches; each border is listed from both sides
    violation: NDArray[np.float64]  # (B,) of the laws, mean along the border


def _borders(pairs: _Pairs, piece: Indices) -> _Borders:
    """How much the maps break their laws along the border of each two touching pieces.

    Means before magnitudes, so that noise cancels instead of adding up.
    """
    a, b = piece[pairs.first], piece[pairs.second]
    count = len(piece)
    key, border, length = np.unique(
        np.minimum(a, b) * count + np.maximum(a, b), return_inverse=True, return_counts=True
    )

    def mean(values: NDArray[Any]) -> NDArray[np.float64]:
        return np.bincount(border, weights=values, minlength=len(key)) / length

    sideways = np.where(a < b, pairs.sideways, -pairs.sideways)
    violation = np.maximum(mean(pairs.fall), 0)
    violation += np.abs(mean(np.where(pairs.is_horizontal, sideways, 0)))
    violation += np.abs(mean(np.where(pairs.is_horizontal, 0, sideways)))
    low, high = np.divmod(key, count)
    return _Borders(np.concatenate([low, high]), np.concatenate([high, low]), np.tile(violation, 2))


def _join_consistent(pairs: _Pairs, piece: Indices) -> Indices:
    """Join each piece to its most consistent neighbour until no two are consistent."""
    while True:
        pairs = pairs.select(piece[pairs.first] != piece[pairs.second])
        borders = _borders(pairs, piece)
        best = _best_border(borders, borders.violation < _JOIN_TOLERANCE)
        if not len(best):
            return piece
        piece = _join(piece, borders.source[best], borders.target[best])


def _join_small(pairs: _Pairs, piece: Indices, min_area_px: int) -> Indices:
    """Join the pieces that are too small to be nuclei to their most consistent neighbour."""
    while True:
        pairs = pairs.select(piece[pairs.first] != piece[pairs.second])
        borders = _borders(pairs, piece)
        best = _best_border(borders, np.bincount(piece)[borders.source] < min_area_px)
        if not len(best):
            return piece
        piece = _join(piece, borders.source[best], borders.target[best])


def _best_border(borders: _Borders, eligible: Mask) -> Indices:
    """For each source with an eligible border, the row of the one with the least violation."""
    rows = np.flatnonzero(eligible)
    rows = rows[np.lexsort((borders.violation[rows], borders.source[rows]))]
    _, first = np.unique(borders.source[rows], return_index=True)
    return rows[first]


def _join(piece: Indices, source: Indices, target: Indices) -> Indices:
    count = int(piece.max()) + 1
    links = coo_array((np.ones(len(source)), (source, target)), shape=(count, count))
    joined: Indices = connected_components(links, directed=False)[1].astype(np.intp)
    return joined[piece]


# The published decoder

_OFFICIAL_MIN_AREA_PX = 10
_OFFICIAL_BORDER_LEVEL = 0.4
_OFFICIAL_OPENING = np.array(  # OpenCV's 5 x 5 "ellipse"
    [[0, 0, 1, 0, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [0, 0, 1, 0, 0]], bool
)


def decode_official(structure: NDArray[np.floating[Any]]) -> NDArray[np.int32]:
    """Find the nuclei of a structure as the published code does.

    The published training flips and rotates the maps as pictures, without turning their vectors:
    what a model trained that way draws is right only in one of 8 frames (the two maps swapped or
    not, the sign of each). All 8 are decoded, and the one whose labels, encoded again, come
    closest to its maps is kept. (The published code keeps the one with most nuclei, which favours
    a frame that breaks nuclei apart.)

    Parameters
    ----------
    structure : ndarray, (3, H, W), float
        Semantic map (a pixel is nucleus where it is 0.5 or more), horizontal and vertical map in
        -1..1 in any frame.

    Returns
    -------
    ndarray, (H, W), int32
        0 is background, nuclei are 1..N.

    Raises
    ------
    LayoutError
        If `structure` is not three planes of finite numbers.

    References
    ----------
    `get_instance_map` and `proc_np_hv` of the published code; Graham et al., HoVer-Net (2019).
    """
    semantic, first, second = _validate_structure(structure)
    frames = [np.stack([semantic, h, v]) for h, v in _frames(first, second)]
    decoded = [_decode_hovernet(frame) for frame in frames]
    errors = [_reprojection_error(*pair) for pair in zip(decoded, frames, strict=True)]
    return decoded[int(np.argmin(errors))]


def _frames(first: Map, second: Map) -> Iterator[tuple[Map, Map]]:
    for (h, v), sign_h, sign_v in product(((first, second), (second, first)), (1, -1), (1, -1)):
        yield sign_h * h, sign_v * v


def _reprojection_error(labels: Labels, structure: Map) -> float:
    """Mean square difference between the distance maps of some labels and those of a structure."""
    return float(np.square(encode_structure(labels)[1:] - structure[1:]).mean())


def _decode_hovernet(structure: Map) -> Labels:
    """HoVer-Net's post-processing: markers where the maps do not fall steeply, then a watershed."""
    semantic, horizontal, vertical = structure
    mask = _drop_small_parts(semantic >= 0.5) > 0
    steepness = np.maximum(_steepness(horizontal, axis=1), _steepness(vertical, axis=0))
    border = np.clip(steepness - ~mask, 0, None)
    markers = ndimage.binary_fill_holes(mask & (border < _OFFICIAL_BORDER_LEVEL))
    markers = ndimage.binary_erosion(markers, _OFFICIAL_OPENING, border_value=1)
    markers = ndimage.binary_dilation(markers, _OFFICIAL_OPENING)
    depth = (1 - border) * mask
    for axis in (0, 1):
        depth = ndimage.correlate1d(depth, [0.25, 0.5, 0.25], axis=axis, mode="mirror")
    labels: Labels = watershed(-depth, _drop_small_parts(markers), mask=mask).astype(np.int32)
    return labels


def _steepness(plane: Map, axis: int) -> NDArray[np.float64]:
    """How steeply a map falls along an axis, 0 to 1: OpenCV's Sobel filter of 21 pixels."""
    smooth = np.poly1d([0.5, 0.5]) ** 20
    derive = np.poly1d([0.5, 0.5]) ** 19 * np.poly1d([1.0, -1.0])
    slope = ndimage.correlate1d(
        _stretch(plane.astype(np.float64)), derive.coeffs[::-1], axis=axis, mode="mirror"
    )
    slope = ndimage.correlate1d(slope, smooth.coeffs, axis=1 - axis, mode="mirror")
    return 1 - _stretch(slope)


def _stretch(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale to 0..1; a constant plane becomes 0."""
    low, high = plane.min(), plane.max()
    return (plane - low) / (high - low) if high > low else np.zeros_like(plane)


def _drop_small_parts(mask: Mask) -> Labels:
    """Number the connected parts of a mask and clear those that are too small."""
    parts: Labels = ndimage.label(mask)[0]
    parts[(np.bincount(parts.ravel()) < _OFFICIAL_MIN_AREA_PX)[parts]] = 0
    return parts
