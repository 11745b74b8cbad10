import numpy as np
import pytest

from napari_nudiff.errors import LayoutError
from napari_nudiff.nuclei.layout import scatter_nuclei
from napari_nudiff.nuclei.metrics import aji, aji_plus, dice, panoptic, unmatched

ALL = [
    dice,
    aji,
    aji_plus,
    lambda t, p: panoptic(t, p).dq,
    lambda t, p: panoptic(t, p).sq,
    lambda t, p: panoptic(t, p).pq,
]
NAMES = ["dice", "aji", "aji_plus", "dq", "sq", "pq"]
EMPTY = np.zeros((6, 6), np.int32)

every_metric = pytest.mark.parametrize("metric", ALL, ids=NAMES)


def strip(*runs):
    """A layout of one row: strip((1, 4), (0, 2)) is four pixels of nucleus 1, two of background."""
    return np.repeat([label for label, _ in runs], [count for _, count in runs])[None]


@every_metric
def test_identity_is_one(metric):
    labels = scatter_nuclei((64, 64), seed=1)
    assert metric(labels, labels) == 1.0


@every_metric
def test_empty_layouts(metric):
    labels = EMPTY.copy()
    labels[2:4, 2:4] = 1
    assert metric(EMPTY, EMPTY) == 1.0
    assert metric(labels, EMPTY) == 0.0
    assert metric(EMPTY, labels) == 0.0


@every_metric
def test_disjoint_layouts_score_zero(metric):
    assert metric(strip((1, 4), (0, 4)), strip((0, 4), (1, 4))) == 0.0


@every_metric
@pytest.mark.parametrize("seed", range(3))
def test_ids_and_types_do_not_matter(metric, seed):
    random = np.random.default_rng(seed)
    truth, prediction = (scatter_nuclei((64, 64), seed=seed + i) for i in (0, 10))
    prediction = np.where(random.random((64, 64)) < 0.8, truth, prediction)
    expected = metric(truth, prediction)
    shuffled = np.array([0, *random.permutation(prediction.max()) + 1000], np.uint64)[prediction]
    assert metric((truth * 3).astype(np.uint16), shuffled) == pytest.approx(expected)
    assert expected > 0


@every_metric
def test_layouts_without_background(metric):
    full = strip((4, 3), (9, 3))
    assert metric(full, full) == 1.0


@every_metric
def test_different_shapes_are_refused(metric):
    with pytest.raises(LayoutError, match=r"\(6, 6\).*\(6, 5\)"):
        metric(EMPTY, EMPTY[:, :5])


def test_dice_by_hand():
    assert dice(strip((1, 4), (0, 4)), strip((0, 2), (5, 4), (0, 2))) == pytest.approx(0.5)


def test_aji_by_hand():
    truth = strip((1, 10), (0, 5), (2, 10), (0, 5), (3, 4), (0, 6))
    prediction = strip((1, 8), (0, 7), (2, 12), (0, 7), (9, 3), (0, 3))
    # 1: 8 / 10; 2: 10 / 12; 3 has no partner (4); prediction 9 is unused (3).
    assert aji(truth, prediction) == pytest.approx(18 / (10 + 12 + 4 + 3))
    assert aji_plus(truth, prediction) == pytest.approx(18 / (10 + 12 + 4 + 3))


def test_a_prediction_may_serve_twice_in_aji_but_not_in_aji_plus():
    truth = strip((1, 6), (2, 4))
    prediction = strip((1, 10))
    assert aji(truth, prediction) == pytest.approx((6 + 4) / (10 + 10))
    assert aji_plus(truth, prediction) == pytest.approx(6 / (10 + 4))


def test_aji_chooses_the_best_iou_not_the_largest_intersection():
    # Prediction 1 shares 5 of 10 pixels but is 40 long; prediction 2 shares 4 of 4.
    truth = strip((0, 35), (1, 10), (0, 5))
    prediction = strip((1, 40), (2, 4), (0, 6))
    assert aji(truth, prediction) == pytest.approx(4 / (10 + 40))


def test_panoptic_by_hand():
    truth = strip((1, 10), (0, 5), (2, 10), (0, 5), (3, 4), (0, 6))
    prediction = strip((1, 8), (0, 7), (2, 12), (0, 7), (9, 3), (0, 3))
    dq, sq, pq = panoptic(truth, prediction)
    assert dq == pytest.approx(2 / (2 + 0.5 + 0.5))
    assert sq == pytest.approx((8 / 10 + 10 / 12) / 2)
    assert pq == pytest.approx(dq * sq)


def test_a_pair_must_be_above_the_threshold():
    half = strip((1, 4), (0, 4)), strip((1, 8))  # an IoU of exactly one half
    assert panoptic(*half) == (0, 0, 0)
    assert panoptic(*half, iou_threshold=0.49).sq == pytest.approx(0.5)


def test_a_low_threshold_still_pairs_one_to_one():
    # One prediction over two nuclei: only one of them is detected.
    dq, sq, _ = panoptic(strip((1, 4), (2, 4)), strip((1, 8)), iou_threshold=0.3)
    assert dq == pytest.approx(2 / 3)
    assert sq == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_the_definition_counted_pair_by_pair(seed):
    random = np.random.default_rng(seed)
    truth, prediction = (random.integers(0, 5, (6, 6)) for _ in range(2))
    intersections, used = 0, set()
    union = 0
    for t in set(truth[truth > 0]):
        a = truth == t
        partners = {p: (a & (prediction == p)).sum() for p in set(prediction[a]) - {0}}
        ious = {p: n / (a | (prediction == p)).sum() for p, n in partners.items()}
        best = max(sorted(ious), key=ious.__getitem__)
        intersections += partners[best]
        union += (a | (prediction == best)).sum()
        used.add(best)
    union += sum((prediction == p).sum() for p in set(prediction[prediction > 0]) - used)
    assert aji(truth, prediction) == pytest.approx(intersections / union)


def test_nuclei_without_a_counterpart_are_counted():
    truth = strip((1, 8), (0, 4), (2, 8), (3, 8), (0, 8), (4, 8))
    # 1 split in two; 2 and 3 merged; 1 px of 4 found; one more where there is none
    found = strip((1, 4), (2, 4), (0, 4), (3, 16), (0, 1), (4, 6), (0, 8), (5, 1))
    assert unmatched(truth, found) == (1, 1)
    assert unmatched(found, truth) == (1, 1)
    assert unmatched(truth, found, least_share=0.1) == (0, 1)
    assert unmatched(truth, truth) == (0, 0)
    assert unmatched(truth, np.zeros_like(truth)) == (4, 0)
    assert unmatched(np.zeros_like(truth), truth) == (0, 4)


def test_a_quarter_is_enough_to_be_matched():
    truth, a_quarter, less = strip((1, 8), (0, 8)), strip((0, 6), (1, 8), (0, 2)), 7
    assert unmatched(truth, a_quarter) == (0, 0)
    assert unmatched(truth, strip((0, less), (1, 8), (0, 1))) == (1, 1)
