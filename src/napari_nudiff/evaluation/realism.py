"""How real and how varied renders are, with real against real beside every number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.dataset.pair import Pair
from napari_nudiff.evaluation.coverage import Coverage, measure_coverage
from napari_nudiff.evaluation.distance import (
    diversity,
    fid,
    kid,
    kid_between_groups,
    nearest_distance,
    standardised,
    vendi,
)
from napari_nudiff.evaluation.features import FeatureExtractor, Features, turned_features
from napari_nudiff.evaluation.resampling import Interval, half_sample_interval


@dataclass(frozen=True)
class Realism:
    """How far renders are from real images; the floor is real against real.

    Attributes
    ----------
    kid, kid_floor : Interval
        Renders, and held-out real crops, against training crops.
    kid_patients : Interval
        Training crops of one half of the patients against the other half, over such halves.
    fid, fid_floor : float
    coverage : Coverage
        How much of the variety of training crops renders and real crops reach.
    diversity, diversity_real, diversity_floor : Interval
        Mean distance between two renders, two training crops, two held-out crops.
    vendi, vendi_real, vendi_floor : float
        Vendi scores of the same sets.
    n : int
        Images a set.
    nearest, nearest_unseen : tuple of float
        Distance of each render to the nearest training crop, and of each real crop to the nearest
        of training patients other than its own.
    """

    kid: Interval
    kid_floor: Interval
    kid_patients: Interval
    fid: float
    fid_floor: float
    coverage: Coverage
    diversity: Interval
    diversity_real: Interval
    diversity_floor: Interval
    vendi: float
    vendi_real: float
    vendi_floor: float
    n: int
    nearest: tuple[float, ...]
    nearest_unseen: tuple[float, ...]


def measure_realism(
    extract: FeatureExtractor,
    training: Sequence[Pair],
    held_out: Sequence[Pair],
    made: Sequence[NDArray[np.uint8]],
    seen: Sequence[Pair],
    unseen: Sequence[Pair],
) -> Realism | None:
    """Compare renders with real crops of the same size.

    Parameters
    ----------
    extract : FeatureExtractor
    training, held_out : sequences of Pair
        As many typical ones of each as there are renders.
    made : sequence of ndarray, (H, W, 3), uint8
    seen : sequence of Pair
        Crops of all that the model was trained on that do not overlap: what renders may be nearest
        to, and what they are to cover.
    unseen : sequence of Pair
        Such crops of all held-out images.

    Returns
    -------
    Realism or None
        None with fewer than two renders.
    """
    if len(made) < 2:
        return None
    pictures = [np.stack([f.pixels for f in fields]) for fields in (training, held_out)]
    turned = [turned_features(extract, images) for images in (*pictures, np.stack(made))]
    every = [extract(np.stack([f.pixels for f in fields])) for fields in (seen, unseen)]
    # Turned crops are sought among those seen; everything else is measured upright.
    real, *turned, known, unknown = standardised(turned[0][:, 0], *turned, *every)
    held, renders = turned[1][:, 0], turned[2][:, 0]
    return Realism(
        kid=kid(renders, real),
        kid_floor=kid(held, real),
        kid_patients=kid_between_groups(real, [f.group for f in training]),
        fid=fid(renders, real),
        fid_floor=fid(held, real),
        coverage=measure_coverage(known, seen, unknown, renders),
        diversity=half_sample_interval(diversity, renders),
        diversity_real=half_sample_interval(diversity, real),
        diversity_floor=half_sample_interval(diversity, held),
        vendi=vendi(renders),
        vendi_real=vendi(real),
        vendi_floor=vendi(held),
        n=len(made),
        nearest=tuple(nearest_distance(turned[2], known).tolist()),
        nearest_unseen=_nearest_of_others(turned[:2], (training, held_out), known, seen),
    )


def _nearest_of_others(
    turned: Sequence[Features],
    sets: Sequence[Sequence[Pair]],
    known: Features,
    seen: Sequence[Pair],
) -> tuple[float, ...]:
    """Distances of real crops to those of other patients: of what was never seen."""
    patients = np.array([f.group for f in seen])
    found: list[float] = []
    for features, fields in zip(turned, sets, strict=True):
        groups = np.array([f.group for f in fields])
        for group in sorted(set(groups.tolist())):
            others = known[patients != group]
            if len(others):
                found += nearest_distance(features[groups == group], others).tolist()
    return tuple(found)
