"""Distances of sets of features against what is known of them."""

import numpy as np
import pytest

from napari_nudiff.evaluation.distance import (
    density_and_coverage,
    diversity,
    fid,
    kid,
    kid_between_groups,
    nearest_distance,
    squared_mmd,
    standardised,
    vendi,
)


def draw(n: int, mean: float = 0.0, deviation: float = 1.0, seed: int = 0, dimension: int = 4):
    return np.random.default_rng(seed).normal(mean, deviation, (n, dimension))


def test_mmd_of_a_tiny_example_is_that_counted_by_hand() -> None:
    """One dimension: k(x, y) = (xy + 1)^3 with x in {0, 1} and y in {0, 2}."""
    a, b = np.array([[0.0], [1.0]]), np.array([[0.0], [2.0]])
    # within a: k(0, 1) = 1; within b: k(0, 2) = 1; between: (1 + 1 + 1 + 27) / 4
    assert squared_mmd(a, b) == pytest.approx(1 + 1 - 2 * 30 / 4)


def test_mmd_of_equal_distributions_is_zero_on_average() -> None:
    """Unbiased: it is as often below zero as above."""
    values = [squared_mmd(draw(30, seed=2 * i), draw(30, seed=2 * i + 1)) for i in range(200)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(200)
    assert min(values) < 0 < max(values)


def test_the_interval_of_kid_holds_the_value_that_many_sets_have() -> None:
    pairs = ((draw(60, 0.5, seed=i), draw(60, seed=i + 500)) for i in range(200))
    truth = np.mean([squared_mmd(*pair) for pair in pairs])
    hits = 0
    for i in range(20):
        made = kid(draw(60, 0.5, seed=i), draw(60, seed=i + 500))
        assert made.low < made.value < made.high
        hits += made.low <= truth <= made.high
    assert hits >= 16


def test_fid_of_normal_sets_is_the_closed_form() -> None:
    a, b = draw(40_000, 0.0, 1.0), draw(40_000, 1.0, 2.0, seed=1)
    # |1|^2 a dimension for the means and (2 - 1)^2 for the deviations
    assert fid(a, b) == pytest.approx(4 * 1 + 4 * 1, rel=0.03)
    assert fid(a, a) == pytest.approx(0, abs=1e-6)


def test_fid_works_with_fewer_images_than_features() -> None:
    assert np.isfinite(fid(draw(5, dimension=20), draw(5, seed=1, dimension=20)))


def test_a_model_that_repeats_itself_has_little_coverage_and_diversity() -> None:
    real, same, poor = draw(200), draw(200, seed=1), np.repeat(draw(2, seed=2), 100, axis=0)
    density, coverage = density_and_coverage(real, same)
    assert density == pytest.approx(1, abs=0.2)
    assert coverage > 0.9
    assert density_and_coverage(real, poor)[1] < 0.2
    assert diversity(poor) < 0.8 * diversity(real)


def test_standardised_features_do_not_depend_on_their_unit() -> None:
    a, b = draw(50), draw(50, 1.0, seed=1)
    a[:, 0] = b[:, 0] = 7.0  # a dead feature
    scaled = standardised(a * 1000, b * 1000)
    assert np.allclose(scaled[0], standardised(a, b)[0])
    assert np.isfinite(scaled[1]).all()


def test_kid_between_patients_is_zero_where_they_are_alike_and_large_where_they_differ() -> None:
    groups = [g for g in "abcdef" for _ in range(20)]
    alike = kid_between_groups(draw(120), groups)
    unlike = draw(120) + np.repeat(np.arange(6), 20)[:, None]
    apart = kid_between_groups(unlike, groups)
    assert alike.n == apart.n == 6
    assert alike.value == pytest.approx(0, abs=0.3)
    assert apart.value > 10 * abs(alike.value)
    assert apart.low < apart.value < apart.high


def test_kid_between_fewer_than_four_patients_is_not_measured() -> None:
    made = kid_between_groups(draw(30), list("abc") * 10)
    assert np.isnan(made.value)
    assert str(made) == "not measured"


@pytest.mark.parametrize("n", [2, 5])
def test_vendi_counts_different_images(n) -> None:
    assert vendi(np.eye(n)) == pytest.approx(n)
    assert vendi(np.tile(np.eye(n)[:1], (n, 1))) == pytest.approx(1)
    assert vendi(np.repeat(np.eye(n), 3, axis=0)) == pytest.approx(n)


def test_the_nearest_is_sought_in_all_orientations() -> None:
    reference = np.array([[0.0, 0.0], [10.0, 0.0]])
    queries = np.array([[[50.0, 0.0], [10.0, 3.0]], [[1.0, 0.0], [30.0, 0.0]]])
    assert nearest_distance(queries, reference) == pytest.approx([3, 1])
