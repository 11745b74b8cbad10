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
