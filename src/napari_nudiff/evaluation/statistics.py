"""Numbers of nuclei, real against sampled, with the spread between patients as the yardstick."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.stats import wasserstein_distance
from skimage.measure import regionprops_table

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
}
LABELS = LAYOUT_STATISTICS | NUCLEUS_STATISTICS
_SMALLEST_PX = 30  # the form of smaller ones is that of their pixels


@dataclass(frozen=True)
class Comparison:
    """One statistic of real and of sampled nuclei.

    Attributes
    ----------
    name : str
    real, sampled : tuple of float
        Quartiles.
    lowest, highest : float
        Of the medians of the real patients.
    groups : int
        Real patients.
    distance : float
        Wasserstein distance, in deviations of the real values.
    """

    name: str
    real: tuple[float, float, float]
    sampled: tuple[float, float, float]
    lowest: float
    highest: float
    groups: int
    distance: float

    @property
    def within(self) -> bool:
        """Whether the sampled median lies within the spread between real patients."""
        return self.lowest <= self.sampled[1] <= self.highest


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
    real_tables, sampled_tables = [measure(la) for la in real], [measure(la) for la in sampled]
    by_group: dict[str, list[Table]] = defaultdict(list)
    for group, table in zip(groups, real_tables, strict=True):
        by_group[group].append(table)
    comparisons = []
    for name in LABELS:
        of_real, of_sampled = _joined(real_tables, name), _joined(sampled_tables, name)
        if not (len(of_real) and len(of_sampled)):
            continue
        medians = [
            float(np.median(values))
            for tables in by_group.values()
            if len(values := _joined(tables, name))
        ]
        apart = wasserstein_distance(of_real, of_sampled) / max(float(of_real.std()), 1e-9)
        comparisons.append(
            Comparison(
                name,
                _quartiles(of_real),
                _quartiles(of_sampled),
                min(medians),
                max(medians),
                len(medians),
                float(apart),
            )
        )
    return comparisons


def _joined(tables: Sequence[Table], name: str) -> NDArray[np.float64]:
    values: NDArray[np.float64] = np.concatenate([table[name] for table in tables])
    finite: NDArray[np.float64] = values[np.isfinite(values)]  # a lonely nucleus has no neighbour
    return finite


def _quartiles(values: NDArray[np.float64]) -> tuple[float, float, float]:
    low, middle, high = (float(v) for v in np.percentile(values, [25, 50, 75]))
    return low, middle, high


def _next_centre(centres: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(centres) < 2:
        return np.full(len(centres), np.nan)
    distances: NDArray[np.float64] = KDTree(centres).query(centres, k=2)[0][:, 1]
    return distances
