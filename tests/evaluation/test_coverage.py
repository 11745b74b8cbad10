"""Coverage of sets whose patients and images are known."""

import numpy as np
import pytest

from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.evaluation.coverage import measure_coverage

PICTURE = np.zeros((8, 8, 3), np.uint8)


def crops(patients: int, images: int, each: int, apart: float, seed: int = 0):
    """Features of crops around their patients, which are so far apart, and whose they are."""
    rng, features, fields = np.random.default_rng(seed), [], []
    for patient in range(patients):
        centre = rng.normal(0, apart, 4)
        for image in range(images):
            features += list(centre + rng.normal(0, 1, (each, 4)))
            name = f"{patient}-{image}"
            fields += [Pair(Layout(PICTURE[..., 0]), PICTURE, name, str(patient))] * each
    return np.array(features), fields


def test_the_ceilings_tell_images_of_the_same_patients_from_other_patients() -> None:
    known, fields = crops(6, 4, 5, apart=10)
    strangers, _ = crops(2, 4, 5, apart=10, seed=1)
    c = measure_coverage(known, fields, strangers, known + 0.1)
    assert c.n == 40
    assert c.images.value > 0.85
    assert c.renders.value > 0.85
    assert c.patients.value < 0.2
    assert c.held_out.value < 0.2


def test_as_many_images_are_compared_whatever_there_are() -> None:
    """Coverage grows with the images: more renders must not make a model look better."""
    known, fields = crops(6, 4, 5, apart=0)
    few, _ = crops(1, 8, 5, apart=0, seed=2)
    many, _ = crops(1, 100, 5, apart=0, seed=2)
    small, large = (measure_coverage(known, fields, few, made) for made in (few, many))
    assert small.n == large.n == 40
    assert large.renders.value == pytest.approx(small.renders.value, abs=0.1)


def test_a_model_of_one_patient_covers_little() -> None:
    known, fields = crops(6, 4, 5, apart=10)
    one = np.tile(known[:20], (2, 1)) + np.random.default_rng(3).normal(0, 0.1, (40, 4))
    c = measure_coverage(known, fields, known, one)
    assert c.renders.value < 0.3
    assert c.renders.low <= c.renders.value <= c.renders.high


def test_a_dozen_images_are_needed() -> None:
    known, fields = crops(3, 2, 10, apart=1)
    assert measure_coverage(known, fields, known[:11], known).n == 0
    assert np.isnan(measure_coverage(known, fields, known[:11], known).renders.value)
    assert measure_coverage(known, fields, known[:12], known).n == 12
