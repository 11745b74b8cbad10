"""How much of the variety of real tissue renders reach, with real against real as the ceiling.

Density and coverage depend on how many images there are on both sides. Everything here is therefore
measured between equally many images, drawn again and again, and from crops that do not overlap: two
crops that share pixels are nearer to each other than any render can be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.dataset.pair import Pair
from napari_nudiff.evaluation.distance import density_and_coverage
from napari_nudiff.evaluation.features import Features
from napari_nudiff.evaluation.resampling import NOT_MEASURED, Interval

FEWEST = 12
"""Images a set below which nothing is measured: a coverage of the five nearest of few is 1."""

_DRAWS = 200

Mask = NDArray[np.bool_]
Rng = np.random.Generator


@dataclass(frozen=True)
class Coverage:
    """Coverage of training crops by four sets of images, and density of the first two in them.

    Each is the mean over draws, with the range of 95 % of them.

    Attributes
    ----------
    renders, held_out : Interval
        By renders, and by real crops of held-out images.
    images : Interval
        By crops of the other half of the training images, of the same patients where a patient has
        several images: what a perfect model reaches.
    patients : Interval
        Of crops of one half of the training patients by those of the other half.
    density, density_held_out : Interval
    n : int
        Images a set; 0 where too few made it impossible.
    """

    renders: Interval
    held_out: Interval
    images: Interval
    patients: Interval
    density: Interval
    density_held_out: Interval
    n: int


def measure_coverage(
    known: Features,
    fields: Sequence[Pair],
    held_out: Features,
    made: Features,
    seed: int = 0,
) -> Coverage:
    """Measure coverage and its ceilings between equally many images.

    Parameters
    ----------
    known : ndarray, (N, D)
        Features of all crops of the training images.
    fields : sequence of Pair
        These crops: names of their images and their patients.
    held_out : ndarray, (K, D)
        Of all crops of the held-out images.
    made : ndarray, (M, D)
        Of renders.
    seed : int
    """
    rng = np.random.default_rng(seed)
    images = np.array([f.name for f in fields])
    patients = np.array([f.group for f in fields])
    by_image = [_half_of_images(images, patients, rng) for _ in range(_DRAWS)]
    n = min(len(made), len(held_out), *(_smaller(half) for half in by_image))
    if n < FEWEST:
        return Coverage(*(NOT_MEASURED,) * 6, n=0)
    found: list[list[float]] = []
    for half in by_image:
        reference = _drawn(known[half], n, rng)
        others = (made, held_out, known[~half])
        scores = [density_and_coverage(reference, _drawn(o, n, rng)) for o in others]
        found.append([coverage for _, coverage in scores] + [density for density, _ in scores[:2]])
    by_patient = [_half_of(patients, rng) for _ in range(_DRAWS)]
    apart = [
        density_and_coverage(_drawn(known[half], n, rng), _drawn(known[~half], n, rng))[1]
        for half in by_patient
        if _smaller(half) >= n
    ]
    renders, held, others_of_same, density, density_held = (
        _spread(values, n) for values in zip(*found, strict=True)
    )
    return Coverage(renders, held, others_of_same, _spread(apart, n), density, density_held, n)


def _half_of_images(images: NDArray[np.str_], patients: NDArray[np.str_], rng: Rng) -> Mask:
    """Crops of one half of the images, of each patient about as many as in the other half."""
    order = []
    for patient in rng.permutation(np.unique(patients)):
        order += list(rng.permutation(np.unique(images[patients == patient])))
    return np.isin(images, order[::2])


def _half_of(patients: NDArray[np.str_], rng: Rng) -> Mask:
    names = rng.permutation(np.unique(patients))
    return np.isin(patients, names[: len(names) // 2])


def _smaller(half: Mask) -> int:
    return int(min(half.sum(), (~half).sum()))


def _drawn(features: Features, n: int, rng: Rng) -> Features:
    drawn: Features = features[rng.choice(len(features), n, replace=False)]
    return drawn


def _spread(values: Sequence[float], n: int) -> Interval:
    if not values:
        return NOT_MEASURED
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(float(np.mean(values)), float(low), float(high), n)
