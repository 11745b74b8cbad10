"""Do renders agree with their layouts? The judge's opinion, with real images as the ceiling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.dataset.pair import Pair
from napari_nudiff.evaluation.resampling import (
    FEWEST_GROUPS,
    Interval,
    mean_interval,
    ratio_interval,
)
from napari_nudiff.evaluation.segmenter import Segmenter, segment
from napari_nudiff.nuclei.metrics import aji, dice, panoptic, unmatched

SCORES = ("dice", "aji", "pq")
RATES = ("missed", "extra")
"""Counts of nuclei, reported per 100 labelled ones."""


@dataclass(frozen=True)
class Score:
    """How well a segmentation fits labels.

    Attributes
    ----------
    name, group : str
        Of the field.
    dice : float
        Of the foreground.
    aji, pq : float
        Of the nuclei.
    nuclei : int
        Labelled ones.
    missed, extra : int
        Labelled nuclei that were not found, and found ones that the labels lack; see
        `napari_nudiff.nuclei.metrics.unmatched`.
    """

    name: str
    group: str
    dice: float
    aji: float
    pq: float
    nuclei: int
    missed: int
    extra: int


def score(judge: Segmenter, field: Pair, image: NDArray[np.uint8] | None = None) -> Score:
    """Segment an image and compare it with the labels of a field.

    Parameters
    ----------
    judge : Segmenter
    field : Pair
    image : ndarray, (H, W, 3), uint8, optional
        A render of the field's labels; the real image by default.
    """
    seen = segment(judge, field.pixels if image is None else image)
    truth = field.labels
    return Score(
        field.name,
        field.group,
        dice(truth, seen),
        aji(truth, seen),
        panoptic(truth, seen).pq,
        len(np.unique(truth[truth > 0])),
        *unmatched(truth, seen),
    )


def summary(scores: Sequence[Score]) -> dict[str, Interval]:
    """Mean of each score, and the nuclei missed and additional per 100 labelled ones."""
    units = _units(scores)
    means = {name: mean_interval([getattr(s, name) for s in scores], units) for name in SCORES}
    return means | _rates([[getattr(s, name) for s in scores] for name in RATES], scores)


def difference(made: Sequence[Score], real: Sequence[Score]) -> dict[str, Interval]:
    """Render minus real image, field by field: far surer than the two numbers apart.

    Parameters
    ----------
    made, real : sequences of Score
        Of the same fields in the same order.
    """
    units = _units(real)
    apart = {
        name: [getattr(a, name) - getattr(b, name) for a, b in zip(made, real, strict=True)]
        for name in (*SCORES, *RATES)
    }
    means = {name: mean_interval(apart[name], units) for name in SCORES}
    return means | _rates([apart[name] for name in RATES], real)


def _rates(counts: Sequence[Sequence[int]], scores: Sequence[Score]) -> dict[str, Interval]:
    """Counts of the fields per 100 of their labelled nuclei, all fields together."""
    labelled, units = [s.nuclei for s in scores], _units(scores)
    return {
        name: ratio_interval([100 * n for n in of_fields], labelled, units)
        for name, of_fields in zip(RATES, counts, strict=True)
    }


def _units(scores: Sequence[Score]) -> list[str]:
    """What is drawn by the bootstrap: patients, or images where there are too few patients."""
    groups = [s.group for s in scores]
    return groups if len(set(groups)) >= FEWEST_GROUPS else [s.name for s in scores]
