"""Training crops: what they show, and that each is a function of its key."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_nudiff.dataset.pairs import load_pairs
from napari_nudiff.nuclei.structure import encode_structure
from napari_nudiff.training.config import Stage
from napari_nudiff.training.data import (
    Batch,
    CropKeys,
    Key,
    TrainingCrops,
    draw_batch,
    jitter_stain,
)
from napari_nudiff.training.objectives import noise_of


@pytest.fixture
def many(config):
    return replace(config, stages=(Stage(steps=4, crop_px=64, batch_crops=16),))


@pytest.fixture
def crops(data, many) -> TrainingCrops:
    return TrainingCrops(load_pairs(data)[0], many)


def test_held_out_images_are_not_trained_on(data) -> None:
    training, held_out = load_pairs(data, held_out=["b_*"])
    assert [p.name for p in training] == ["a_1", "a_2"]
    assert [p.name for p in held_out] == ["b_1"]


def test_a_crop_is_a_function_of_its_key(crops) -> None:
    first, again, other = (crops[key] for key in (Key(3, 1), Key(3, 1), Key(3, 2)))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["image"], other["image"])
    assert first["noise_seed"] != other["noise_seed"]


def test_processes_share_each_batch_among_them(many) -> None:
    config = replace(many, accumulate=2)
    alone = list(CropKeys(many))
    shares = [list(CropKeys(config, 1, process, 2)) for process in range(2)]
    for step in (1, 2, 3):
        parts = [keys for share in shares for keys in share if keys[0].step == step]
        assert [len(keys) for keys in parts] == [4, 4, 4, 4]
        assert sorted(key for keys in parts for key in keys) == sorted(alone[step])


def test_times_of_a_batch_cover_the_schedule(crops) -> None:
    u = draw_batch(crops, 0, 16).u
    assert torch.equal((u * 16).floor(), torch.arange(16.0))


def test_a_sample_has_the_same_noise_in_any_company(crops) -> None:
    batch = draw_batch(crops, 0, 4)
    x = torch.zeros(4, 3, 8, 8)
    noise = noise_of(batch.noise_seed, x)
    assert torch.equal(noise[2:3], noise_of(batch.noise_seed[2:3], x[:1]))
    assert noise.std() == pytest.approx(1, abs=0.1)
    assert not torch.equal(noise[0], noise[1])


def test_as_much_is_hidden_as_was_asked_for(data, many) -> None:
    stage = replace(many.stages[0], drop_structure=0.25, drop_globals=0.0, batch_crops=400)
    crops = TrainingCrops(load_pairs(data)[0], replace(many, stages=(stage,)))
    batch = draw_batch(crops, 0, 400)
    assert batch.structure_given.float().mean() == pytest.approx(0.75, abs=0.06)
    assert batch.numbers.isfinite().all()
    stage = replace(stage, drop_globals=0.25)
    crops = TrainingCrops(load_pairs(data)[0], replace(many, stages=(stage,)))
    hidden = draw_batch(crops, 0, 400).numbers.isnan()
    assert torch.equal(hidden.any(dim=1), hidden.all(dim=1))
    assert hidden.any(dim=1).float().mean() == pytest.approx(0.25, abs=0.06)


def test_augmented_maps_still_point_right_and_down(crops) -> None:
    """Whatever the turn, h grows to the right and v downwards inside a nucleus."""
    rightward, downward = _grow(draw_batch(crops, 0, 16))
    assert rightward > 0.9
    assert downward > 0.9


def test_the_authors_maps_do_not(data, many) -> None:
    crops = TrainingCrops(load_pairs(data)[0], replace(many, turn_vectors=False))
    rightward, downward = _grow(draw_batch(crops, 0, 16))
    assert rightward < 0.9
    assert downward < 0.9


def _grow(batch: Batch) -> tuple[float, float]:
    semantic, h, v = batch.structure.unbind(dim=1)
    right = (semantic[:, :, 1:] * semantic[:, :, :-1]) > 0
    down = (semantic[:, 1:] * semantic[:, :-1]) > 0
    return tuple(
        float((plane.diff(dim=dim)[mask] >= 0).float().mean())
        for plane, dim, mask in ((h, 2, right), (v, 1, down))
    )


def test_image_and_structure_of_a_crop_belong_together(data, many) -> None:
    crops = TrainingCrops(load_pairs(data)[0], replace(many, stain_jitter=0.0))
    batch = draw_batch(crops, 0, 16)
    dark = batch.image[:, 1] < 100  # the nuclei of the fixture, in the green channel
    assert torch.equal(dark, batch.structure[:, 0] > 0)


def test_crops_of_the_authors_lie_on_a_grid(data, many) -> None:
    pairs, _ = load_pairs(data)
    stage = Stage(crop_px=32, batch_crops=16)
    crops = TrainingCrops(pairs, replace(many, stages=(stage,), crop_stride_px=32))
    tiles = [
        encode_structure(pair.labels[y : y + 32, x : x + 32])[0]
        for pair in pairs
        for y in (0, 32)
        for x in (0, 32)
    ]
    turned = {
        np.rot90(side, turns).tobytes()
        for tile in tiles
        for side in (tile, tile[:, ::-1])
        for turns in range(4)
    }
    semantic = draw_batch(crops, 0, 16).structure[:, 0].numpy()
    assert all(tile.tobytes() in turned for tile in semantic)


def test_stain_jitter_keeps_the_order_of_light_and_dark() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    varied = jitter_stain(ramp, np.random.default_rng(0))
    assert not np.array_equal(varied, ramp)
    assert (np.diff(varied.astype(int), axis=1) >= 0).all()
