"""Diffusion inside a mask: what is outside is known, and seen at every step.

At every step the picture outside is the known one, noised to the step's level, and what is inside
is denoised with it in view (Avrahami et al. 2022, arXiv 2111.14818; Lugmayr et al. 2022, arXiv
2201.09865, without resampling). With less than full strength the inside starts from the picture
that is there (SDEdit, Meng et al. 2022, arXiv 2108.01073).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from napari_nudiff.diffusion.denoiser import Conditioning, Denoiser, Prediction
from napari_nudiff.synthesis.canvas import CanvasNoise
from napari_nudiff.synthesis.pipeline import CanvasRun, Condition, Estimates
from napari_nudiff.synthesis.tiling import Window

_MIN_STEPS = 4  # of a refinement, however weak
_MAX_SCHEDULE = 1000  # steps that every schedule has


@dataclass(frozen=True)
class Picture:
    """A picture to paint in.

    Attributes
    ----------
    known : Tensor, (1, C, H, W)
        The picture as it is, on the core's scale.
    weight : Tensor, (1, 1 or C, H, W)
        Share of what is painted: 0 = stays as it is, 1 = is painted, between = some of each.
    strength : float
        1 = forget what is there; less = start from it, noised to this fraction of the schedule.
    """

    known: Tensor
    weight: Tensor
    strength: float = 1.0

    def painted(
        self, canvas: CanvasRun, denoiser: Any, condition: Condition, window: Window
    ) -> Estimates:
        """Yield each step's index and the picture as it forms, (C, H, W) on the device.

        Parameters
        ----------
        canvas : CanvasRun
            Of the picture's size.
        denoiser : object
            What `CanvasRun.windowed` takes.
        condition : callable
            Its conditioning.
        window : Window
            Where the picture lies: its noise is that of this place.
        """
        known, weight = canvas.padded(self.known), canvas.padded(self.weight)
        sigmas = strong_sigmas(canvas, self.strength)
        height, width = canvas.full
        noise = CanvasNoise(
            canvas.request.seed,
            height,
            width,
            canvas.channels,
            top_px=window.top,
            left_px=window.left,
        )
        x = torch.where(weight > 0, 0, known) if self.strength == 1 else known
        x = x + noise.initial().to(known) * float(sigmas[0])
        anchored = Anchored(canvas.windowed(denoiser, condition), known, weight)
        return canvas.run(anchored, x, sigmas, noise)


class Anchored:
    """A denoiser that knows the picture outside a mask.

    Given the true x0 there, every sampler keeps x there at that picture plus noise of the step's
    level: no sampler needs to know of masks. Where the mask fades the two are mixed at every step,
    not once at the end, so that what is painted leads over to what is there.

    Parameters
    ----------
    denoiser : Denoiser
    known : Tensor, (N, C, H, W)
    weight : Tensor, (N, 1 or C, H, W)
        How much the denoiser has to say, 0 to 1.
    """

    def __init__(self, denoiser: Denoiser, known: Tensor, weight: Tensor) -> None:
        self.denoiser = denoiser
        self.known = known
        self.weight = weight

    def denoise(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Prediction:
        """Estimate x0 inside the mask; outside it is known."""
        guess = self.denoiser.denoise(x, sigma, cond)
        x0 = torch.lerp(self.known, guess.x0, self.weight)  # exact at 0 and at 1
        if guess.variance is None:
            return Prediction(x0)
        # -1 is the variance of a step whose x0 is certain.
        return Prediction(x0, torch.where(self.weight > 0, guess.variance, -1))


def strong_sigmas(canvas: CanvasRun, strength: float) -> Tensor:
    """The noise levels from a fraction ``strength`` of the schedule down to 0."""
    count = step_count(canvas.request.steps, strength)
    total = min(round(count / strength), _MAX_SCHEDULE)
    return canvas.denoiser.sigmas(total)[-(count + 1) :]


def step_count(steps: int, strength: float) -> int:
    """Steps of a refinement, of a schedule with ``steps`` at full strength."""
    return max(round(steps * strength), min(steps, _MIN_STEPS))
