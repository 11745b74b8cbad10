"""Training on small real files: resume, held-out images, augmentation, errors."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_nudiff.dataset.images import write_layout, write_rgb
from napari_nudiff.dataset.pairs import load_pairs
from napari_nudiff.diffusion.weights import load_weights
from napari_nudiff.errors import DatasetError, RequestError
from napari_nudiff.nuclei.layout import scatter_nuclei
from napari_nudiff.training.config import TrainConfig, recipe
from napari_nudiff.training.data import jitter_stain, sample_batch
from napari_nudiff.training.loop import learning_rate, train

from ..networks import IMAGE, STRUCTURE


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for i, stem in enumerate(["a_1", "a_2", "b_1"]):
        labels = scatter_nuclei((72, 80), density=0.3, mean_area_px=200, seed=i)
        image = np.where(labels[..., None] > 0, (90, 60, 140), (230, 180, 210)).astype(np.uint8)
        write_rgb(folder / "images" / f"{stem}.png", image)
        write_layout(folder / "labels" / f"{stem}.tif", labels)
    return folder


@pytest.fixture
def config(data, tmp_path) -> TrainConfig:
    return TrainConfig(
        data=str(data),
        out=str(tmp_path / "run"),
        held_out=("b_*",),
        crop_px=64,
        batch_crops=2,
        steps=4,
        warmup_steps=2,
        save_steps=2,
        log_steps=1,
        precision="fp32",
        network=IMAGE,
    )


def finish(config: TrainConfig, **kwargs: bool) -> dict[str, torch.Tensor]:
    list(train(config, **kwargs))
    return torch.load(Path(config.out) / "state.pt", weights_only=True)["ema"]


@pytest.mark.parametrize("role", ["image", "structure"])
def test_a_resumed_run_has_the_weights_of_an_unbroken_one(config, tmp_path, role) -> None:
    network = IMAGE if role == "image" else STRUCTURE
    config = replace(config, role=role, network=network)
    unbroken = finish(replace(config, out=str(tmp_path / "unbroken")))
    broken = train(config)
    for progress in broken:
        if progress.step == 3:  # one step after the last save: it must be done again
            break
    broken.close()
    resumed = finish(config)
    assert all(torch.equal(unbroken[key], resumed[key]) for key in unbroken)


def test_a_run_leaves_a_checkpoint_a_log_and_grids(config) -> None:
    seen = list(train(config))
    out = Path(config.out)
    assert [p.step for p in seen] == [1, 2, 3, 4]
    assert [p.held_out_loss is not None for p in seen] == [False, True, False, True]
    assert len((out / "loss.csv").read_text().splitlines()) == 5
    assert sorted(p.name for p in (out / "grids").iterdir()) == ["0000002.png", "0000004.png"]
    header = load_weights(out / "image.safetensors").header
    assert header.role == "image"
    assert header.card["training"]["steps"] == 4


def test_the_held_out_loss_falls(config) -> None:
    """On the same crops and noise each time, so that little training is enough to see it."""
    run = train(replace(config, steps=60, save_steps=20, batch_crops=4))
    losses = [p.held_out_loss for p in run if p.saved]
    assert len(losses) == 3
    assert losses[2] < losses[1] < losses[0]


def test_held_out_images_are_not_trained_on(data) -> None:
    training, held_out = load_pairs(data, held_out=["b_*"])
    assert [p.stem for p in training] == ["a_1", "a_2"]
    assert [p.stem for p in held_out] == ["b_1"]


def test_a_batch_is_a_function_of_its_seed(data) -> None:
    pairs, _ = load_pairs(data)
    first, again, other = (
        sample_batch(pairs, 3, 64, seed, stain_jitter=0.5) for seed in ((1, 2), (1, 2), (1, 3))
    )
    assert torch.equal(first.image, again.image)
    assert torch.equal(first.structure, again.structure)
    assert not torch.equal(first.image, other.image)


def test_augmented_maps_still_point_right_and_down(data) -> None:
    """Whatever the turn, h grows to the right and v downwards inside a nucleus."""
    pairs, _ = load_pairs(data)
    structure = sample_batch(pairs, 32, 64, (0,)).structure
    semantic, h, v = structure.unbind(dim=1)
    rightward = (semantic[:, :, 1:] * semantic[:, :, :-1]) > 0
    downward = (semantic[:, 1:] * semantic[:, :-1]) > 0
    assert float((h.diff(dim=2)[rightward] >= 0).float().mean()) > 0.9
    assert float((v.diff(dim=1)[downward] >= 0).float().mean()) > 0.9


def test_image_and_structure_of_a_crop_belong_together(data) -> None:
    pairs, _ = load_pairs(data)
    batch = sample_batch(pairs, 16, 64, (0,))
    dark = batch.image[:, 1] < -0.2  # the nuclei of the fixture, in the green channel
    assert torch.equal(dark, batch.structure[:, 0] > 0)


def test_stain_jitter_keeps_the_order_of_light_and_dark() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    varied = jitter_stain(ramp, np.random.default_rng(0))
    assert not np.array_equal(varied, ramp)
    assert (np.diff(varied.astype(int), axis=1) >= 0).all()


def test_the_learning_rate_warms_up_holds_and_decays() -> None:
    config = TrainConfig(steps=1000, warmup_steps=100, learning_rate=1.0)
    rates = [learning_rate(config, step) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert set(rates[99:700]) == {1.0}
    assert rates[-1] == pytest.approx(0.02, abs=0.005)
    assert rates[700:] == sorted(rates[700:], reverse=True)


@pytest.mark.parametrize("role", ["image", "structure"])
def test_shipped_recipes_fit_into_the_package(role) -> None:
    from napari_nudiff.diffusion.unet import UNet

    config = recipe(role)
    assert config.role == role
    assert 2 * sum(p.numel() for p in UNet(config.network).parameters()) <= 16 * 2**20


@pytest.mark.parametrize("values", [{"colour": 1}, {"network": {"wings": 2}}])
def test_unknown_settings_are_named(values) -> None:
    with pytest.raises(RequestError, match=r"colour|wings"):
        TrainConfig.from_dict(values)


def test_data_that_cannot_be_used_is_refused(config, data, tmp_path) -> None:
    with pytest.raises(DatasetError, match=r"images/\*\.png"):
        next(train(replace(config, data=str(tmp_path))))
    with pytest.raises(DatasetError, match="smaller than"):
        next(train(replace(config, crop_px=512)))
    write_rgb(tmp_path / "images" / "lonely.png", np.zeros((80, 80, 3), np.uint8))
    with pytest.raises(DatasetError, match="lonely"):
        next(train(replace(config, data=str(tmp_path))))
    write_layout(tmp_path / "labels" / "lonely.tif", np.zeros((70, 80), np.int32))
    with pytest.raises(DatasetError, match="same size"):
        next(train(replace(config, data=str(tmp_path))))
