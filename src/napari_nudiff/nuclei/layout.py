"""Operations on layouts of nuclei: pure functions from label arrays to new label arrays."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.distance import cdist
from skimage.measure import label

from napari_nudiff.errors import RequestError
from napari_nudiff.nuclei.structure import validate_layout

Mask = NDArray[np.bool_]

_AREA_SPREAD = 0.35  # deviation of the logarithm of the nuclei's areas
_ECCENTRICITY_SPREAD = 0.1
_OUTLINE_WAVES = np.arange(2, 6)  # waves per turn that make an outline irregular ...
_OUTLINE_SWING = 0.12  # ... and their deviation over the wave number, in radii
_TRIES_PER_NUCLEUS = 400
_COMPARED_PLACES = 32  # free places of which the one that suits the spacing best is taken
_NEW_CLUSTER_CHANCE = 0.1  # that a nucleus starts a cluster instead of joining one
_FILLING_ROUNDS = 6  # nuclei cut by the border leave the layout too empty: fill up again


def scatter_nuclei(
    shape: tuple[int, int],
    *,
    density: float = 0.25,
    mean_area_px: float = 300.0,
    eccentricity: float = 0.6,
    min_gap_px: float = 1.0,
    spacing: str = "random",
    seed: int = 0,
) -> NDArray[np.int32]:
    """Scatter nuclei with smooth, slightly irregular outlines; none overlaps another.

    Parameters
    ----------
    shape : (int, int)
        Height and width in pixels.
    density : float
        Fraction of the layout to cover, 0 to 1. Nuclei that find no place are left out: what can
        be reached is about 0.5, less with a wide gap.
    mean_area_px : float
        Mean area of whole nuclei; those at the border are cut by it.
    eccentricity : float
        Mean eccentricity of their ellipses: 0 is round, 0.9 is more than twice as long as wide.
    min_gap_px : float
        Two pixels of different nuclei are further apart than this.
    spacing : {"random", "regular", "clustered"}
        Where nuclei go that have room: anywhere, far from the others, or close to them.
    seed : int
        The same seed gives the same layout.

    Returns
    -------
    ndarray, (H, W), int32
        0 is background, nuclei are 1..N.

    Raises
    ------
    RequestError
        If a value is out of its range.
    """
    _require(min(shape) > 0, "shape", shape, "a height and a width of at least 1")
    return scatter_around(
        np.zeros(shape, dtype=np.bool_),
        density=density,
        mean_area_px=mean_area_px,
        eccentricity=eccentricity,
        min_gap_px=min_gap_px,
        spacing=spacing,
        seed=seed,
    )


def scatter_around(
    blocked: Mask,
    *,
    density: float,
    mean_area_px: float,
    eccentricity: float,
    min_gap_px: float,
    spacing: str,
    seed: int,
) -> NDArray[np.int32]:
    """Scatter nuclei as `scatter_nuclei` does, but not on blocked pixels.

    Parameters
    ----------
    blocked : ndarray, (H, W), bool
        No nucleus covers these pixels; no gap is kept to them.
    density : float
        Fraction of the whole array to cover, 0 to 1.
    mean_area_px, eccentricity, min_gap_px, spacing, seed
        As in `scatter_nuclei`.

    Returns
    -------
    ndarray, (H, W), int32
        The new nuclei only, 1..N.

    Raises
    ------
    RequestError
        If a value is out of its range.
    """
    _require(0 <= density <= 1, "density", density, "a fraction from 0 to 1")
    _require(mean_area_px >= 1, "mean_area_px", mean_area_px, "at least 1")
    _require(0 <= eccentricity < 1, "eccentricity", eccentricity, "from 0 to less than 1")
    _require(min_gap_px >= 0, "min_gap_px", min_gap_px, "0 or more")
    _require(spacing in SPACINGS, "spacing", spacing, f"one of {', '.join(SPACINGS)}")
    random = np.random.default_rng(seed)
    ground = _Ground(np.zeros(blocked.shape, dtype=np.int32), blocked.copy(), [])
    for _ in range(_FILLING_ROUNDS):
        missing_px = density * blocked.size - np.count_nonzero(ground.labels)
        for area_px in _draw_areas(random, missing_px, mean_area_px):
            outline = _draw_nucleus(random, area_px, eccentricity)
            _place(random, ground, outline, min_gap_px, SPACINGS[spacing])
    return ground.labels


def remove_specks(
    labels: NDArray[np.integer], min_area_px: int, *, keep_cut: bool = False
) -> NDArray[np.integer]:
    """Clear the nuclei that have fewer than `min_area_px` pixels.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
    min_area_px : int
        Counted over all parts of a nucleus.
    keep_cut : bool
        Keep nuclei at the border, most of which may lie outside.

    Returns
    -------
    ndarray, (H, W), of the same type
    """
    validate_layout(labels)
    _, nucleus, area = _count(labels)
    small = area < min_area_px
    if keep_cut:
        small[nucleus[[0, -1]]] = False
        small[nucleus[:, [0, -1]]] = False
    return np.where(small[nucleus], labels.dtype.type(0), labels)


def relabel_contiguous(labels: NDArray[np.integer]) -> NDArray[np.int32]:
    """Renumber the nuclei 1..N in the order of their ids.

    Parameters
    ----------
    labels : ndarray, (H, W), integer

    Returns
    -------
    ndarray, (H, W), int32
    """
    validate_layout(labels)
    ids, nucleus, _ = _count(labels)
    first = 0 if 0 in ids[:1] else 1  # a layout without background starts at 1 all the same
    return (nucleus + first).astype(np.int32)


def split_disconnected(labels: NDArray[np.integer]) -> NDArray[np.integer]:
    """Give every connected part of a nucleus its own id.

    Pixels are connected through their sides, not through their corners, as in the decoders.

    Parameters
    ----------
    labels : ndarray, (H, W), integer

    Returns
    -------
    ndarray, (H, W), integer
        The largest part of each nucleus keeps its id, the others get new ones above the highest.
        The type is that of `labels`, or a wider one if the new ids need it.
    """
    validate_layout(labels)
    parts = label(labels, background=0, connectivity=1)
    area = np.bincount(parts.ravel())
    id_of_part = np.zeros(len(area), dtype=labels.dtype)
    id_of_part[parts] = labels
    # Sorted by id, then by falling area: every row but the first of each id is a part to renumber.
    order = np.lexsort((-area, id_of_part))
    extra = np.sort(order[1:][np.diff(id_of_part[order]) == 0])
    highest = int(id_of_part.max()) + len(extra)
    id_of_part = id_of_part.astype(np.result_type(labels.dtype, np.min_scalar_type(highest)))
    id_of_part[extra] = highest - len(extra) + 1 + np.arange(len(extra))
    split: NDArray[np.integer] = id_of_part[parts]
    return split


def fill_holes(labels: NDArray[np.integer]) -> NDArray[np.integer]:
    """Fill the gaps of background that lie within one nucleus.

    A gap between several nuclei, or at the border, stays.

    Parameters
    ----------
    labels : ndarray, (H, W), integer

    Returns
    -------
    ndarray, (H, W), of the same type
    """
    validate_layout(labels)
    gaps, count = ndimage.label(np.pad(labels == 0, 1, constant_values=True))
    padded = np.pad(labels, 1)
    lowest = np.full(count + 1, np.iinfo(labels.dtype).max, dtype=labels.dtype)
    highest = np.zeros(count + 1, dtype=labels.dtype)
    for gap, neighbour in _across_sides(gaps, padded):
        at_edge = (gap > 0) & (neighbour > 0)
        np.minimum.at(lowest, gap[at_edge], neighbour[at_edge])
        np.maximum.at(highest, gap[at_edge], neighbour[at_edge])
    surrounding = np.where(lowest == highest, highest, labels.dtype.type(0))
    surrounding[[0, gaps[0, 0]]] = 0  # neither the nuclei themselves nor the outside
    filled: NDArray[np.integer] = padded + surrounding[gaps]
    return filled[1:-1, 1:-1]


def smooth_outlines(labels: NDArray[np.integer], scale_px: float) -> NDArray[np.integer]:
    """Smooth the outline of every nucleus and keep its area.

    Each nucleus becomes the same number of pixels where its blurred mask is highest; where two
    claim a pixel, the one that claims it more strongly gets it. Specks and slivers thinner than
    the blur keep their form rather than vanish.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
    scale_px : float
        Deviation of the Gaussian blur; 0 = nothing changes.

    Returns
    -------
    ndarray, (H, W), of the same type
    """
    validate_layout(labels)
    _require(0 <= scale_px <= 50, "scale_px", scale_px, "0 to 50")
    smoothed = np.zeros_like(labels)
    strength = np.zeros(labels.shape, dtype=np.float32)
    margin = math.ceil(3 * scale_px)
    numbered = relabel_contiguous(labels)
    for number, box in enumerate(ndimage.find_objects(numbered), start=1):
        window = tuple(slice(max(side.start - margin, 0), side.stop + margin) for side in box)
        mask = numbered[window] == number
        claim = _claim(mask, scale_px)
        wins = claim > np.maximum(strength[window], 1 - 1e-6)
        strength[window][wins] = claim[wins]
        smoothed[window][wins] = labels[window][mask][0]
    return smoothed


def smooth_mask(mask: Mask, scale_px: float) -> Mask:
    """One nucleus with a smoother outline: as many pixels, those where its blurred mask is highest.

    Parameters
    ----------
    mask : ndarray, (H, W), bool
        With a margin as wide as the outline may move.
    scale_px : float
        Deviation of the Gaussian blur.

    Returns
    -------
    ndarray, (H, W), bool
    """
    smoothed: Mask = _claim(mask, scale_px) >= 1
    return smoothed


def _claim(mask: Mask, scale_px: float) -> NDArray[np.float32]:
    """How strongly a nucleus claims pixels: 1 and above on as many pixels as it has."""
    blurred = ndimage.gaussian_filter(mask.astype(np.float32), scale_px)
    area = np.count_nonzero(mask)
    faintest = np.partition(blurred, -area, axis=None)[-area]
    claim: NDArray[np.float32] = blurred / faintest
    return claim


def _require(condition: bool, name: str, value: object, expected: str) -> None:
    if not condition:
        raise RequestError(f"{name} is {value}; it must be {expected}.")


def _count(
    labels: NDArray[np.integer],
) -> tuple[NDArray[np.integer], NDArray[np.intp], NDArray[np.intp]]:
    """Ids in a layout, each pixel's place among them, and their areas (background: as if huge)."""
    if labels.max() <= labels.size:  # a table with gaps is several times cheaper than sorting
        area = np.bincount(labels.ravel().astype(np.intp))
        ids = np.flatnonzero(area).astype(labels.dtype)
        nucleus = (np.cumsum(area > 0) - 1)[labels]
        area = area[area > 0]
    else:
        ids, nucleus, area = np.unique(labels, return_inverse=True, return_counts=True)
    area[ids == 0] = np.iinfo(np.intp).max
    return ids, nucleus.reshape(labels.shape), area


def _across_sides(
    a: NDArray[Any], b: NDArray[Any]
) -> tuple[tuple[NDArray[Any], NDArray[Any]], ...]:
    """Pixels of `a` with their neighbours in `b`, in the four directions."""
    return (
        (a[:, :-1], b[:, 1:]),
        (a[:, 1:], b[:, :-1]),
        (a[:-1], b[1:]),
        (a[1:], b[:-1]),
    )


# Scattering


class _Ground(NamedTuple):
    """What the scattering has come to; changed in place."""

    labels: NDArray[np.int32]  # (H, W)
    blocked: Mask  # (H, W): no nucleus may cover these pixels
    centres: list[tuple[int, int]]  # of the nuclei; number i + 1 has centres[i]


class _Site(NamedTuple):
    """Where a stamp lies in a layout, and what of it is inside."""

    canvas: tuple[slice, slice]
    stamp: tuple[slice, slice]


def _draw_areas(
    random: np.random.Generator, total_px: float, mean_px: float
) -> NDArray[np.float64]:
    """Areas that add up to a total, largest first, as those find a place only while there is room.

    The last fraction of a nucleus is a whole one with that probability.
    """
    count = int(max(total_px, 0) / mean_px + random.random())
    areas = mean_px * random.lognormal(-(_AREA_SPREAD**2) / 2, _AREA_SPREAD, count)
    return np.sort(areas)[::-1]


def _draw_nucleus(random: np.random.Generator, area_px: float, eccentricity: float) -> Mask:
    """Rasterise one random outline: an ellipse whose radius swings a little."""
    e = np.clip(random.normal(eccentricity, _ECCENTRICITY_SPREAD * (eccentricity > 0)), 0, 0.95)
    flattening = (1 - e**2) ** 0.25  # half the axes' ratio on each axis, so that the area stays
    radius = np.sqrt(area_px / np.pi)
    swing = random.normal(0, _OUTLINE_SWING, len(_OUTLINE_WAVES)) / _OUTLINE_WAVES
    phase, turn = random.uniform(0, 2 * np.pi, len(_OUTLINE_WAVES)), random.uniform(0, 2 * np.pi)
    reach = int(np.ceil(radius / flattening * (1 + np.abs(swing).sum()))) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1] + random.uniform(-0.5, 0.5, (2, 1, 1))
    along = (x * np.cos(turn) + y * np.sin(turn)) * flattening
    beside = (y * np.cos(turn) - x * np.sin(turn)) / flattening
    angle = np.arctan2(beside, along)[..., None]
    outline = 1 + (swing * np.cos(_OUTLINE_WAVES * angle + phase)).sum(axis=-1)
    mask: Mask = np.hypot(along, beside) < radius * outline
    return mask


def _place(
    random: np.random.Generator,
    ground: _Ground,
    nucleus: Mask,
    min_gap_px: float,
    spacing: _Spacing,
) -> None:
    """Draw a nucleus, and block its surroundings, at the first of some places where it fits."""
    labels, blocked, centres = ground
    grown = _grow(nucleus, min_gap_px)
    places = np.stack(
        [random.integers(0, size, _TRIES_PER_NUCLEUS) for size in labels.shape], axis=1
    )
    for row, col in spacing(random, places[~blocked[tuple(places.T)]], centres):
        site = _site(nucleus.shape, (row, col), labels.shape)
        visible = nucleus[site.stamp]
        if visible.any() and not (blocked[site.canvas] & visible).any():
            centres.append((row, col))
            labels[site.canvas][visible] = len(centres)
            site = _site(grown.shape, (row, col), labels.shape)
            blocked[site.canvas] |= grown[site.stamp]
            return


def _grow(mask: Mask, distance_px: float) -> Mask:
    """A mask with everything around it up to a distance, on a larger stamp with the same centre."""
    outside = ~np.pad(mask, int(np.ceil(distance_px)))
    grown: Mask = ndimage.distance_transform_edt(outside) <= distance_px
    return grown


def _site(stamp: tuple[int, ...], centre: tuple[int, int], canvas: tuple[int, ...]) -> _Site:
    tops = [int(c) - size // 2 for c, size in zip(centre, stamp, strict=True)]
    starts = [max(top, 0) for top in tops]
    stops = [min(top + s, c) for top, s, c in zip(tops, stamp, canvas, strict=True)]
    on_canvas = [slice(a, b) for a, b in zip(starts, stops, strict=True)]
    on_stamp = [slice(a - t, b - t) for a, b, t in zip(starts, stops, tops, strict=True)]
    return _Site((on_canvas[0], on_canvas[1]), (on_stamp[0], on_stamp[1]))


# Spacings: in which order to try free places, given the centres of the nuclei that are there

_Places = NDArray[np.int64]  # (K, 2)
_Spacing = Callable[[np.random.Generator, _Places, list[tuple[int, int]]], _Places]


def _anywhere(
    random: np.random.Generator, places: _Places, centres: list[tuple[int, int]]
) -> _Places:
    return places


def _far_apart(
    random: np.random.Generator, places: _Places, centres: list[tuple[int, int]]
) -> _Places:
    if not centres:
        return places
    compared = places[:_COMPARED_PLACES]
    return compared[np.argsort(-_distances(compared, centres), kind="stable")]


def _in_clusters(
    random: np.random.Generator, places: _Places, centres: list[tuple[int, int]]
) -> _Places:
    if not centres or random.random() < _NEW_CLUSTER_CHANCE:
        return places
    return places[np.argsort(_distances(places, centres), kind="stable")]


def _distances(places: _Places, centres: list[tuple[int, int]]) -> NDArray[np.float64]:
    """Of each place to the nearest centre."""
    nearest: NDArray[np.float64] = cdist(places, np.array(centres)).min(axis=1, initial=np.inf)
    return nearest


SPACINGS: dict[str, _Spacing] = {
    "random": _anywhere,
    "regular": _far_apart,
    "clustered": _in_clusters,
}
"""How scattered nuclei can keep to each other."""
