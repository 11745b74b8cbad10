"""How well one layout of nuclei agrees with another: Dice, AJI, AJI+, DQ, SQ, PQ.

Every metric takes `(truth, prediction)`, two label arrays of one shape and any integer type, with
0 as background; the values of the ids do not matter. All are fractions, 0 to 1, with the same two
edge cases: both arrays empty is perfect agreement, 1; only one of them empty is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from napari_nudiff.errors import LayoutError

Labels = NDArray[np.integer]


class PanopticQuality(NamedTuple):
    """Detection quality, segmentation quality, and their product, the panoptic quality."""

    dq: float
    sq: float
    pq: float


class Unmatched(NamedTuple):
    """Nuclei that have nothing to do with the other layout: missed ones and additional ones."""

    missed: int
    extra: int


@dataclass(frozen=True)
class _Overlap:
    """The nuclei of two layouts and the pairs of them that share pixels."""

    truth_area: NDArray[np.intp]  # (T,) pixels
    prediction_area: NDArray[np.intp]  # (P,) pixels
    truth: NDArray[np.intp]  # (pairs,) index into truth_area
    prediction: NDArray[np.intp]  # (pairs,) index into prediction_area
    intersection: NDArray[np.intp]  # (pairs,) pixels

    @property
    def union(self) -> NDArray[np.intp]:
        """Pixels in either nucleus of each pair."""
        both = self.truth_area[self.truth] + self.prediction_area[self.prediction]
        return both - self.intersection

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each pair."""
        iou: NDArray[np.float64] = self.intersection / self.union
        return iou

    @property
    def trivial_score(self) -> float | None:
        """The score if one layout, or both, has no nuclei; otherwise None."""
        counts = len(self.truth_area), len(self.prediction_area)
        return None if all(counts) else float(not any(counts))


def dice(truth: Labels, prediction: Labels) -> float:
    """Dice coefficient of the two foregrounds, whatever the nuclei in them.

    Parameters
    ----------
    truth, prediction : ndarray, (H, W), integer

    Returns
    -------
    float
        1 if both are empty, 0 if only one is.

    Raises
    ------
    LayoutError
        If the shapes differ.
    """
    _require_same_shape(truth, prediction)
    a, b = truth > 0, prediction > 0
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero(a & b) / total if total else 1.0


def aji(truth: Labels, prediction: Labels) -> float:
    """Aggregated Jaccard index.

    Each true nucleus is compared with the prediction of highest IoU, which may serve several of
    them; predictions that served none are added to the union.

    Parameters
    ----------
    truth, prediction : ndarray, (H, W), integer

    Returns
    -------
    float
        1 if both are empty, 0 if only one is.

    Raises
    ------
    LayoutError
        If the shapes differ.

    References
    ----------
    Kumar et al., IEEE TMI 36(7) 2017; `get_fast_aji` of HoVer-Net's published code.
    """
    overlap = _overlap(truth, prediction)
    if (trivial := overlap.trivial_score) is not None:
        return trivial
    # Sorted by nucleus, then by falling IoU: the first row of each nucleus is its best partner.
    order = np.lexsort((-overlap.iou, overlap.truth))
    _, first = np.unique(overlap.truth[order], return_index=True)
    return _aggregate(overlap, order[first])


def aji_plus(truth: Labels, prediction: Labels) -> float:
    """Aggregated Jaccard index with one-to-one partners, those of highest total IoU.

    Parameters
    ----------
    truth, prediction : ndarray, (H, W), integer

    Returns
    -------
    float
        1 if both are empty, 0 if only one is.

    Raises
    ------
    LayoutError
        If the shapes differ.

    References
    ----------
    `get_fast_aji_plus` of HoVer-Net's published code (Graham et al., 2019).
    """
    overlap = _overlap(truth, prediction)
    if (trivial := overlap.trivial_score) is not None:
        return trivial
    row_of_pair = np.full((len(overlap.truth_area), len(overlap.prediction_area)), -1)
    row_of_pair[overlap.truth, overlap.prediction] = np.arange(len(overlap.truth))
    iou = np.append(overlap.iou, 0.0)[row_of_pair]  # the last entry, -1, is "no shared pixel"
    partners = row_of_pair[linear_sum_assignment(iou, maximize=True)]
    return _aggregate(overlap, partners[partners >= 0])


def panoptic(truth: Labels, prediction: Labels, iou_threshold: float = 0.5) -> PanopticQuality:
    """Detection, segmentation and panoptic quality.

    Parameters
    ----------
    truth, prediction : ndarray, (H, W), integer
    iou_threshold : float
        Two nuclei are a pair if their IoU is above this. At 0.5 or more a nucleus can have one
        partner at most; below it, partners are chosen for the highest total IoU.

    Returns
    -------
    PanopticQuality
        `dq` is the F1 score of the pairs, `sq` their mean IoU (0 without a pair), `pq` the
        product. All 1 if both are empty, 0 if only one is.

    Raises
    ------
    LayoutError
        If the shapes differ.

    References
    ----------
    Kirillov et al., CVPR 2019; `get_fast_pq` of HoVer-Net's published code.
    """
    overlap = _overlap(truth, prediction)
    if (trivial := overlap.trivial_score) is not None:
        return PanopticQuality(trivial, trivial, trivial)
    paired_iou = _paired_iou(overlap, iou_threshold)
    counts = len(overlap.truth_area) + len(overlap.prediction_area)
    dq = 2 * len(paired_iou) / counts
    sq = float(paired_iou.mean()) if len(paired_iou) else 0.0
    return PanopticQuality(dq, sq, dq * sq)


def unmatched(truth: Labels, prediction: Labels, least_share: float = 0.25) -> Unmatched:
    """Count the nuclei that were missed, and those that the truth lacks.

    A nucleus counts if less than a share of its pixels lies in the other foreground, in whatever
    nuclei. Two nuclei that were merged, or one that was split, are neither missed nor additional.

    Parameters
    ----------
    truth, prediction : ndarray, (H, W), integer
    least_share : float
        0 to 1.

    Raises
    ------
    LayoutError
        If the shapes differ.
    """
    overlap = _overlap(truth, prediction)
    sides = (
        (overlap.truth, overlap.truth_area),
        (overlap.prediction, overlap.prediction_area),
    )
    counts = []
    for index, area in sides:
        shared = np.bincount(index, overlap.intersection, minlength=len(area))
        counts.append(int(np.count_nonzero(shared < least_share * area)))
    return Unmatched(*counts)


def _paired_iou(overlap: _Overlap, threshold: float) -> NDArray[np.float64]:
    """IoU of the pairs above a threshold, no nucleus in two of them."""
    iou = overlap.iou
    if threshold >= 0.5:
        return iou[iou > threshold]
    table = np.zeros((len(overlap.truth_area), len(overlap.prediction_area)))
    table[overlap.truth, overlap.prediction] = iou
    best: NDArray[np.float64] = table[linear_sum_assignment(table, maximize=True)]
    return best[best > threshold]


def _aggregate(overlap: _Overlap, partners: NDArray[np.intp]) -> float:
    """Intersections over unions of the chosen pairs, the nuclei left alone added to the union."""
    alone = overlap.truth_area.sum() + overlap.prediction_area.sum()
    alone -= overlap.truth_area[np.unique(overlap.truth[partners])].sum()
    alone -= overlap.prediction_area[np.unique(overlap.prediction[partners])].sum()
    return float(overlap.intersection[partners].sum() / (overlap.union[partners].sum() + alone))


def _overlap(truth: Labels, prediction: Labels) -> _Overlap:
    """Compare two label arrays in one pass: the non-empty cells of their contingency table."""
    _require_same_shape(truth, prediction)
    truth_ids, of_truth, truth_area = _numbered(truth)
    prediction_ids, of_prediction, prediction_area = _numbered(prediction)
    both = (truth.ravel() > 0) & (prediction.ravel() > 0)
    keys = of_truth[both] * len(prediction_ids) + of_prediction[both]
    pairs, intersection = np.unique(keys, return_counts=True)
    truth_index, prediction_index = np.divmod(pairs, max(len(prediction_ids), 1))
    # Number only the nuclei: if there is background, it is entry 0 of each table.
    skip_truth, skip_prediction = (int(0 in ids[:1]) for ids in (truth_ids, prediction_ids))
    return _Overlap(
        truth_area[skip_truth:],
        prediction_area[skip_prediction:],
        truth_index - skip_truth,
        prediction_index - skip_prediction,
        intersection,
    )


def _numbered(labels: Labels) -> tuple[Labels, NDArray[np.intp], NDArray[np.intp]]:
    """Ids of a label array, each pixel's place among them, and their areas."""
    ids, index, area = np.unique(labels.ravel(), return_inverse=True, return_counts=True)
    return ids, index, area


def _require_same_shape(truth: Labels, prediction: Labels) -> None:
    if truth.shape != prediction.shape:
        raise LayoutError(
            f"Two layouts can be compared only if they have one shape; these have {truth.shape} "
            f"and {prediction.shape}. Crop or resample one of them."
        )
