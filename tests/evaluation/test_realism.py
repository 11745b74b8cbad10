"""Realism on features that are known: the corner colours of flat images."""

import numpy as np
import pytest

from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.evaluation.realism import measure_realism

LABELS = np.zeros((8, 8), int)


def corners(images):
    """Colour of the centre: the same in every orientation."""
    return images[:, 4, 4].astype(float)


def flat(n: int, seed: int, centre: int = 120):
    rng = np.random.default_rng(seed)
    colours = rng.normal(centre, 20, (n, 1, 1, 3)).clip(0, 255)
    return np.broadcast_to(colours, (n, 8, 8, 3)).astype(np.uint8)


def fields(n: int, seed: int, groups: str):
    return [
        Pair(Layout(LABELS), image, f"{i}", groups[i % len(groups)])
        for i, image in enumerate(flat(n, seed))
    ]


def measured(made):
    training = fields(60, 0, "abcd")
    held_out = fields(60, 1, "xy")
    return measure_realism(corners, training, held_out, list(made), training, held_out)


def test_renders_like_the_training_crops_are_at_the_floor() -> None:
    r = measured(flat(60, 2))
    assert abs(r.kid.value) < 1
    c = r.coverage
    assert c.n == 30
    assert c.density.value == pytest.approx(c.density_held_out.value, abs=0.4)
    assert min(i.value for i in (c.renders, c.held_out, c.images, c.patients)) > 0.8
    assert r.diversity.low < r.diversity_real.value < r.diversity.high
    assert r.kid_patients.n == 4
    assert r.n == 60
    assert len(r.nearest_unseen) == 120


def test_renders_that_repeat_themselves_lose_variety() -> None:
    r = measured(np.repeat(flat(2, 2), 30, axis=0))
    assert r.vendi < 0.8 * r.vendi_real
    assert r.coverage.renders.value < 0.3 < r.coverage.held_out.value


def test_renders_that_are_all_alike_lose_diversity() -> None:
    r = measured((0.3 * flat(60, 2) + 84).astype(np.uint8))
    assert r.diversity.high < 0.5 * r.diversity_real.low
    assert r.coverage.density.value > r.coverage.density_held_out.value


def test_renders_that_are_off_are_far() -> None:
    r = measured(flat(60, 2, centre=200))
    assert r.kid.low > r.kid_floor.high
    assert r.fid > 10 * r.fid_floor


def test_a_copy_is_at_no_distance_and_real_crops_of_others_are() -> None:
    r = measured(np.concatenate([flat(60, 0)[:1], flat(1, 9)]))
    assert r.nearest[0] == pytest.approx(0)
    assert min(r.nearest_unseen) > 0


def test_one_render_is_not_measured() -> None:
    assert measured(flat(1, 0)) is None
