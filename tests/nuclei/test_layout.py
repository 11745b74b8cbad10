import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import regionprops_table

from napari_nudiff.errors import LayoutError, RequestError
from napari_nudiff.nuclei.layout import (
    fill_holes,
    relabel_contiguous,
    remove_specks,
    scatter_nuclei,
    smooth_outlines,
    split_disconnected,
)


def whole_nuclei(labels):
    """Measures of the nuclei that the border does not cut."""
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    inner = np.where(np.isin(labels, border), 0, labels)
    return regionprops_table(inner, properties=("area", "eccentricity", "solidity"))


@pytest.mark.parametrize("density", [0.05, 0.2, 0.35, 0.45])
def test_scatter_reaches_the_density(density):
    labels = scatter_nuclei((300, 400), density=density, seed=1)
    assert labels.shape == (300, 400) and labels.dtype == np.int32
    assert np.mean(labels > 0) == pytest.approx(density, abs=0.01)


def test_scattered_nuclei_have_the_asked_size_and_form():
    whole = whole_nuclei(scatter_nuclei((512, 512), mean_area_px=400, eccentricity=0.7, seed=2))
    assert whole["area"].mean() == pytest.approx(400, rel=0.1)
    assert whole["area"].std() > 80
    assert whole["eccentricity"].mean() == pytest.approx(0.7, abs=0.05)
    assert whole["solidity"].min() > 0.85  # smooth
    assert len(np.unique(np.round(whole["solidity"], 3))) > 5  # not perfect ellipses


@pytest.mark.parametrize("gap", [0, 1, 4.5])
def test_scattered_nuclei_keep_the_gap(gap):
    labels = scatter_nuclei((200, 200), density=0.3, min_gap_px=gap, seed=3)
    distances = []
    for nucleus in range(1, labels.max() + 1):
        from_it = ndimage.distance_transform_edt(labels != nucleus)
        distances.append(from_it[(labels > 0) & (labels != nucleus)].min())
    assert min(distances) > gap
    assert min(distances) < gap + 3  # and the gap is what holds them apart


def test_scattered_nuclei_are_numbered_and_connected():
    labels = scatter_nuclei((256, 256), density=0.5, min_gap_px=0, seed=4)
    np.testing.assert_array_equal(np.unique(labels), np.arange(labels.max() + 1))
    np.testing.assert_array_equal(split_disconnected(labels), labels)


def test_scatter_is_reproducible_and_varied():
    first, again, other = (scatter_nuclei((128, 128), seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert np.mean(first != other) > 0.2


def test_scatter_gives_up_when_there_is_no_room():
    assert 0.4 < np.mean(scatter_nuclei((128, 128), density=1.0, seed=0) > 0) < 1
    assert not scatter_nuclei((64, 64), density=0).any()
    assert scatter_nuclei((5, 9), density=0.5, mean_area_px=2000).shape == (5, 9)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("density", -0.1),
        ("density", 25),
        ("density", float("nan")),
        ("mean_area_px", 0),
        ("eccentricity", 1),
        ("min_gap_px", -1),
    ],
)
def test_scatter_refuses_values_out_of_range(name, value):
    with pytest.raises(RequestError, match=f"{name} is {value}"):
        scatter_nuclei((64, 64), **{name: value})
    with pytest.raises(RequestError, match="shape"):
        scatter_nuclei((0, 64))


def test_remove_specks_counts_all_parts():
    labels = np.zeros((8, 8), np.uint8)
    labels[0, :4] = 1
    labels[2, :2] = labels[4, :2] = 2  # two parts of 2
    labels[6, :3] = 200
    cleaned = remove_specks(labels, 4)
    assert cleaned.dtype == np.uint8
    np.testing.assert_array_equal(cleaned, np.where(labels == 200, 0, labels))
    assert not remove_specks(labels, 5).any()
    np.testing.assert_array_equal(remove_specks(np.ones((2, 2), int), 5), 0)
    np.testing.assert_array_equal(remove_specks(np.zeros((2, 2), int), 5), 0)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.uint64])
def test_relabel_keeps_the_order_and_closes_gaps(dtype):
    labels = np.array([[0, 9, 9], [4, 0, 200]], dtype)
    np.testing.assert_array_equal(relabel_contiguous(labels), [[0, 2, 2], [1, 0, 3]])
    assert relabel_contiguous(labels).dtype == np.int32


def test_relabel_without_background_starts_at_one():
    np.testing.assert_array_equal(relabel_contiguous(np.array([[5, 5], [8, 8]])), [[1, 1], [2, 2]])


def test_split_gives_smaller_parts_new_ids():
    labels = np.array(
        [
            [3, 0, 3, 3],
            [0, 3, 0, 3],  # the part in the middle touches others only at corners
            [7, 7, 0, 0],
        ],
        np.uint16,
    )
    expected = [[8, 0, 3, 3], [0, 9, 0, 3], [7, 7, 0, 0]]
    split = split_disconnected(labels)
    np.testing.assert_array_equal(split, expected)
    assert split.dtype == np.uint16


def test_split_widens_the_type_and_works_without_background():
    labels = np.array([[255, 1, 255]], np.uint8)
    np.testing.assert_array_equal(split_disconnected(labels), [[255, 1, 256]])
    np.testing.assert_array_equal(split_disconnected(np.zeros((2, 2), np.uint8)), 0)


def test_holes_within_one_nucleus_are_filled():
    labels = np.zeros((12, 16), np.uint16)
    labels[1:8, 1:8] = 5
    labels[3:5, 3:6] = 0  # a hole
    labels[1:8, 8:15] = 6
    labels[3:5, 7:9] = 0  # a gap between two nuclei
    labels[1, 10] = 0  # a dent
    labels[9:, :3] = 7
    labels[11, 1] = 0  # a gap at the border
    expected = labels.copy()
    expected[3:5, 3:6] = 5
    filled = fill_holes(labels)
    np.testing.assert_array_equal(filled, expected)
    assert filled.dtype == np.uint16


def test_a_nucleus_within_a_nucleus_stays():
    labels = np.zeros((9, 9), np.int32)
    labels[1:8, 1:8] = 1
    labels[3:6, 3:6] = 2
    np.testing.assert_array_equal(fill_holes(labels), labels)


@pytest.mark.parametrize(
    "operation",
    [fill_holes, split_disconnected, relabel_contiguous, lambda labels: remove_specks(labels, 3)],
)
def test_operations_leave_their_input_alone_and_refuse_what_is_no_layout(operation):
    labels = np.array([[1, 0, 1], [0, 1, 0]])
    labels.flags.writeable = False
    operation(labels)
    with pytest.raises(LayoutError):
        operation(np.zeros((3, 3)))


def test_specks_that_the_border_cuts_can_stay():
    labels = np.zeros((8, 8), int)
    labels[0, 0], labels[3, 3], labels[5, 7], labels[6:, 3:6] = 1, 2, 3, 4
    assert set(np.unique(remove_specks(labels, 4, keep_cut=True))) == {0, 1, 3, 4}
    assert set(np.unique(remove_specks(labels, 4))) == {0, 4}


def lumpy_nucleus(side=64, radius=18):
    y, x = np.mgrid[:side, :side] - side / 2
    wave = 1 + 0.12 * np.sin(11 * np.arctan2(y, x))
    return (np.hypot(x, y) < radius * wave).astype(np.uint16) * 7


def test_smoothed_outlines_are_smoother_and_areas_stay():
    lumpy = lumpy_nucleus()
    smooth = smooth_outlines(lumpy, 3)
    (before,), (after,) = (
        regionprops_table(la, properties=["solidity"])["solidity"] for la in (lumpy, smooth)
    )
    assert before < 0.93 < 0.96 < after
    assert smooth.dtype == lumpy.dtype and set(np.unique(smooth)) == {0, 7}
    assert np.count_nonzero(smooth) == pytest.approx(np.count_nonzero(lumpy), rel=0.02)


def test_smoothing_loses_no_nucleus_and_keeps_neighbours_apart():
    labels = scatter_nuclei((200, 200), density=0.4, mean_area_px=150, min_gap_px=0, seed=3)
    labels[100, 100:104], labels[50:53, 50] = 9001, 9002  # a sliver and a speck
    smooth = smooth_outlines(labels, 2)
    ids, before = np.unique(labels, return_counts=True)
    after = np.array([np.count_nonzero(smooth == i) for i in ids])
    assert (after > 0.6 * before).all()
    assert np.mean(smooth == labels) > 0.93


def test_smoothing_by_nothing_changes_nothing():
    labels = scatter_nuclei((100, 100), density=0.3, seed=0)
    np.testing.assert_array_equal(smooth_outlines(labels, 0), labels)
    with pytest.raises(RequestError, match="scale_px"):
        smooth_outlines(labels, -1)


def test_a_nucleus_at_the_border_is_smoothed_as_if_it_went_on():
    lumpy = lumpy_nucleus()[:, 32:]
    whole = smooth_outlines(lumpy_nucleus(), 3)[:, 32:]
    assert np.mean(smooth_outlines(lumpy, 3) == whole) > 0.98
