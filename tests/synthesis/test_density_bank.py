"""Layouts whose density is left open ask for that of a training field."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from napari_nudiff.diffusion.weights import Header, load_weights, write_weights
from napari_nudiff.synthesis.pipeline import sample_layout
from napari_nudiff.synthesis.request import LayoutRequest
from napari_nudiff.work import run

from ..networks import SCALED_STRUCTURE, randomised

BANK = torch.tensor([[0.1, 0.5, 0.25], [0.3, 0.625, 0.25], [0.2, 0.25, 0.5]])


@pytest.fixture
def request_(tmp_path: Path) -> LayoutRequest:
    path = tmp_path / "banked.safetensors"
    header = Header("structure", SCALED_STRUCTURE)
    write_weights(path, randomised(SCALED_STRUCTURE), header, torch.float16, BANK)
    return LayoutRequest(
        str(path), steps=2, device="cpu", precision="fp32", height_px=64, width_px=64
    )


def asked(request: LayoutRequest) -> tuple[float, float]:
    stored = run(sample_layout(request)).provenance["request"]
    return stored["density"], stored["mean_area_px"]


def test_the_bank_lies_in_the_weights_file(request_: LayoutRequest) -> None:
    bank = load_weights(Path(request_.checkpoint)).bank
    torch.testing.assert_close(bank, BANK, atol=1e-3, rtol=0)


def test_an_open_density_is_drawn_by_the_seed_among_fields_of_the_resolution(
    request_: LayoutRequest,
) -> None:
    drawn = {asked(replace(request_, seed=seed)) for seed in range(12)}
    assert {round(density, 2) for density, _ in drawn} == {0.1, 0.3}
    assert {round(area) for _, area in drawn} == {256, 400}
    assert asked(replace(request_, seed=3)) == asked(replace(request_, seed=3))
    density, area = asked(replace(request_, um_per_px=0.5))
    assert density == pytest.approx(0.2, abs=1e-3)
    assert area == pytest.approx(64, abs=0.5)


def test_a_density_that_is_asked_for_stays(request_: LayoutRequest) -> None:
    request = replace(request_, density=0.15, mean_area_px=300.0)
    assert asked(request) == (0.15, 300.0)
