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
        averages = [p.data for p in self.network.parameters()]
        # One call for all weights: on a GPU a call for each would cost more than the step itself.
        torch._foreach_lerp_(averages, [p.data for p in network.parameters()], 1 - decay)
