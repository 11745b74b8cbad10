"""The tiny networks of the tests: real ones, fast enough for every test."""

from dataclasses import replace

import torch

from napari_nudiff.diffusion.unet import UNet, UNetConfig

IMAGE = UNetConfig(
    base_channels=16,
    multipliers=(1, 2),
    norm_groups=8,
    head_channels=16,
    cond_channels=3,
    conditions=("style",),
)
STRUCTURE = replace(IMAGE, cond_channels=0, conditions=("density",))
SCALED_IMAGE = replace(IMAGE, conditions=("style", "resolution", "appearance"))
SCALED_STRUCTURE = replace(STRUCTURE, conditions=("density", "resolution"))


def randomised(config: UNetConfig, seed: int = 0) -> UNet:
    """A network whose zero-initialised layers are random too, so that every path matters."""
    torch.manual_seed(seed)
    unet = UNet(config).eval().requires_grad_(False)
    for parameter in unet.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))
    return unet
