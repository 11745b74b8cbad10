"""Golden values of the authors' code, and a tiny network."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from napari_nudiff.diffusion.unet import UNet
from napari_nudiff.diffusion.weights import Model, load_official

from ..networks import IMAGE, randomised

GOLDEN = Path(__file__).parents[1] / "data" / "golden"


class Golden:
    """A golden model with its inputs and outputs."""

    def __init__(self, role: str) -> None:
        self.role = role
        self.io = load_file(GOLDEN / f"{role}_unet_io.safetensors")
        self.model: Model = load_official(GOLDEN / f"{role}_unet.pt", head_channels=32)


@pytest.fixture(scope="session", params=["structure", "image"])
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(request.param)


@pytest.fixture
def tiny() -> UNet:
    return randomised(IMAGE)
