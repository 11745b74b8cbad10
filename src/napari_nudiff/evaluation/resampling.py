"""Confidence intervals by the bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEWEST_GROUPS = 3
"""With fewer, groups say nothing about other groups."""

_ROUNDS = 1000
_HALVES = 200


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % confidence interval.

    Attributes
    ----------
    value : float
    low, high : float
        NaN where there are too few values.
    n : int
        Independent observations.
    """

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        if not np.isfinite(self.value):
            return "not measured"
        if not np.isfinite(self.low):
            return f"{self.value:.3f}"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def mean_interval(values: Sequence[float], groups: Sequence[str] | None = None) -> Interval:
    """Mean of values, with an interval over groups (patients) where they are given.

    Images of one patient are alike: drawing images alone would make the interval too narrow. With
    fewer than three groups images are drawn all the same, as the lesser evil.
    """
    return ratio_interval(values, np.ones(len(values)), groups)


def ratio_interval(
    numerators: Sequence[float],
    denominators: Sequence[float] | NDArray[np.float64],
    groups: Sequence[str] | None = None,
) -> Interval:
    """Sum of numerators over the sum of denominators, with an interval as in `mean_interval`.

    Parameters
    ----------
    numerators, denominators : sequences of float
        Of each image; images with a larger denominator weigh more.
    groups : sequence of str, optional
    """
    parts = np.asarray([numerators, denominators], dtype=float)
    names = list(groups) if groups is not None else []
    if len(set(names)) >= FEWEST_GROUPS:
        of = np.asarray(names)
        sums = np.stack([parts[:, of == name].sum(axis=1) for name in sorted(set(names))], axis=1)
    else:
        sums = parts

    def ratio(drawn: NDArray[np.intp]) -> float:
        numerator, denominator = sums[:, drawn].sum(axis=1)
        return float(numerator / denominator) if denominator else float("nan")

    return interval(ratio, sums.shape[1])


def interval(statistic: Callable[[NDArray[np.intp]], float], n: int, seed: int = 0) -> Interval:
    """A statistic of ``n`` units with its percentile interval.

    Parameters
    ----------
    statistic : callable
        From the numbers of the units drawn, with repetition, to the statistic.
    n : int
    seed : int
    """
    value = statistic(np.arange(n))
    if n < 2:
        return Interval(value, float("nan"), float("nan"), n)
    rng = np.random.default_rng(seed)
    drawn = [statistic(rng.integers(n, size=n)) for _ in range(_ROUNDS)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Interval(value, float(low), float(high), n)


def half_sample_interval(
    statistic: Callable[..., float], *sets: NDArray[np.float64], seed: int = 0
) -> Interval:
    """A statistic of sets of observations with its interval, by drawing halves of each set.

    For what repeated observations would bias, such as distances to neighbours, where the bootstrap
    cannot be used. It does not know of patients.

    Parameters
    ----------
    statistic : callable
        From sets, of any size from 2 on, to a number.
    *sets : ndarray, (N, ...)
    seed : int
    """
    value = statistic(*sets)
    size = min(len(s) for s in sets)
    if size < 4:
        return Interval(value, float("nan"), float("nan"), size)
    rng = np.random.default_rng(seed)
    drawn = [
        statistic(*(s[rng.choice(len(s), len(s) // 2, replace=False)] for s in sets))
        for _ in range(_HALVES)
    ]
    # Half of a set, drawn without repetition, varies about it as much as it does about the truth.
    low, high = np.percentile(np.asarray(drawn) - np.mean(drawn), [2.5, 97.5])
    return Interval(value, value + float(low), value + float(high), size)


NOT_MEASURED = Interval(float("nan"), float("nan"), float("nan"), 0)
