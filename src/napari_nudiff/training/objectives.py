"""What the networks are trained to say, and how wrong a wrong answer is."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from napari_nudiff.diffusion.denoiser import to_signed
from napari_nudiff.diffusion.samplers import DdpmPosterior
from napari_nudiff.diffusion.schedules import (
    COMPACT_SHIFT,
    cosine_sigma,
    linear_sigmas,
    sigma_to_abar,
)
from napari_nudiff.training.config import TrainConfig
from napari_nudiff.training.data import Batch

Network = Callable[[Tensor, Tensor, Tensor | None, Tensor, Tensor | None], Tensor]
"""(x_t, t, condition, numbers, look) -> output."""

_TRAIN_STEPS = 1000


def diffusion_loss(network: Network, batch: Batch, config: TrainConfig) -> Tensor:
    """Mean loss of a batch that lies on the network's device.

    Parameters
    ----------
    network : callable
        From noisy images (N, C, H, W), times 0..1000 (N,), the structure (N, 3 or 4, H, W) with
        its null token, numbers (N, G) that describe the whole image, and what the appearance
        encoder looks at (N, 3, A, A) to the output of a `UNet`.
    batch : Batch
    config : TrainConfig
    """
    is_image = config.role == "image"
    x0 = batch.signed_image if is_image else to_signed(batch.structure)
    x0 = x0.contiguous(memory_format=torch.channels_last)
    noise = noise_of(batch.noise_seed, x0)
    look = batch.signed_look
    if look is not None and batch.look_given is not None:
        look = torch.where(batch.look_given.view(-1, 1, 1, 1), look, torch.nan)
    cond = _condition(batch, config) if config.network.cond_channels else None
    loss = _v_loss if config.objective == "v" else _eps_loss

    def predict(x_t: Tensor, t: Tensor) -> Tensor:
        return network(x_t, t, cond, batch.numbers, look)

    return loss(predict, x0, noise, batch.u).mean()


def noise_of(seeds: Tensor, like: Tensor) -> Tensor:
    """Normal noise shaped as ``like`` (N, C, H, W), each sample from a seed of its own."""
    generator = torch.Generator(like.device)
    samples = [
        torch.randn(like.shape[1:], generator=generator.manual_seed(seed), device=like.device)
        for seed in seeds.tolist()
    ]
    return torch.stack(samples).contiguous(memory_format=torch.channels_last)


def _condition(batch: Batch, config: TrainConfig) -> Tensor:
    """The structure where it is given, else zeros; with the null token, where there is one."""
    structure = batch.structure
    if config.network.null_token:
        structure = torch.cat([structure, torch.ones_like(structure[:, :1])], dim=1)
    return structure * batch.structure_given.view(-1, 1, 1, 1)


def _v_loss(
    predict: Callable[[Tensor, Tensor], Tensor], x0: Tensor, noise: Tensor, u: Tensor
) -> Tensor:
    """Weighted velocity loss, (N,).

    Salimans and Ho 2022 for v; the weight min(SNR, 5) / (SNR + 1) + 0.05 is min-SNR-5 (Hang et al.
    2023, arXiv 2303.09556) for v, with a floor that keeps the coarsest noise trained.
    """
    u = u.clamp(1e-4, 1 - 1e-4)
    abar = sigma_to_abar(cosine_sigma(u.double(), COMPACT_SHIFT)).float().view(-1, 1, 1, 1)
    x_t = abar.sqrt() * x0 + (1 - abar).sqrt() * noise
    v = abar.sqrt() * noise - (1 - abar).sqrt() * x0
    snr = (abar / (1 - abar)).view(-1)
    weight = snr.clamp(max=5) / (snr + 1) + 0.05
    return weight * (predict(x_t, 1000 * u).float() - v).square().mean(dim=(1, 2, 3))


def _eps_loss(
    predict: Callable[[Tensor, Tensor], Tensor], x0: Tensor, noise: Tensor, u: Tensor
) -> Tensor:
    """Noise loss plus variational bound of the learned variance, (N,).

    Nichol and Dhariwal 2021 (arXiv 2102.09672), section 3.1, as the authors use it: the bound in
    bits per dimension, not scaled, and without a gradient through the mean.
    """
    t = (u * _TRAIN_STEPS).long().clamp(max=_TRAIN_STEPS - 1)
    step = _TRAIN_STEPS - 1 - t
    abar = _at(_posterior().abar, step)
    x_t = abar.sqrt() * x0 + (1 - abar).sqrt() * noise
    eps, variance = predict(x_t, t.float()).float().chunk(2, dim=1)
    bound = variational_bound(step, x0, x_t, eps.detach(), variance)
    return (eps - noise).square().mean(dim=(1, 2, 3)) + bound


def variational_bound(
    step: Tensor, x0: Tensor, x_t: Tensor, eps: Tensor, variance: Tensor
) -> Tensor:
    """Variational bound of DDPM's linear schedule, in bits per dimension, (N,).

    The divergence of the model's step from the posterior; at the last step the likelihood of the
    image itself as one of 256 grey values (Ho et al. 2020, section 3.3).

    Parameters
    ----------
    step : Tensor, (N,), int64
        0 is the noisiest, 999 the last.
    x0, x_t : Tensor, (N, C, H, W)
        Clean, and noisy in the variance-preserving form.
    eps, variance : Tensor, (N, C, H, W)
        The model's noise and its variance between the smallest (-1) and the largest (1).
    """
    q = _posterior()
    abar, low, high = (_at(v, step) for v in (q.abar, q.log_smallest, q.log_largest))
    x0_weight, x_weight = _at(q.x0_weight, step), _at(q.x_weight, step)
    model_x0 = (x_t - (1 - abar).sqrt() * eps) / abar.sqrt()
    mean = x0_weight * model_x0 + x_weight * x_t
    log_variance = low + (variance + 1) / 2 * (high - low)
    apart = (x0_weight * (x0 - model_x0)).square()
    divergence = 0.5 * (
        log_variance - low - 1 + (low - log_variance).exp() + apart * (-log_variance).exp()
    )
    surprise = -_grey_log_likelihood(x0, mean, log_variance)
    nats = torch.where((step == _TRAIN_STEPS - 1).view(-1, 1, 1, 1), surprise, divergence)
    return nats.mean(dim=(1, 2, 3)) / math.log(2)


def _grey_log_likelihood(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Log probability of one of 256 grey values on -1..1 under a normal distribution."""
    narrow = (-0.5 * log_variance).exp()
    above = torch.special.ndtr((x - mean + 1 / 255) * narrow).where(x < 0.999, 1.0)
    below = torch.special.ndtr((x - mean - 1 / 255) * narrow).where(x > -0.999, 0.0)
    log_likelihood: Tensor = (above - below).clamp(min=1e-12).log()
    return log_likelihood


@cache
def _posterior() -> DdpmPosterior:
    noisiest_first = linear_sigmas(_TRAIN_STEPS).flip(0)
    return DdpmPosterior.of(torch.cat([noisiest_first, noisiest_first.new_zeros(1)]))


def _at(values: Tensor, step: Tensor) -> Tensor:
    """Coefficients of each sample's step, (N, 1, 1, 1)."""
    return values.float().to(step.device)[step].view(-1, 1, 1, 1)
