"""How far two sets of images are from each other, by their features."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, islice

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.spatial.distance import cdist, pdist

from napari_nudiff.evaluation.features import Features
from napari_nudiff.evaluation.resampling import NOT_MEASURED, Interval, half_sample_interval

FEWEST_FOR_FID = 2048
"""Images of each set below which FID is mostly bias: the advice of its authors."""

_SPLITS = 50


def standardised(reference: Features, *others: Features) -> list[Features]:
    """Features on the scale of a reference set: mean 0, deviation 1."""
    mean, deviation = reference.mean(axis=0), reference.std(axis=0)
    deviation = np.where(deviation > 1e-9, deviation, 1.0)
    return [(features - mean) / deviation for features in (reference, *others)]


def kid(a: Features, b: Features, seed: int = 0) -> Interval:
    """Kernel inception distance: unbiased squared MMD under a cubic kernel.

    Binkowski et al. 2018 (arXiv 1801.01401). Zero on average for equal distributions, and
    therefore negative half of the time then.

    Parameters
    ----------
    a, b : ndarray, (N, D), (M, D)
        At least two of each.
    """
    return half_sample_interval(squared_mmd, a, b, seed=seed)


def kid_between_groups(features: Features, groups: Sequence[str]) -> Interval:
    """KID of one half of the patients against the other: how far real is from real.

    The mean over the ways to halve them, with the range of 95 % of these as its interval.

    Parameters
    ----------
    features : ndarray, (N, D)
    groups : sequence of str
        Patient of each; `NOT_MEASURED` where there are fewer than four.
    """
    names, of = sorted(set(groups)), np.asarray(groups)
    if len(names) < 4:
        return NOT_MEASURED
    halves = islice(combinations(names, len(names) // 2), _SPLITS)
    parts = (np.isin(of, half) for half in halves)
    values = [
        squared_mmd(features[one], features[~one])
        for one in parts
        if min(one.sum(), (~one).sum()) >= 2
    ]
    if not values:
        return NOT_MEASURED
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(float(np.mean(values)), float(low), float(high), len(names))


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

    Strongly biased upwards for fewer than `FEWEST_FOR_FID` images: compare only numbers of equally
    many.
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


def vendi(features: Features) -> float:
    """Vendi score: how many entirely different images a set is worth, 1 to N.

    Friedman and Dieng 2022 (arXiv 2210.02410), with the cosine of features as the kernel. It grows
    with N: compare only sets of equally many.
    """
    length = np.linalg.norm(features, axis=1, keepdims=True)
    unit = features / np.maximum(length, 1e-12)
    shares = np.linalg.eigvalsh(unit @ unit.T / len(unit))
    shares = shares[shares > 1e-12]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def nearest_distance(queries: Features, reference: Features) -> NDArray[np.float64]:
    """Distance of each query, in the nearest of its orientations, to the nearest of a reference.

    Parameters
    ----------
    queries : ndarray, (N, T, D)
    reference : ndarray, (M, D)

    Returns
    -------
    ndarray, (N,)
    """
    count, turns, dimension = queries.shape
    apart = cdist(queries.reshape(-1, dimension), reference).min(axis=1)
    least: NDArray[np.float64] = apart.reshape(count, turns).min(axis=1)
    return least
