"""Subsets of patches, as the paper makes them and otherwise.

An order of patches is made from their features; of it, as many are kept as have the wanted share of
the nuclei.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.distance import cdist

from napari_nudiff.errors import DatasetError, RequestError

Features = NDArray[np.float64]
Patches = NDArray[np.int64]
"""(n, 5): number of the image, top, left, height, width (pixels)."""

Describe = Callable[[NDArray[np.uint8], NDArray[np.integer]], NDArray[np.floating]]
"""From the image and labels of a patch to a vector of features."""

_CLUSTERS = 6  # the paper's
_STARTS = 10
_ROUNDS = 100
_MOST_OVERLAP = 0.3  # of a patch with a kept one; a neighbour at half a patch has 0.5
_PERCENTILES = (5, 25, 50, 75, 95)
_GRADIENT_SCALES_PX = (1, 2, 4)


def cut(shape: tuple[int, int], patch_px: int, stride_px: int) -> list[tuple[int, int, int, int]]:
    """Windows (top, left, height, width) of an image; the last ones end at its border.

    An image that is smaller than a patch is one window.
    """
    rows, cols = (_starts(side, patch_px, stride_px) for side in shape)
    height, width = (min(side, patch_px) for side in shape)
    return [(top, left, height, width) for top in rows for left in cols]


def describe_patch(image: NDArray[np.uint8], labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Features of a patch: stain, texture at three scales, and its nuclei.

    Parameters
    ----------
    image : ndarray, (H, W, 3), uint8
    labels : ndarray, (H, W), integer

    Returns
    -------
    ndarray, (31,), float64
    """
    density = -np.log((image.astype(np.float64) + 1) / 256)  # optical, (H, W, 3)
    colours = density.reshape(-1, 3)
    stain = [colours.mean(0), colours.std(0), np.percentile(colours, _PERCENTILES, axis=0).ravel()]
    return np.concatenate([*stain, _texture(density.mean(axis=2)), _nuclei(labels)])


def standardised(features: NDArray[np.floating]) -> Features:
    """Features with mean 0 and deviation 1; those that never vary are 0."""
    centred = np.asarray(features, dtype=np.float64) - np.mean(features, axis=0)
    spread = centred.std(axis=0)
    return np.asarray(centred / np.where(spread > 0, spread, 1))


def read_features(path: Path, rows: int) -> Features:
    """Read features that were computed elsewhere, a row a patch.

    Raises
    ------
    DatasetError
        They cannot be read, are not finite, or are not of as many patches.
    """
    try:
        features = np.load(path, allow_pickle=False)
        finite = features.ndim == 2 and np.isfinite(features).all()
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise DatasetError(f"Cannot read the features {path}: {error}") from error
    if not finite or len(features) != rows:
        raise DatasetError(
            f"The features {path} have shape {features.shape}; finite numbers of shape ({rows}, D) "
            "are needed, one row a patch in the order of the set that --subset 100 makes."
        )
    return standardised(features)


def select_patches(
    patches: Patches,
    features: Features,
    nuclei: Sequence[NDArray[np.integer]],
    *,
    share: float,
    selection: str = "official",
    seed: int = 0,
) -> NDArray[np.intp]:
    """Choose patches that have about a share of the nuclei.

    Parameters
    ----------
    patches : ndarray, (n, 5)
    features : ndarray, (n, D)
    nuclei : sequence of ndarrays
        Ids of the nuclei in each patch, unique over all images; a nucleus in several patches
        counts once.
    share : float
        Above 0; 1 keeps all patches.
    selection : str
        One of `SELECTIONS`.
    seed : int

    Returns
    -------
    ndarray
        Numbers of the patches, rising.

    Raises
    ------
    RequestError
        There is no such selection.
    """
    if selection not in SELECTIONS:
        raise RequestError(f"There is no selection {selection}; known are {', '.join(SELECTIONS)}.")
    if share >= 1 or not len(patches):
        return np.arange(len(patches))
    order = SELECTIONS[selection](features, patches, np.random.default_rng(seed))
    shown = nuclei_shown(nuclei, order)
    kept = int(np.argmin(np.abs(shown - share * shown[-1]))) + 1
    return np.sort(order[:kept])


def nuclei_shown(
    nuclei: Sequence[NDArray[np.integer]], order: NDArray[np.intp]
) -> NDArray[np.int_]:
    """How many different nuclei the first patches of an order have, after each of them."""
    highest = max((int(ids.max(initial=0)) for ids in nuclei), default=0)
    first = np.full(highest + 1, len(order))
    for place, number in reversed(list(enumerate(order))):
        first[nuclei[number]] = place
    return np.cumsum(np.bincount(first, minlength=len(order) + 1)[: len(order)])


def order_officially(
    features: Features, patches: Patches, rng: np.random.Generator
) -> NDArray[np.intp]:
    """The paper's: those nearest to the centres of 6 clusters first, evenly from each cluster."""
    centres, cluster = _cluster(features, min(_CLUSTERS, len(features)), rng)
    distance = np.linalg.norm(features - centres[cluster], axis=1)
    rank = np.zeros(len(features))
    for number in range(len(centres)):
        members = np.flatnonzero(cluster == number)
        nearest_first = members[np.argsort(distance[members], kind="stable")]
        rank[nearest_first] = (np.arange(len(members)) + 0.5) / max(len(members), 1)
    return np.lexsort((cluster, rank))


def order_by_difference(
    features: Features, patches: Patches, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Always the patch that is farthest from those before it; overlapping ones come last."""
    count = len(features)
    farness = np.full(count, np.inf)
    waiting, overlapping = np.ones(count, dtype=bool), np.zeros(count, dtype=bool)
    order = np.zeros(count, dtype=np.intp)
    chosen = int(np.argmin(np.linalg.norm(features - features.mean(axis=0), axis=1)))
    for place in range(count):
        order[place] = chosen
        waiting[chosen] = False
        farness = np.minimum(farness, np.linalg.norm(features - features[chosen], axis=1))
        overlapping |= _overlap(patches, patches[chosen]) > _MOST_OVERLAP
        apart = waiting & ~overlapping
        chosen = int(np.argmax(np.where(apart if apart.any() else waiting, farness, -1)))
    return order


def order_randomly(
    features: Features, patches: Patches, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Any."""
    return rng.permutation(len(features))


SELECTIONS: dict[str, Callable[[Features, Patches, np.random.Generator], NDArray[np.intp]]] = {
    "official": order_officially,
    "diverse": order_by_difference,
    "random": order_randomly,
}


def _starts(side: int, patch: int, stride: int) -> list[int]:
    last = max(side - patch, 0)
    return [*range(0, last, stride), last]


def _texture(density: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean and deviation of the gradient at each scale."""
    scales = _GRADIENT_SCALES_PX
    edges = [ndimage.gaussian_gradient_magnitude(density, scale) for scale in scales]
    return np.array([value for edge in edges for value in (edge.mean(), edge.std())])


def _nuclei(labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Covered fraction, number per pixel, and mean and deviation of the diameters."""
    areas = np.unique(labels[labels > 0], return_counts=True)[1]
    sides = np.sqrt(areas) if len(areas) else np.zeros(1)
    number = len(areas) / labels.size
    return np.array([areas.sum() / labels.size, number, sides.mean(), sides.std()])


def _cluster(
    features: Features, count: int, rng: np.random.Generator
) -> tuple[Features, NDArray[np.intp]]:
    """k-means: the best of several starts."""
    runs = [_k_means(features, _spread_start(features, count, rng)) for _ in range(_STARTS)]
    return min(runs, key=lambda run: float(((features - run[0][run[1]]) ** 2).sum()))


def _spread_start(features: Features, count: int, rng: np.random.Generator) -> Features:
    """First centres far from each other (k-means++, Arthur and Vassilvitskii 2007)."""
    centres = features[[rng.integers(len(features))]]
    while len(centres) < count:
        squares = cdist(features, centres, "sqeuclidean").min(axis=1)
        total = squares.sum()
        chances = squares / total if total > 0 else None  # all patches are alike
        centres = np.vstack([centres, features[rng.choice(len(features), p=chances)]])
    return centres


def _k_means(features: Features, centres: Features) -> tuple[Features, NDArray[np.intp]]:
    for _ in range(_ROUNDS):
        cluster = cdist(features, centres).argmin(axis=1)
        moved = np.array(
            [
                features[cluster == i].mean(axis=0) if (cluster == i).any() else centre
                for i, centre in enumerate(centres)
            ]
        )
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres, cdist(features, centres).argmin(axis=1)


def _overlap(patches: Patches, with_one: NDArray[np.int64]) -> NDArray[np.float64]:
    """Fraction of each patch that lies in one of them."""
    ends = patches[:, 1:3] + patches[:, 3:5]
    end = with_one[1:3] + with_one[3:5]
    sides = np.minimum(ends, end) - np.maximum(patches[:, 1:3], with_one[1:3])
    shared = np.maximum(sides, 0).prod(axis=1) * (patches[:, 0] == with_one[0])
    return np.asarray(shared / patches[:, 3:5].prod(axis=1))
