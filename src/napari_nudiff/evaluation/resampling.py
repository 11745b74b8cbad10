"""Confidence intervals by the bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 1000


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % confidence interval.

    Attributes
    ----------
    value : float
    low, high : float
        NaN where there is too little to tell.
    n : int
        Independent observations.
    """

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        if not np.isfinite(self.low):
            return f"{self.value:.3f}"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def mean_interval(values: Sequence[float], groups: Sequence[str] | None = None) -> Interval:
    """Mean of values, with an interval over groups (patients) where they are told.

    Images of one patient are alike: drawing images alone would make the interval too narrow. With
    fewer than three groups images are drawn all the same, as the lesser evil.
    """
    array = np.asarray(values, dtype=float)
    names = list(groups) if groups is not None else []
    if len(set(names)) >= 3:
        units = [array[[n == name for n in names]] for name in sorted(set(names))]
    else:
        units = [array[i : i + 1] for i in range(len(array))]
    return interval(
        lambda drawn: float(np.concatenate([units[i] for i in drawn]).mean()), len(units)
    )


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
