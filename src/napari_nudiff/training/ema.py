"""Exponential moving average of a network's weights."""

from __future__ import annotations

import copy

import torch

from napari_nudiff.diffusion.unet import UNet


class Ema:
    """Average of a network's weights over its training.

    Parameters
    ----------
    network : UNet
        The network that is trained.
    decay : float
        Weight of the past at each update; less at the start, so that the random initial weights
        are forgotten.
    """

    def __init__(self, network: UNet, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: UNet, step: int) -> None:
        """Move the average towards ``network`` after training step ``step`` (0, 1, ...)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for average, weight in zip(self.network.parameters(), network.parameters(), strict=True):
            average.lerp_(weight, 1 - decay)
