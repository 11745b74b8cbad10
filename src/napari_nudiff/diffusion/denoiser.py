"""Denoisers: one signature for every network, and classifier-free guidance as a wrapper.

A denoiser maps a noisy image x = x0 + sigma * noise to its estimate of x0. The samplers know
nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from napari_nudiff.diffusion.fused import FusedUNet
from napari_nudiff.diffusion.schedules import (
    COMPACT_SHIFT,
    cosine_sigmas,
    cosine_time,
    linear_sigmas,
    respaced_sigmas,
    sigma_to_abar,
    sigma_to_t,
)
from napari_nudiff.diffusion.unet import Encoded, Modulation, UNet


@dataclass(frozen=True)
class Prediction:
    """What a denoiser says of a noisy image.

    Attributes
    ----------
    x0 : Tensor, (N, C, H, W)
        Estimate of the clean image.
    variance : Tensor, (N, C, H, W), or None
        Learned interpolation, in -1..1, between the smallest and the largest variance of a DDPM
        step (Nichol and Dhariwal 2021, equation 15); only `sample_ddpm` reads it.
    """

    x0: Tensor
    variance: Tensor | None = None

    def clipped(self) -> Prediction:
        """The same prediction with x0 limited to the range of the data, -1..1."""
        return Prediction(self.x0.clamp(-1, 1), self.variance)


@dataclass(frozen=True)
class Conditioning:
    """All conditions of a network, computed once per request.

    Attributes
    ----------
    modulation : Modulation or None
        What `UNet.modulation` returned for the structure.
    null : Modulation or None
        The same for "no structure"; needed where guidance is on.
    globals_ : Tensor, (N, G), or None
        Stain style, or density and nucleus size.
    """

    modulation: Modulation | None = None
    null: Modulation | None = None
    globals_: Tensor | None = None


UNCONDITIONAL = Conditioning()


def to_signed(structure: Tensor) -> Tensor:
    """Structure maps (N, 3, H, W) with the semantic 0/1 as -1/+1: the structure model's range."""
    return torch.cat([structure[:, :1] * 2 - 1, structure[:, 1:]], dim=1)


def from_signed(structure: Tensor) -> Tensor:
    """Structure maps (N, 3, H, W) with the semantic back on 0..1."""
    return torch.cat([(structure[:, :1] + 1) / 2, structure[:, 1:]], dim=1)


class Denoiser(Protocol):
    """Anything that estimates the clean image of a noisy one."""

    def denoise(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Prediction:
        """Estimate x0 of ``x`` (N, C, H, W) at the noise level ``sigma`` (scalar)."""
        ...


@dataclass(frozen=True)
class NoisyInput:
    """A noisy image with its encoding: what both branches of guidance share."""

    x: Tensor
    sigma: Tensor
    encoded: Encoded


class NetworkDenoiser(ABC):
    """Common part of the denoisers that own a network.

    Parameters
    ----------
    unet : UNet or FusedUNet
    autocast : torch.dtype or None
        Precision of a `UNet`'s arithmetic; None = that of its weights.
    """

    def __init__(self, unet: UNet | FusedUNet, autocast: torch.dtype | None = None) -> None:
        self.unet = unet
        self.autocast = autocast

    def denoise(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Prediction:
        """Estimate x0, limited to -1..1."""
        noisy = self.encode(x, sigma, cond.globals_, cond.modulation)
        return self.predict(self.decode(noisy, cond.modulation), noisy).clipped()

    @abstractmethod
    def sigmas(self, steps: int) -> Tensor:
        """Noise levels to sample at with ``steps`` evaluations: (steps + 1,), descending to 0."""

    def encode(
        self, x: Tensor, sigma: Tensor, globals_: Tensor | None, modulation: Modulation | None
    ) -> NoisyInput:
        """Run the first half of the network, see `UNet.encode`."""
        t = self._time(sigma).expand(len(x)).to(x.device)
        scaled = x * sigma_to_abar(sigma).sqrt().to(x)
        with self._precision(x):
            encoded = self.unet.encode(scaled, t, globals_, modulation)
        return NoisyInput(x, sigma.to(x), encoded)

    def decode(self, noisy: NoisyInput, modulation: Modulation | None) -> Tensor:
        """Run the rest of the network; returns its raw output."""
        with self._precision(noisy.x):
            return self.unet.decode(noisy.encoded, modulation).to(noisy.x.dtype)

    @abstractmethod
    def predict(self, out: Tensor, noisy: NoisyInput) -> Prediction:
        """What a raw output means; x0 is not limited yet."""

    def modulation(self, structure: Tensor | None, like: Tensor | None = None) -> Modulation | None:
        """`UNet.modulation` at this denoiser's precision."""
        shape = structure if structure is not None else like
        assert shape is not None
        with self._precision(shape):
            return self.unet.modulation(structure, like)

    def _precision(self, x: Tensor) -> AbstractContextManager[object]:
        if self.autocast is None:
            return nullcontext()
        return torch.autocast(x.device.type, self.autocast)

    @abstractmethod
    def _time(self, sigma: Tensor) -> Tensor:
        """The network's time of a noise level."""


class EpsDenoiser(NetworkDenoiser):
    """Denoiser for the authors' networks: noise prediction on DDPM's 1000 linear steps."""

    def __init__(self, unet: UNet | FusedUNet, autocast: torch.dtype | None = None) -> None:
        super().__init__(unet, autocast)
        self.train_sigmas = linear_sigmas()

    def sigmas(self, steps: int) -> Tensor:
        """Noise levels of ``steps`` respaced training steps, then 0."""
        return respaced_sigmas(steps, self.train_sigmas)

    def _time(self, sigma: Tensor) -> Tensor:
        return sigma_to_t(sigma.cpu(), self.train_sigmas)

    def predict(self, out: Tensor, noisy: NoisyInput) -> Prediction:
        """Noise, and the variance where it is learned."""
        channels = noisy.x.shape[1]
        eps, variance = out[:, :channels], out[:, channels:]
        x0 = noisy.x - noisy.sigma * eps
        return Prediction(x0, variance if variance.shape[1] else None)


class VDenoiser(NetworkDenoiser):
    """Denoiser for the compact networks: v-prediction on a shifted cosine schedule.

    v = sqrt(abar) noise - sqrt(1 - abar) x0 (Salimans and Ho 2022, arXiv 2202.00512).
    """

    def __init__(
        self,
        unet: UNet | FusedUNet,
        autocast: torch.dtype | None = None,
        shift: float = COMPACT_SHIFT,
    ) -> None:
        super().__init__(unet, autocast)
        self.shift = shift

    def sigmas(self, steps: int) -> Tensor:
        """Noise levels evenly spaced in the training time, then 0."""
        return cosine_sigmas(steps, self.shift)

    def _time(self, sigma: Tensor) -> Tensor:
        return 1000 * cosine_time(sigma.double(), self.shift).float()

    def predict(self, out: Tensor, noisy: NoisyInput) -> Prediction:
        """The velocity v."""
        abar = sigma_to_abar(noisy.sigma)
        # x is sqrt(1 / abar) times the variance-preserving x_t, and x0 = sqrt(abar) x_t - ... v.
        return Prediction(abar * noisy.x - (1 - abar).sqrt() * out)


class Guided:
    """Classifier-free guidance on the structure: out = null + scale (cond - null).

    Ho and Salimans 2022 (arXiv 2207.12598), in the convention of Nudiff's notebook, where
    ``scale = 1`` is no guidance (the paper's w is ``scale - 1``). Only where ``interval`` says so
    is there a second branch at all (Kynkaanniemi et al. 2024, arXiv 2404.07724); both share the
    encoder, unless the structure enters there.

    Parameters
    ----------
    denoiser : NetworkDenoiser
    scale : float
    interval : tuple of float
        Noise levels between which guidance acts.
    """

    def __init__(
        self,
        denoiser: NetworkDenoiser,
        scale: float,
        interval: tuple[float, float] = (0.0, float("inf")),
    ) -> None:
        self.denoiser = denoiser
        self.scale = scale
        self.interval = interval

    def denoise(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Prediction:
        """Estimate x0, limited to -1..1 after guidance."""
        noisy = self.denoiser.encode(x, sigma, cond.globals_, cond.modulation)
        out = self.denoiser.decode(noisy, cond.modulation)
        low, high = self.interval
        if self.scale != 1 and low <= float(sigma) <= high:
            if self.denoiser.unet.config.structure_at_input:
                noisy = self.denoiser.encode(x, sigma, cond.globals_, cond.null)
            null = self.denoiser.decode(noisy, cond.null)
            # Guide the first channels only: a learned variance stays the conditional one.
            c = x.shape[1]
            guided = null[:, :c] + self.scale * (out[:, :c] - null[:, :c])
            out = torch.cat([guided, out[:, c:]], dim=1)
        return self.denoiser.predict(out, noisy).clipped()
