"""Samplers: each a generator of steps, in the symbols of its paper.

All have one signature. ``x`` starts as pure noise times ``sigmas[0]``, ``sigmas`` falls to 0, and
``noise(i)`` returns standard normal noise shaped as ``x`` for step ``i`` (only the stochastic
samplers ask for it). The sampler never sees a structure, a guidance scale or a progress bar.

Those that evaluate the denoiser once a step are update rules: what becomes of a pixel depends on
nothing but that pixel. `sampled_by` runs a rule over a whole canvas; a caller that cannot hold one
in memory runs it over the canvas band by band.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from napari_nudiff.diffusion.denoiser import UNCONDITIONAL, Conditioning, Denoiser, Prediction
from napari_nudiff.diffusion.names import SAMPLER_NAMES
from napari_nudiff.diffusion.schedules import sigma_to_abar

Noise = Callable[[int], Tensor]


@dataclass(frozen=True)
class Step:
    """State after one step of a sampler.

    Attributes
    ----------
    index : int
        0 for the first step.
    sigma : Tensor
        Noise level of ``x`` after the step.
    x : Tensor, (N, C, H, W)
    x0 : Tensor, (N, C, H, W)
        The clean image as the denoiser saw it at this step: a preview.
    """

    index: int
    sigma: Tensor
    x: Tensor
    x0: Tensor


Update = Callable[[int, Tensor, Prediction, Tensor | None, Noise], Tensor]
"""x after step ``i``, from x before it, the prediction there, and x0 of the step before."""

Rule = Callable[[Tensor], Update]
"""The update of a sampler at given ``sigmas``."""


class Sampler(Protocol):
    """Sample an image; see the head of this module."""

    def __call__(
        self,
        denoise: Denoiser,
        x: Tensor,
        sigmas: Tensor,
        cond: Conditioning = ...,
        noise: Noise = ...,
        /,
    ) -> Iterator[Step]:
        """Yield each step."""
        ...


def no_noise(_: int) -> Tensor:
    """Noise source of the deterministic samplers."""
    raise ValueError("A stochastic sampler needs a source of noise")


@dataclass(frozen=True)
class DdpmPosterior:
    """Coefficients of q(x_s | x_t, x0) at every step of a schedule (Ho et al. 2020, eq. 6-7).

    Attributes
    ----------
    abar : Tensor, (steps + 1,)
        Cumulative products, the noisiest first, ending in 1.
    x0_weight, x_weight : Tensor, (steps,)
        Weights of x0 and of x_t in the posterior mean.
    log_smallest, log_largest : Tensor, (steps,)
        Log variances between which a learned variance interpolates.
    """

    abar: Tensor
    x0_weight: Tensor
    x_weight: Tensor
    log_smallest: Tensor
    log_largest: Tensor

    @classmethod
    def of(cls, sigmas: Tensor) -> DdpmPosterior:
        """Coefficients for descending noise levels that end in 0, in float64."""
        abar = sigma_to_abar(sigmas.double())
        abar_t, abar_s = abar[:-1], abar[1:]
        beta = 1 - abar_t / abar_s
        variance = beta * (1 - abar_s) / (1 - abar_t)
        # The last step's variance is 0; the authors take the last but one's for its logarithm.
        smallest = variance.clone()
        smallest[-1] = variance[-2] if len(variance) > 1 else beta[-1]
        return cls(
            abar,
            beta * abar_s.sqrt() / (1 - abar_t),
            (1 - abar_s) * (1 - beta).sqrt() / (1 - abar_t),
            smallest.log(),
            beta.log(),
        )

    def mean_and_log_variance(
        self, i: int, x_t: Tensor, prediction: Prediction
    ) -> tuple[Tensor, Tensor]:
        """Mean and log variance of step ``i`` from the variance-preserving ``x_t``."""
        mean = float(self.x0_weight[i]) * prediction.x0 + float(self.x_weight[i]) * x_t
        low, high = float(self.log_smallest[i]), float(self.log_largest[i])
        if prediction.variance is None:
            return mean, torch.full_like(mean, low)
        fraction = (prediction.variance + 1) / 2
        return mean, fraction * high + (1 - fraction) * low


# Rules


def ddpm(sigmas: Tensor) -> Update:
    """Ancestral sampler of DDPM with learned variance where there is one (the paper's).

    Ho et al. 2020, Algorithm 2; Nichol and Dhariwal 2021, equation 15.
    """
    posterior = DdpmPosterior.of(sigmas)

    def update(
        i: int, x: Tensor, prediction: Prediction, x0_last: Tensor | None, noise: Noise
    ) -> Tensor:
        x_t = x * posterior.abar[i].sqrt().to(x)
        mean, log_variance = posterior.mean_and_log_variance(i, x_t, prediction)
        if sigmas[i + 1] > 0:
            mean = mean + (0.5 * log_variance).exp() * noise(i)
        return mean / posterior.abar[i + 1].sqrt().to(x)

    return update


def ddim(sigmas: Tensor) -> Update:
    """Deterministic DDIM (Song et al. 2021, equation 12 with eta = 0), a first-order ODE solver."""

    def update(
        i: int, x: Tensor, prediction: Prediction, x0_last: Tensor | None, noise: Noise
    ) -> Tensor:
        eps = (x - prediction.x0) / sigmas[i].to(x)
        return prediction.x0 + sigmas[i + 1].to(x) * eps

    return update


def dpmpp_2m(sigmas: Tensor) -> Update:
    """DPM-Solver++(2M), deterministic (Lu et al. 2022, arXiv 2211.01095, Algorithm 2)."""

    def update(
        i: int, x: Tensor, prediction: Prediction, x0_last: Tensor | None, noise: Noise
    ) -> Tensor:
        sigma, sigma_next = sigmas[i], sigmas[i + 1]
        if sigma_next == 0:
            return prediction.x0
        h = _lambda_step(sigmas, i)
        d = _extrapolated(sigmas, i, prediction.x0, x0_last)
        return (sigma_next / sigma).to(x) * x - torch.expm1(-h).to(x) * d

    return update


def dpmpp_2m_sde(sigmas: Tensor) -> Update:
    """SDE-DPM-Solver++(2M), stochastic (Lu et al. 2022, Algorithm 2 with the SDE update)."""

    def update(
        i: int, x: Tensor, prediction: Prediction, x0_last: Tensor | None, noise: Noise
    ) -> Tensor:
        sigma, sigma_next = sigmas[i], sigmas[i + 1]
        if sigma_next == 0:
            return prediction.x0
        h = _lambda_step(sigmas, i)
        d = _extrapolated(sigmas, i, prediction.x0, x0_last)
        x = (sigma_next / sigma * (-h).exp()).to(x) * x - torch.expm1(-2 * h).to(x) * d
        return x + (sigma_next * (-torch.expm1(-2 * h)).sqrt()).to(x) * noise(i)

    return update


def _lambda_step(sigmas: Tensor, i: int) -> Tensor:
    """How far step ``i`` goes in lambda = log(alpha / sigma): the paper's h."""
    return (sigmas[i] / sigmas[i + 1]).log()


def _extrapolated(sigmas: Tensor, i: int, x0: Tensor, x0_last: Tensor | None) -> Tensor:
    """D of DPM-Solver++(2M): x0 carried on along its change over the last step."""
    if x0_last is None:
        return x0
    r = _lambda_step(sigmas, i - 1) / _lambda_step(sigmas, i)
    return x0 + ((x0 - x0_last) / (2 * r)).to(x0)


# Samplers


def sampled_by(rule: Rule) -> Sampler:
    """The sampler that goes by a rule: one evaluation of the denoiser a step."""

    def sample(
        denoise: Denoiser,
        x: Tensor,
        sigmas: Tensor,
        cond: Conditioning = UNCONDITIONAL,
        noise: Noise = no_noise,
    ) -> Iterator[Step]:
        update, x0_last = rule(sigmas), None
        for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
            prediction = denoise.denoise(x, sigma, cond)
            x = update(i, x, prediction, x0_last, noise)
            x0_last = prediction.x0
            yield Step(i, sigma_next, x, x0_last)

    return sample


def sample_heun(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    cond: Conditioning = UNCONDITIONAL,
    noise: Noise = no_noise,
) -> Iterator[Step]:
    """Deterministic Heun sampler (Karras et al. 2022, Algorithm 1); two evaluations a step."""
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        # Euler step.
        x0 = denoise.denoise(x, sigma, cond).x0
        d = (x - x0) / sigma.to(x)
        gap = (sigma_next - sigma).to(x)
        x_next = x + gap * d
        # Second-order correction, except into sigma = 0.
        if sigma_next > 0:
            d_next = (x_next - denoise.denoise(x_next, sigma_next, cond).x0) / sigma_next.to(x)
            x_next = x + gap * (d + d_next) / 2
        x = x_next
        yield Step(i, sigma_next, x, x0)


RULES: dict[str, Rule] = {
    "dpmpp_2m": dpmpp_2m,
    "dpmpp_2m_sde": dpmpp_2m_sde,
    "ddim": ddim,
    "ddpm": ddpm,
}
"""Update rules by the names used in requests; Heun's method is none, it evaluates twice a step."""

sample_dpmpp_2m = sampled_by(dpmpp_2m)
sample_ddim = sampled_by(ddim)
sample_ddpm = sampled_by(ddpm)

SAMPLERS: dict[str, Sampler] = {
    name: sample_heun if name == "heun" else sampled_by(RULES[name]) for name in SAMPLER_NAMES
}
"""Samplers by the names used in requests."""
