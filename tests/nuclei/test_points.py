"""Each point gets one nucleus, as far as the foreground shows it."""

import numpy as np
import pytest
from skimage.measure import euler_number, label, regionprops

from napari_nudiff.errors import LayoutError
from napari_nudiff.nuclei.layout import scatter_nuclei
from napari_nudiff.nuclei.metrics import dice
from napari_nudiff.nuclei.points import nuclei_from_points


def hill(centres, radius=8.0, shape=(96, 96), height=1.0):
    """Soft discs."""
    rows, cols = np.indices(shape)
    distance = np.min([np.hypot(rows - r, cols - c) for r, c in centres], axis=0)
    return height * np.clip(radius + 0.5 - distance, 0, 1)


def test_nuclei_come_back_from_their_centres() -> None:
    layout = scatter_nuclei((160, 200), density=0.25, mean_area_px=220, seed=3)
    centres = np.array([part.centroid for part in regionprops(layout)])
    found = nuclei_from_points(centres, (layout > 0).astype(np.float32), reach_px=16)
    assert not len(found.disagreeing)
    assert not len(found.unmarked)
    for number in range(1, layout.max() + 1):
        mask, wanted = found.labels == number, layout == number
        assert 2 * (mask & wanted).sum() / (mask.sum() + wanted.sum()) > 0.85
        assert label(mask, connectivity=1).max() == 1
        assert euler_number(mask, connectivity=1) == 1  # no holes
    assert dice(layout > 0, found.labels > 0) > 0.95


def test_touching_nuclei_are_parted_between_their_points() -> None:
    centres = np.array([(40, 30), (40, 44)])
    found = nuclei_from_points(centres, hill(centres)).labels
    assert set(found[40, 24:37]) == {1}
    assert set(found[40, 39:50]) == {2}
    areas = np.bincount(found.ravel())[1:]
    assert areas[0] == pytest.approx(areas[1], rel=0.1)


def test_a_pale_nucleus_is_followed_to_half_of_its_peak() -> None:
    points = np.array([(30, 30), (60, 60)])
    foreground = np.maximum(hill(points[:1]), hill(points[1:], height=0.4))
    found = nuclei_from_points(points, foreground)
    assert not len(found.disagreeing)
    areas = np.bincount(found.labels.ravel())[1:]
    assert areas[1] == pytest.approx(areas[0], rel=0.1)


def test_no_nucleus_reaches_further_than_told() -> None:
    everywhere = np.ones((96, 96))
    found = nuclei_from_points(np.array([(40, 40)]), everywhere, reach_px=12).labels
    rows, cols = np.nonzero(found)
    assert np.hypot(rows - 40, cols - 40).max() <= 14  # rounding moves the rim a little
    assert found[40, 50] == 1


def test_notches_are_filled_and_spurs_cut_and_thin_nuclei_stay() -> None:
    whole = hill([(48, 48)], radius=12) > 0.5
    odd = whole.copy()
    odd[47:50, 50:] = False  # a notch
    odd[46:48, 20:37] = True  # a spur
    found = nuclei_from_points(np.array([(48, 44)]), odd.astype(float), reach_px=30).labels > 0
    assert found[48, 54]
    assert not found[46:48, 20:32].any()
    thin = np.zeros((96, 96))
    thin[46:50, 33:58] = 1
    found = nuclei_from_points(np.array([(48, 45)]), thin, reach_px=14).labels > 0
    assert (found & (thin > 0)).sum() > 0.8 * thin.sum()


def test_points_and_map_that_disagree_are_listed() -> None:
    points = np.array([(20, 20), (20, 70), (21, 71), (70, 20)])
    foreground = hill([(20, 20), (70, 20), (70, 70)])
    kept = nuclei_from_points(points, foreground)
    assert kept.disagreeing.tolist() == [1, 2]
    assert np.allclose(kept.unmarked, [(70, 70)])
    assert set(np.unique(kept.labels)) == {0, 1, 2, 3, 4}  # every point has a nucleus
    assert kept.labels[70, 70] == 0
    assert 0 < (kept.labels == 2).sum() <= (kept.labels == 1).sum()
    dropped = nuclei_from_points(points, foreground, keep_disagreeing=False)
    assert dropped.disagreeing.tolist() == [1, 2]
    assert set(np.unique(dropped.labels)) == {0, 1, 4}
    added = nuclei_from_points(points, foreground, keep_unmarked=True)
    assert added.labels[70, 70] == 5
    assert (added.labels == 5).sum() == pytest.approx((added.labels == 1).sum(), rel=0.15)


def test_what_is_unmarked_and_far_too_large_is_no_nucleus() -> None:
    foreground = np.maximum(hill([(12, 12)]), hill([(64, 64)], radius=24))
    found = nuclei_from_points(np.array([(12, 12)]), foreground, keep_unmarked=True)
    assert np.allclose(found.unmarked, [(64, 64)])
    assert set(np.unique(found.labels)) == {0, 1}


def test_crowded_points_all_keep_a_nucleus() -> None:
    points = np.argwhere(np.ones((6, 6))) * 2 + 30
    found = nuclei_from_points(points, np.zeros((96, 96)))
    assert len(found.disagreeing) == len(points)
    assert set(np.unique(found.labels)) == set(range(len(points) + 1))


def test_without_points_there_are_no_nuclei() -> None:
    found = nuclei_from_points(np.zeros((0, 2)), hill([(40, 40)]))
    assert found.labels.shape == (96, 96)
    assert not found.labels.any()
    assert np.allclose(found.unmarked, [(40, 40)])


@pytest.mark.parametrize(
    ("points", "foreground", "reach_px", "complaint"),
    [
        ([(5, 96)], np.zeros((96, 96)), 9, "1 points lie outside"),
        ([(5, 5), (5, 5)], np.zeros((96, 96)), 9, "Two points lie in one pixel"),
        ([(5, np.nan)], np.zeros((96, 96)), 9, "finite rows and columns"),
        ([(5, 5, 5)], np.zeros((96, 96)), 9, "finite rows and columns"),
        ([(5, 5)], np.zeros((3, 96, 96)), 9, "one plane"),
        ([(5, 5)], np.full((96, 96), np.nan), 9, "finite probabilities"),
        ([(5, 5)], np.zeros((96, 96)), 0, "must be 1 px or more"),
    ],
)
def test_what_makes_no_sense_is_refused(points, foreground, reach_px, complaint) -> None:
    with pytest.raises(LayoutError, match=complaint):
        nuclei_from_points(np.array(points), foreground, reach_px=reach_px)
