"""Sample grids: what the network makes, beside real crops."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_nudiff.diffusion.denoiser import Conditioning, VDenoiser, to_signed
from napari_nudiff.diffusion.samplers import sample_dpmpp_2m
from napari_nudiff.diffusion.unet import UNet
from napari_nudiff.training.data import Batch


@torch.no_grad()
def sample_grid(
    unet: UNet, role: str, batch: Batch, *, steps: int = 20, seed: int = 0
) -> NDArray[np.uint8]:
    """Sample one crop for each of a batch and show it below the real one.

    Parameters
    ----------
    unet : UNet
    role : str
        "image": rows of layout, real image, rendered image. "structure": rows of real and of
        sampled structures, each as (semantic, horizontal, vertical) in red, green and blue.
    batch : Batch
        Real crops, best of held-out images.
    steps, seed : int
        Of the sampler.

    Returns
    -------
    ndarray, (rows * S, N * S, 3), uint8
    """
    device = next(unet.parameters()).device
    denoiser = VDenoiser(unet)
    sigmas = denoiser.sigmas(steps)
    shape = batch.image.shape
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    structure = batch.structure.to(device)
    globals_ = (batch.style if role == "image" else batch.density).to(device)
    cond = Conditioning(denoiser.modulation(structure), globals_=globals_)
    x = noise.to(device, memory_format=torch.channels_last) * float(sigmas[0])
    *_, last = sample_dpmpp_2m(denoiser, x, sigmas, cond)
    made = last.x0.float().cpu()
    semantic = batch.structure[:, :1].expand(-1, 3, -1, -1) * 2 - 1
    rows = [semantic, batch.image, made] if role == "image" else [to_signed(batch.structure), made]
    return np.concatenate([_row(row) for row in rows])


def _row(images: Tensor) -> NDArray[np.uint8]:
    """(N, 3, S, S) on -1..1 as one (S, N * S, 3) uint8 strip."""
    strip = torch.cat(list(images), dim=-1).permute(1, 2, 0)
    return ((strip.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).numpy()
