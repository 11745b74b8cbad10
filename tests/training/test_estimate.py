"""What a run will take, against what is counted by hand or known."""

from dataclasses import replace

import pytest

from napari_nudiff.training.config import Stage, recipe
from napari_nudiff.training.estimate import _activation_bytes, _flops, estimate


@pytest.mark.parametrize(("role", "tflop"), [("structure", 2.240), ("image", 3.418)])
def test_operations_of_the_official_networks_are_the_published_ones(role, tflop) -> None:
    config = recipe(role, "official")
    assert _flops(config.network, 256) / 3 == pytest.approx(tflop * 1e12, rel=0.01)


def test_activations_grow_with_the_area_of_a_crop(config) -> None:
    small, large = (_activation_bytes(config, side) for side in (32, 64))
    assert 3.5 < large / small <= 4.1
    assert _activation_bytes(replace(config, precision="bf16"), 64) == large // 2


def test_an_estimate_adds_up(config) -> None:
    config = replace(config, stages=(config.stages[0], Stage(steps=40, crop_px=64, batch_crops=8)))
    made = estimate(config)
    first, second = made.stages
    assert made.seconds == pytest.approx(first.seconds + second.seconds)
    work = second.flops_per_step * 40
    assert second.seconds == pytest.approx(work / made.flops_per_s)
    assert second.flops_per_step == pytest.approx(8 * first.flops_per_step, rel=0.05)
    assert second.memory_bytes > first.memory_bytes > 20 * made.parameters
