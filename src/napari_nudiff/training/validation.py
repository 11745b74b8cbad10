"""How a run does on crops that it is not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from napari_nudiff.dataset.pair import Pair
from napari_nudiff.diffusion.unet import UNet
from napari_nudiff.training.config import TrainConfig
from napari_nudiff.training.data import Batch, Key, TrainingCrops
from napari_nudiff.training.engine import OneCall, arithmetic
from napari_nudiff.training.grid import sample_grid
from napari_nudiff.training.objectives import diffusion_loss

_SEED = 99_991
_CROPS = 64
_PIXELS = _CROPS * 128**2
_AT_A_TIME = 16 * 128**2
_GRID_CROPS = 6


class Validation:
    """Fixed crops of held-out images, with fixed noise, so that losses can be compared.

    Parameters
    ----------
    held_out : sequence of Pair
        None of them: there is no loss, and the grids show training images.
    training : sequence of Pair
    config : TrainConfig
    device : torch.device
    """

    def __init__(
        self,
        held_out: Sequence[Pair],
        training: Sequence[Pair],
        config: TrainConfig,
        device: torch.device,
    ) -> None:
        self.config = _calm(config)
        self.has_held_out = bool(held_out)
        self.crops = TrainingCrops(held_out or training, self.config)
        self.device = device

    @torch.no_grad()
    def loss(self, unet: UNet) -> float | None:
        """Loss on the held-out crops, with all conditions given; None where nothing is held out."""
        if not self.has_held_out:
            return None
        network, size = OneCall(unet, arithmetic(self.config)), self.config.stages[0].batch_crops
        at_a_time = max(_AT_A_TIME // self.config.crop_px**2, 1)
        total = 0.0
        for first in range(0, size, at_a_time):
            batch = self._batch(range(first, min(first + at_a_time, size)))
            total += float(diffusion_loss(network, batch, self.config)) * len(batch)
        return total / size

    def grid(self, unet: UNet) -> NDArray[np.uint8]:
        """Samples of the network below real crops."""
        return sample_grid(unet, self.config, self._batch(range(_GRID_CROPS)))

    def _batch(self, indices: range) -> Batch:
        return Batch.stack([self.crops[Key(0, i)] for i in indices]).to(self.device)


def _calm(config: TrainConfig) -> TrainConfig:
    """One stage of the run's largest crops, nothing hidden, no stain varied."""
    stage = replace(
        max(config.stages, key=lambda s: s.crop_px),
        batch_crops=min(max(_PIXELS // config.crop_px**2, 4), _CROPS),
        drop_structure=0.0,
        drop_globals=0.0,
    )
    return replace(config, seed=_SEED, stages=(stage,), stain_jitter=0.0, crop_stride_px=0)
