"""Do renders agree with their layouts? The judge's opinion, with real images as the ceiling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.evaluation.resampling import FEWEST_GROUPS, Interval, mean_interval
from napari_nudiff.evaluation.segmenter import Segmenter, segment
from napari_nudiff.nuclei.metrics import aji, dice, panoptic

SCORES = ("dice", "aji", "pq")


@dataclass(frozen=True)
class Field:
    """A field of view of a real image.

    Attributes
    ----------
    name : str
        Of the image.
    group : str
        Patient or slide.
    image : ndarray, (H, W, 3), uint8
    labels : ndarray, (H, W), integer
    """

    name: str
    group: str
    image: NDArray[np.uint8]
    labels: NDArray[np.integer]


@dataclass(frozen=True)
class Score:
    """How well a segmentation fits labels: Dice of the foreground, AJI and PQ of the nuclei."""

    name: str
    group: str
    dice: float
    aji: float
    pq: float


def score(judge: Segmenter, field: Field, image: NDArray[np.uint8] | None = None) -> Score:
    """Segment an image and compare it with the labels of a field.

    Parameters
    ----------
    judge : Segmenter
    field : Field
    image : ndarray, (H, W, 3), uint8, optional
        A render of the field's labels; the real image by default.
    """
    seen = segment(judge, field.image if image is None else image)
    truth = field.labels
    return Score(
        field.name,
        field.group,
        dice(truth, seen),
        aji(truth, seen),
        panoptic(truth, seen).pq,
    )


def summary(scores: Sequence[Score]) -> dict[str, Interval]:
    """Mean of each score with its interval."""
    units = _units(scores)
    return {name: mean_interval([getattr(s, name) for s in scores], units) for name in SCORES}


def difference(made: Sequence[Score], real: Sequence[Score]) -> dict[str, Interval]:
    """Mean of render minus real image, field by field: far surer than the two means apart.

    Parameters
    ----------
    made, real : sequences of Score
        Of the same fields in the same order.
    """
    units = _units(real)
    return {
        name: mean_interval(
            [getattr(a, name) - getattr(b, name) for a, b in zip(made, real, strict=True)], units
        )
        for name in SCORES
    }


def _units(scores: Sequence[Score]) -> list[str]:
    """What is drawn by the bootstrap: patients, or images where there are too few patients."""
    groups = [s.group for s in scores]
    return groups if len(set(groups)) >= FEWEST_GROUPS else [s.name for s in scores]
