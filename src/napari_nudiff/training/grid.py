"""Sample grids: what the network makes, beside real crops."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_nudiff.diffusion.denoiser import Conditioning, to_signed
from napari_nudiff.diffusion.samplers import sample_dpmpp_2m
from napari_nudiff.diffusion.unet import UNet
from napari_nudiff.diffusion.weights import Header, Model
from napari_nudiff.training.config import TrainConfig
from napari_nudiff.training.data import Batch
from napari_nudiff.training.engine import arithmetic


@torch.no_grad()
def sample_grid(
    unet: UNet, config: TrainConfig, batch: Batch, *, steps: int = 20, seed: int = 0
) -> NDArray[np.uint8]:
    """Sample one crop for each of a batch and show it below the real one.

    Parameters
    ----------
    unet : UNet
    config : TrainConfig
        Of the image model: rows of layout, real image, rendered image. Of the structure model:
        rows of real and of sampled structures, each as (semantic, horizontal, vertical) in red,
        green and blue.
    batch : Batch
        Real crops, best of held-out images, on the network's device.
    steps, seed : int
        Of the sampler.

    Returns
    -------
    ndarray, (rows * S, N * S, 3), uint8
    """
    denoiser = Model(Header(config.role, config.network, config.objective), unet).denoiser(
        arithmetic(config)
    )
    sigmas = denoiser.sigmas(steps)
    is_image = config.role == "image"
    real = batch.signed_image if is_image else to_signed(batch.structure)
    noise = torch.randn(real.shape, generator=torch.Generator().manual_seed(seed))
    modulation = denoiser.modulation(batch.structure) if config.network.cond_channels else None
    cond = Conditioning(modulation, globals_=_globals(unet, batch))
    x = noise.to(real.device, memory_format=torch.channels_last) * float(sigmas[0])
    *_, last = sample_dpmpp_2m(denoiser, x, sigmas, cond)
    semantic = batch.structure[:, :1].expand(-1, 3, -1, -1) * 2 - 1
    rows = [semantic, real, last.x0] if is_image else [real, last.x0]
    return np.concatenate([_row(row) for row in rows])


def _globals(unet: UNet, batch: Batch) -> Tensor | None:
    """The conditions of each crop, with the appearance that the network's encoder sees."""
    if not unet.config.conditions:
        return None
    numbers = batch.numbers.clone()
    if batch.signed_look is not None:
        code = unet.appearance(batch.signed_look)
        numbers[:, -code.shape[1] :] = code
    return numbers


def _row(images: Tensor) -> NDArray[np.uint8]:
    """(N, 3, S, S) on -1..1 as one (S, N * S, 3) uint8 strip."""
    strip = torch.cat(list(images.float().cpu()), dim=-1).permute(1, 2, 0)
    return ((strip.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).numpy()
