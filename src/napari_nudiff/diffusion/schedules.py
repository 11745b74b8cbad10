"""Noise levels and the maps between them: pure functions.

Everywhere the noise level is ``sigma`` of the variance-exploding form x = x0 + sigma * noise; the
variance-preserving form of DDPM is x_t = sqrt(abar) x0 + sqrt(1 - abar) noise with
abar = 1 / (1 + sigma**2), so that x_t = sqrt(abar) x.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

COMPACT_SHIFT = 2.0
"""Shift of the compact models' cosine schedule: 128 px crops over the 64 px of its origin."""


def linear_sigmas(train_steps: int = 1000) -> Tensor:
    """Noise levels of DDPM's linear schedule, the smallest first (Ho et al. 2020).

    Returns
    -------
    Tensor, (train_steps,), float64
        For betas that grow linearly from 0.1 / train_steps to 20 / train_steps.
    """
    scale = 1000 / train_steps
    betas = torch.linspace(scale * 1e-4, scale * 0.02, train_steps, dtype=torch.float64)
    return abar_to_sigma(torch.cumprod(1 - betas, dim=0))


def abar_to_sigma(abar: Tensor) -> Tensor:
    """Noise level of the variance-preserving cumulative product ``abar``."""
    return ((1 - abar) / abar).sqrt()


def sigma_to_abar(sigma: Tensor) -> Tensor:
    """Variance-preserving cumulative product of a noise level."""
    return 1 / (1 + sigma**2)


def respaced_timesteps(steps: int, train_steps: int = 1000) -> Tensor:
    """Evenly spaced time steps that include the first and the last (guided-diffusion's respacing).

    Returns
    -------
    Tensor, (steps,), int64, ascending
    """
    if not 1 <= steps <= train_steps:
        raise ValueError(f"{steps} steps asked for; the schedule has 1 to {train_steps}")
    stride = (train_steps - 1) / max(steps - 1, 1)
    return torch.tensor([round(i * stride) for i in range(steps)])


def sigma_to_t(sigma: Tensor, sigmas: Tensor) -> Tensor:
    """Time step of a noise level: its index in ascending ``sigmas``, interpolated in log sigma."""
    log_sigmas, log_sigma = sigmas.log(), sigma.double().clamp(sigmas[0], sigmas[-1]).log()
    low = (torch.searchsorted(log_sigmas, log_sigma, right=True) - 1).clamp(0, len(sigmas) - 2)
    gap = log_sigmas[low + 1] - log_sigmas[low]
    t = low + (log_sigma - log_sigmas[low]) / gap
    # The authors' networks were trained on whole steps; do not miss one by rounding.
    return torch.where((t - t.round()).abs() < 1e-3, t.round(), t).float()


def cosine_sigma(u: Tensor, shift: float = COMPACT_SHIFT) -> Tensor:
    """Noise level at time ``u`` in (0, 1) of the shifted cosine schedule.

    Nichol and Dhariwal 2021, shifted for image size as in Hoogeboom et al. 2023 (arXiv
    2301.11093): log SNR = -2 log tan(pi u / 2) - 2 log(shift).
    """
    return shift * torch.tan(u * (math.pi / 2))


def cosine_time(sigma: Tensor, shift: float = COMPACT_SHIFT) -> Tensor:
    """Time ``u`` in (0, 1) of a noise level: the inverse of `cosine_sigma`."""
    return torch.atan(sigma / shift) * (2 / math.pi)


def cosine_sigmas(steps: int, shift: float = COMPACT_SHIFT, sigma_max: float = 160.0) -> Tensor:
    """Noise levels to sample at with ``steps`` network evaluations, the largest first, then 0.

    Evenly spaced in the time of the training schedule.

    Returns
    -------
    Tensor, (steps + 1,), float64
    """
    last = cosine_time(torch.tensor(sigma_max, dtype=torch.float64), shift)
    u = torch.linspace(float(last), 0, steps + 1, dtype=torch.float64)
    return cosine_sigma(u, shift)


def respaced_sigmas(steps: int, train_sigmas: Tensor) -> Tensor:
    """Noise levels of ``steps`` respaced DDPM steps, the largest first, then 0.

    Returns
    -------
    Tensor, (steps + 1,), float64
    """
    kept = train_sigmas[respaced_timesteps(steps, len(train_sigmas))].flip(0)
    return torch.cat([kept, kept.new_zeros(1)])
