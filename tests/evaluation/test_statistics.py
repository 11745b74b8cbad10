"""Statistics of nuclei whose values are known."""

import numpy as np
import pytest
from skimage.draw import disk, ellipse

from napari_nudiff.evaluation.statistics import compare, measure
from napari_nudiff.nuclei.layout import scatter_nuclei


def test_measures_of_a_known_layout() -> None:
    labels = np.zeros((200, 200), int)
    labels[disk((50, 50), 15)] = 1
    labels[ellipse(50, 130, 10, 20)] = 2
    labels[disk((199, 100), 12, shape=labels.shape)] = 3
    made = measure(labels)
    assert made["count_per_mpx"] == pytest.approx(2.5 * 1e6 / 200**2)
    assert made["foreground"] == pytest.approx(np.mean(labels > 0))
    assert made["area_px"] == pytest.approx([np.pi * 15**2, np.pi * 200], rel=0.03)
    assert made["eccentricity"] == pytest.approx([0, np.sqrt(3) / 2], abs=0.05)
    assert made["neighbour_px"] == pytest.approx([80, 80], abs=1)
    assert (made["solidity"] > 0.93).all()


def test_an_empty_layout_is_measured_too() -> None:
    made = measure(np.zeros((64, 64), int))
    assert made["count_per_mpx"] == 0
    assert len(made["area_px"]) == 0


def layouts(area: float, n: int, seed: int):
    return [
        scatter_nuclei((128, 128), density=0.25, mean_area_px=area, seed=seed + i) for i in range(n)
    ]


def test_sampled_nuclei_like_the_patients_are_within_and_others_are_not() -> None:
    real = layouts(150, 4, 0) + layouts(300, 4, 10)
    groups = ["a"] * 4 + ["b"] * 4
    like = {c.name: c for c in compare(real, groups, layouts(220, 6, 20))}
    other = {c.name: c for c in compare(real, groups, layouts(800, 6, 30))}
    assert like["area_px"].within
    assert like["area_px"].groups == 2
    assert not other["area_px"].within
    assert other["area_px"].distance > 3 * like["area_px"].distance
    low, middle, high = like["area_px"].real
    assert low < middle < high


def test_quartiles_are_compared_with_those_of_the_patients() -> None:
    """Patients a and b have 4 and 8 layouts of known shares; one of 3 layouts does not count."""
    shares = {"a": [1, 2, 3, 4], "b": [2, 4, 6, 8] * 2, "c": [30, 40, 50]}
    real = [(g, rows) for g, all_rows in shares.items() for rows in all_rows]
    made = compare([filled(r) for _, r in real], [g for g, _ in real], [filled(3), filled(5)])
    share = {c.name: c for c in made}["foreground"]
    assert share.quartile_groups == 2
    assert share.quartiles_lowest == pytest.approx([0.0175, 0.025, 0.0325, 0.015])
    assert share.quartiles_highest == pytest.approx([0.035, 0.05, 0.065, 0.03])
    assert share.spread == pytest.approx(0.01)
    assert share.quartiles_outside == ("distance between the quartiles",)


def filled(rows: int):
    labels = np.zeros((100, 100), int)
    labels[:rows] = 1
    return labels


def test_nuclei_two_pixels_apart_touch_and_three_do_not() -> None:
    labels = np.zeros((60, 60), int)
    labels[10:20, 10:20] = 1
    labels[10:20, 21:31] = 2  # a line of background between them
    labels[40:50, 10:20] = 3
    labels[40:50, 22:32] = 4  # two lines
    labels[52:58, 40:50] = 5
    assert measure(labels)["touching"] == pytest.approx(2 / 5)
    assert measure(labels.T)["touching"] == pytest.approx(2 / 5)
    assert measure(labels[::-1])["touching"] == pytest.approx(2 / 5)
    labels[20:22, 31:33] = 6
    labels[21:30, 33:40] = 7  # by a corner
    assert measure(labels)["touching"] == pytest.approx(4 / 7)


def test_the_share_that_touches_of_no_nuclei_is_unknown() -> None:
    assert np.isnan(measure(np.zeros((64, 64), int))["touching"]).all()


def test_distances_and_intervals_of_equal_and_of_disjoint_sets() -> None:
    real = layouts(150, 4, 0) + layouts(200, 4, 10) + layouts(250, 4, 20)
    groups = ["a"] * 4 + ["b"] * 4 + ["c"] * 4
    same = {c.name: c for c in compare(real, groups, real)}["area_px"]
    other = {c.name: c for c in compare(real, groups, layouts(3000, 6, 30))}["area_px"]
    assert same.ks == same.distance == 0
    assert same.real_n == same.sampled_n
    assert other.ks > 0.9
    assert same.real_median.n == 3
    assert same.sampled_median.n == 12
    assert same.real_median.low <= same.real[1] <= same.real_median.high
    # Patients differ more than the layouts of all of them.
    widths = [i.high - i.low for i in (same.real_median, same.sampled_median)]
    assert widths[0] > widths[1]
