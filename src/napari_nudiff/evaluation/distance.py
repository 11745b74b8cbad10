"""How far two sets of images are from each other, by their features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.spatial.distance import cdist, pdist

from napari_nudiff.evaluation.features import Features
from napari_nudiff.evaluation.resampling import Interval

_SUBSETS = 200
_LARGEST_SUBSET = 100


def standardised(reference: Features, *others: Features) -> list[Features]:
    """Features on the scale of a reference set: mean 0, deviation 1."""
    mean, deviation = reference.mean(axis=0), reference.std(axis=0)
    deviation = np.where(deviation > 1e-9, deviation, 1.0)
    return [(features - mean) / deviation for features in (reference, *others)]


def kid(a: Features, b: Features, seed: int = 0) -> Interval:
    """Kernel inception distance: unbiased squared MMD under a cubic kernel.

    Binkowski et al. 2018 (arXiv 1801.01401). The interval is that of the mean over random
    subsets, as is usual; it does not know of patients.

    Parameters
    ----------
    a, b : ndarray, (N, D), (M, D)
        At least two of each.
    """
    rng = np.random.default_rng(seed)
    size = min(len(a), len(b), _LARGEST_SUBSET)
    whole = squared_mmd(a, b)
    if size < 4:
        return Interval(whole, np.nan, np.nan, size)
    half = max(size // 2, 2)
    drawn = [
        squared_mmd(
            a[rng.choice(len(a), half, replace=False)], b[rng.choice(len(b), half, replace=False)]
        )
        for _ in range(_SUBSETS)
    ]
    # Half of a set, drawn without repetition, varies about it as much as it does about the truth.
    low, high = np.percentile(np.asarray(drawn) - np.mean(drawn), [2.5, 97.5])
    return Interval(whole, whole + float(low), whole + float(high), size)


def squared_mmd(a: Features, b: Features) -> float:
    """Unbiased squared maximum mean discrepancy under (x.y / D + 1)^3."""
    dimension = a.shape[1]

    def kernel(x: Features, y: Features) -> NDArray[np.float64]:
        cubed: NDArray[np.float64] = (x @ y.T / dimension + 1) ** 3
        return cubed

    def within(x: Features) -> float:
        values = kernel(x, x)
        return float((values.sum() - np.trace(values)) / (len(x) * (len(x) - 1)))

    return within(a) + within(b) - 2 * float(kernel(a, b).mean())


def fid(a: Features, b: Features) -> float:
    """Frechet distance of two sets as if they were normal (Heusel et al. 2017).

    Strongly biased upwards for few images: compare only numbers of equally many.
    """
    spread_a, spread_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = linalg.sqrtm(np.atleast_2d(spread_a @ spread_b))
    trace = np.trace(np.atleast_2d(spread_a)) + np.trace(np.atleast_2d(spread_b))
    apart = float(((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum())
    return float(apart + trace - 2 * np.real(np.trace(root)))


def density_and_coverage(
    real: Features, made: Features, neighbours: int = 5
) -> tuple[float, float]:
    """How typical made images are, and how much of the real variety they reach.

    Naeem et al. 2020 (arXiv 2002.09797): density is about 1 for equal distributions, coverage
    close to 1; a model that makes the same image again and again has a low coverage.
    """
    neighbours = min(neighbours, len(real) - 1)
    among = cdist(real, real)
    radius = np.sort(among, axis=1)[:, neighbours]
    inside = cdist(real, made) < radius[:, None]
    density = float(inside.sum() / (neighbours * len(made)))
    return density, float(inside.any(axis=1).mean())


def diversity(features: Features) -> float:
    """Mean distance between two images of a set."""
    return float(pdist(features).mean()) if len(features) > 1 else float("nan")
