"""Configurations, stages, recipes and learning rates."""

from dataclasses import replace

import pytest

from napari_nudiff.diffusion.unet import UNet
from napari_nudiff.errors import RequestError
from napari_nudiff.training.config import Stage, TrainConfig, load_config, recipe
from napari_nudiff.training.rates import learning_rate


def test_a_configuration_survives_toml_and_plain_values(tmp_path) -> None:
    (tmp_path / "own.toml").write_text(
        'role = "structure"\nheld_out = ["a_*"]\n[[stages]]\nsteps = 5\n[[stages]]\nsteps = 7\n'
        "crop_px = 256\n[network]\nglobal_channels = 2\n"
    )
    config = load_config(tmp_path / "own.toml")
    assert config.steps == 12
    assert config.held_out == ("a_*",)
    assert TrainConfig.from_dict(config.to_dict()) == config


def test_steps_belong_to_their_stage() -> None:
    first, second = Stage(steps=3), Stage(steps=2, crop_px=256)
    config = TrainConfig(stages=(first, second))
    assert [config.stage_at(step) for step in range(5)] == [
        (first, 0),
        (first, 1),
        (first, 2),
        (second, 0),
        (second, 1),
    ]


@pytest.mark.parametrize("steps", [1, 4, 7, 100, 5750, 20000])
def test_a_scaled_run_has_the_steps_asked_for(steps) -> None:
    assert recipe("image").scaled(steps).steps == steps


def test_a_run_of_twice_the_length_has_stages_of_twice_the_length() -> None:
    config = recipe("image")
    twice = config.scaled(2 * config.steps)
    assert [s.steps for s in twice.stages] == [2 * s.steps for s in config.stages]


def test_the_learning_rate_warms_up_holds_and_decays_in_each_stage() -> None:
    stage = Stage(steps=1000, warmup_steps=100, learning_rate=1.0)
    config = TrainConfig(stages=(stage, replace(stage, learning_rate=0.5)))
    rates = [learning_rate(config, step) for step in range(2000)]
    assert rates[0] == pytest.approx(0.01)
    assert set(rates[99:700]) == {1.0}
    assert rates[999] == pytest.approx(0.02, abs=0.005)
    assert rates[700:1000] == sorted(rates[700:1000], reverse=True)
    assert rates[1000:] == pytest.approx([rate / 2 for rate in rates[:1000]])


def test_restarts_are_those_of_the_authors() -> None:
    """Values of their scheduler: 0 at 0, the peak at 2000, half at 6000, about 0 at 9999."""
    config = recipe("image", "official")
    rates = [learning_rate(config, step) for step in (0, 1000, 2000, 6000, 9999, 10_000, 12_000)]
    assert rates == pytest.approx([0, 5e-5, 1e-4, 5e-5, 0, 0, 1e-4], abs=1e-9)
    assert learning_rate(config, 152_000) == pytest.approx(2e-5)


@pytest.mark.parametrize("role", ["image", "structure"])
def test_compact_recipes_fit_into_the_package(role) -> None:
    config = recipe(role)
    assert config.role == role
    assert 2 * sum(p.numel() for p in UNet(config.network).parameters()) <= 16 * 2**20


@pytest.mark.parametrize(
    ("role", "parameters", "steps"),
    [("structure", 552_814_086, 200_000), ("image", 652_083_718, 300_000)],
)
def test_official_recipes_train_the_authors_networks(role, parameters, steps) -> None:
    import torch

    config = recipe(role, "official")
    with torch.device("meta"):
        unet = UNet(config.network)
    assert sum(p.numel() for p in unet.parameters()) == parameters
    assert config.steps == steps


@pytest.mark.parametrize(
    "values",
    [{"colour": 1}, {"network": {"wings": 2}}, {"stages": [{"length": 3}]}],
)
def test_unknown_settings_are_named(values) -> None:
    with pytest.raises(RequestError, match=r"colour|wings|length"):
        TrainConfig.from_dict(values)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"stages": []}, "no stage"),
        ({"stages": [{"steps": 0}]}, "at least one step"),
        ({"stages": [{"crop_px": 100}]}, "multiple of 16"),
        ({"stages": [{"batch_crops": 6}], "accumulate": 4}, "accumulate"),
        ({"accumulate": 0}, "accumulate"),
        ({"objective": "eps"}, "out_channels"),
        ({"role": "structure"}, "cond_channels"),
        ({"network": {"cond_channels": 3, "conditions": ["density"]}}, "conditions"),
        ({"save_steps": 0}, "save_steps"),
    ],
)
def test_values_that_do_not_fit_are_refused(values, complaint) -> None:
    values = {"network": {"cond_channels": 3}} | values
    with pytest.raises(RequestError, match=complaint):
        TrainConfig.from_dict(values)


def test_there_is_no_other_recipe() -> None:
    with pytest.raises(RequestError, match="compact-image"):
        recipe("image", "huge")
