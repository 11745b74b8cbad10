"""Numbers of nuclei, real against sampled, with the spread between patients as the yardstick."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.stats import ks_2samp, wasserstein_distance
from skimage.measure import regionprops_table

from napari_nudiff.evaluation.resampling import Interval, interval

Table = dict[str, NDArray[np.float64]]

NUCLEUS_STATISTICS = {
    "area_px": "area, px",
    "eccentricity": "eccentricity",
    "solidity": "solidity",
    "neighbour_px": "distance to the next centre, px",
}
LAYOUT_STATISTICS = {
    "count_per_mpx": "nuclei per megapixel",
    "foreground": "share of the area",
    "touching": "share that touches another",
}
LABELS = LAYOUT_STATISTICS | NUCLEUS_STATISTICS
_TOUCHING_PX = 2  # between two pixels of nuclei that touch
_SMALLEST_PX = 30  # the form of smaller ones is that of their pixels
_FEWEST_FOR_QUARTILES = 4  # values of a patient
QUARTILES = ("lower quartile", "median", "upper quartile", "distance between the quartiles")
"""What `Comparison.quartiles_lowest` and `Comparison.quartiles_highest` have a value of each."""


@dataclass(frozen=True)
class Comparison:
    """One statistic of real and of sampled nuclei.

    Attributes
    ----------
    name : str
    real, sampled : tuple of float
        Quartiles.
    real_median, sampled_median : Interval
        Over patients, and over layouts.
    lowest, highest : float
        Of the medians of the real patients.
    groups : int
        Real patients.
    quartiles_lowest, quartiles_highest : tuple of float
        Of the `QUARTILES` of the real patients with four values or more; NaN without any.
    quartile_groups : int
        Such patients.
    distance : float
        Wasserstein distance, in deviations of the real values.
    ks : float
        Kolmogorov-Smirnov distance: the largest gap between the two cumulative shares.
    real_n, sampled_n : int
        Values: layouts or nuclei.
    """

    name: str
    real: tuple[float, float, float]
    sampled: tuple[float, float, float]
    real_median: Interval
    sampled_median: Interval
    lowest: float
    highest: float
    groups: int
    quartiles_lowest: tuple[float, ...]
    quartiles_highest: tuple[float, ...]
    quartile_groups: int
    distance: float
    ks: float
    real_n: int
    sampled_n: int

    @property
    def within(self) -> bool:
        """Whether the sampled median lies within the spread between real patients."""
        return self.lowest <= self.sampled[1] <= self.highest

    @property
    def spread(self) -> float:
        """Distance between the quartiles of the sampled values."""
        return self.sampled[2] - self.sampled[0]

    @property
    def quartiles_outside(self) -> tuple[str, ...]:
        """Which of the sampled `QUARTILES` no real patient is below or none is above."""
        values = (*self.sampled, self.spread)
        ranges = zip(QUARTILES, values, self.quartiles_lowest, self.quartiles_highest, strict=True)
        return tuple(name for name, value, low, high in ranges if not low <= value <= high)


def measure(labels: NDArray[np.integer]) -> Table:
    """Statistics of a layout: one value each of the whole, one a nucleus of the rest.

    Nuclei that the border cuts count for number and share, but not for their form.
    """
    properties = ("label", "area", "eccentricity", "solidity", "centroid")
    table = regionprops_table(labels, properties=properties)
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    whole = ~np.isin(table["label"], border) & (table["area"] >= _SMALLEST_PX)
    # A nucleus cut in half is half a nucleus of this field.
    cut = len(table["label"]) - int((~np.isin(table["label"], border)).sum())
    count = len(table["label"]) - cut / 2
    centres = np.stack([table["centroid-0"], table["centroid-1"]], axis=1)
    return {
        "count_per_mpx": np.array([1e6 * count / labels.size]),
        "foreground": np.array([np.count_nonzero(labels) / labels.size]),
        "touching": np.array([_touching(labels, table["label"])]),
        "area_px": table["area"][whole].astype(float),
        "eccentricity": table["eccentricity"][whole].astype(float),
        "solidity": table["solidity"][whole].astype(float),
        "neighbour_px": _next_centre(centres)[whole],
    }


def compare(
    real: Sequence[NDArray[np.integer]],
    groups: Sequence[str],
    sampled: Sequence[NDArray[np.integer]],
) -> list[Comparison]:
    """Compare real and sampled layouts, best of equal size, statistic by statistic."""
    sampled_tables = [measure(layout) for layout in sampled]
    by_group: dict[str, list[Table]] = defaultdict(list)
    for group, layout in zip(groups, real, strict=True):
        by_group[group].append(measure(layout))
    comparisons = (_compared(name, by_group, sampled_tables) for name in LABELS)
    return [c for c in comparisons if c is not None]


def _compared(
    name: str, by_group: Mapping[str, Sequence[Table]], sampled: Sequence[Table]
) -> Comparison | None:
    """One statistic; None where there is no value of it."""
    of_groups = [_joined(tables, name) for tables in by_group.values()]
    of_groups = [values for values in of_groups if len(values)]
    of_layouts = [values for table in sampled if len(values := _joined([table], name))]
    if not (of_groups and of_layouts):
        return None
    real, made = np.concatenate(of_groups), np.concatenate(of_layouts)
    medians = [float(np.median(values)) for values in of_groups]
    many = [values for values in of_groups if len(values) >= _FEWEST_FOR_QUARTILES]
    lowest, highest = _ranges([(*(q := _quartiles(v)), q[2] - q[0]) for v in many])
    return Comparison(
        name,
        _quartiles(real),
        _quartiles(made),
        _median(of_groups),
        _median(of_layouts),
        min(medians),
        max(medians),
        len(medians),
        lowest,
        highest,
        len(many),
        float(wasserstein_distance(real, made) / max(float(real.std()), 1e-9)),
        float(ks_2samp(real, made, method="asymp").statistic),
        len(real),
        len(made),
    )


def _median(units: Sequence[NDArray[np.float64]]) -> Interval:
    """Median of all values, with an interval over the units (patients, layouts) they are of."""
    return interval(
        lambda drawn: float(np.median(np.concatenate([units[i] for i in drawn]))), len(units)
    )


def _joined(tables: Sequence[Table], name: str) -> NDArray[np.float64]:
    values: NDArray[np.float64] = np.concatenate([table[name] for table in tables])
    finite: NDArray[np.float64] = values[np.isfinite(values)]  # a lonely nucleus has no neighbour
    return finite


def _quartiles(values: NDArray[np.float64]) -> tuple[float, float, float]:
    low, middle, high = (float(v) for v in np.percentile(values, [25, 50, 75]))
    return low, middle, high


def _ranges(rows: Sequence[tuple[float, ...]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The lowest and the highest of each of the `QUARTILES` over patients."""
    if not rows:
        return ((float("nan"),) * len(QUARTILES),) * 2
    columns = list(zip(*rows, strict=True))
    return tuple(min(c) for c in columns), tuple(max(c) for c in columns)


def _next_centre(centres: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(centres) < 2:
        return np.full(len(centres), np.nan)
    distances: NDArray[np.float64] = KDTree(centres).query(centres, k=2)[0][:, 1]
    return distances


def _touching(labels: NDArray[np.integer], ids: NDArray[np.integer]) -> float:
    """Share of the nuclei with a pixel of another at most 2 px off; NaN where there is none.

    2 and not 1: where labels are made of masks, a line of background separates what touches.
    """
    if not len(ids):
        return float("nan")
    reach = range(-_TOUCHING_PX, _TOUCHING_PX + 1)
    near = [(y, x) for y in range(_TOUCHING_PX + 1) for x in reach if (y, x) > (0, 0)]
    found = [np.unique(pair) for y, x in near for pair in _meeting(labels, y, x)]
    return len(np.unique(np.concatenate(found))) / len(ids)


def _meeting(
    labels: NDArray[np.integer], down: int, across: int
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Labels of all pixels that lie in other nuclei than the pixel so far from them."""
    height, width = labels.shape
    first = labels[: height - down, max(-across, 0) : width - max(across, 0)]
    second = labels[down:, max(across, 0) : width - max(-across, 0)]
    met = (first != second) & (first > 0) & (second > 0)
    return first[met], second[met]
