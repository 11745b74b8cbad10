"""Golden values of the authors' code, and a tiny network."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from napari_nudiff.diffusion.unet import UNet, UNetConfig
from napari_nudiff.diffusion.weights import Model, load_official

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


TINY = UNetConfig(
    base_channels=16,
    multipliers=(1, 2),
    norm_groups=8,
    head_channels=16,
    cond_channels=3,
    global_channels=6,
)


def randomised(config: UNetConfig, seed: int = 0) -> UNet:
    """A network whose zero-initialised layers are random too, so that every path matters."""
    torch.manual_seed(seed)
    unet = UNet(config).eval().requires_grad_(False)
    for parameter in unet.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))
    return unet


@pytest.fixture
def tiny() -> UNet:
    return randomised(TINY)
