"""Bootstrap intervals."""

import numpy as np
import pytest

from napari_nudiff.evaluation.resampling import half_sample_interval, interval, mean_interval


def test_the_interval_of_a_mean_is_about_two_standard_errors_wide() -> None:
    values = np.random.default_rng(0).normal(5, 2, 400)
    made = mean_interval(list(values))
    assert made.value == pytest.approx(values.mean())
    assert made.high - made.low == pytest.approx(4 * 2 / np.sqrt(400), rel=0.15)


def test_patients_and_not_images_are_drawn() -> None:
    """Ten images of each of four patients that differ only between patients."""
    values = np.repeat([1.0, 2.0, 3.0, 4.0], 10)
    groups = list(np.repeat(list("abcd"), 10))
    by_image, by_patient = mean_interval(list(values)), mean_interval(list(values), groups)
    assert by_patient.n == 4
    assert by_patient.high - by_patient.low > 2 * (by_image.high - by_image.low)


def test_one_observation_has_no_interval() -> None:
    made = interval(lambda drawn: 3.0, 1)
    assert made.value == 3
    assert np.isnan(made.low)
    assert str(made) == "3.000"


def test_halves_of_a_sample_tell_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(5, 2, 400)
    made = half_sample_interval(lambda drawn: float(drawn.mean()), values)
    assert made.value == pytest.approx(values.mean())
    assert made.high - made.low == pytest.approx(4 * 2 / np.sqrt(400), rel=0.25)


def test_halves_of_three_observations_tell_nothing() -> None:
    made = half_sample_interval(lambda drawn: float(drawn.mean()), np.ones(3))
    assert made.value == 1
    assert np.isnan(made.low)
