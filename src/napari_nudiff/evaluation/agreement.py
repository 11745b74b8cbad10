"""Do renders agree with their layouts? The judge's opinion, with real images as the ceiling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.evaluation.resampling import Interval, mean_interval
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
    groups = [s.group for s in scores]
    return {name: mean_interval([getattr(s, name) for s in scores], groups) for name in SCORES}
