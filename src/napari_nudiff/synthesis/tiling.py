"""Large canvases: overlapping windows, blended at every step of the sampler.

Each step denoises every window and averages the estimates of x0 where windows overlap, with
weights that fall towards the windows' edges (MultiDiffusion, Bar-Tal et al. 2023, arXiv
2302.08113). The samplers do not know: this is one more denoiser.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_nudiff.diffusion.denoiser import Conditioning, Denoiser, Prediction

WHOLE_CANVAS_PX = 512
"""Canvases up to this side are denoised in one piece."""
WINDOW_PX = 384
OVERLAP_PX = 128
_KEPT_CONDITIONINGS = 16


@dataclass(frozen=True)
class Window:
    """A rectangle of the canvas, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def of(self, canvas: Tensor) -> Tensor:
        """The part of ``canvas`` (..., H, W) inside the window (a view)."""
        return canvas[..., self.top : self.top + self.height, self.left : self.left + self.width]


def windows_over(height: int, width: int, multiple_px: int) -> list[Window]:
    """Windows that cover a canvas: one if it is small, else overlapping ones of equal size.

    Parameters
    ----------
    height, width : int
        Size of the canvas; multiples of ``multiple_px``.
    multiple_px : int
        Windows start at multiples of this, as the network's stem and levels need.
    """
    tops, tall = _starts(height, multiple_px)
    lefts, wide = _starts(width, multiple_px)
    return [Window(top, left, tall, wide) for top in tops for left in lefts]


class TiledDenoiser:
    """Denoise a canvas window by window.

    Parameters
    ----------
    denoiser : Denoiser
        Denoises one window.
    windows : sequence of Window
    condition : callable
        Conditioning of a window; kept for a few windows, computed again where there are many, so
        that memory does not grow with the canvas.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        windows: Sequence[Window],
        condition: Callable[[Window], Conditioning],
    ) -> None:
        self.denoiser = denoiser
        self.windows = windows
        self._condition = condition
        self._kept: dict[Window, Conditioning] = {}

    def denoise(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Prediction:
        """Estimate x0 of the whole canvas; ``cond`` is not used, each window has its own."""
        if len(self.windows) == 1:
            return self.denoiser.denoise(x, sigma, self._conditioning(self.windows[0]))
        weight = _hann(self.windows[0]).to(x)
        total, norm = torch.zeros_like(x), torch.zeros_like(x[:1, :1])
        variance: Tensor | None = None
        for window in self.windows:
            part = self.denoiser.denoise(window.of(x), sigma, self._conditioning(window))
            window.of(total).add_(part.x0 * weight)
            window.of(norm).add_(weight)
            if part.variance is not None:
                variance = torch.zeros_like(x) if variance is None else variance
                window.of(variance).add_(part.variance * weight)
        return Prediction(total / norm, None if variance is None else variance / norm)

    def _conditioning(self, window: Window) -> Conditioning:
        if window in self._kept:
            return self._kept[window]
        cond = self._condition(window)
        if len(self.windows) <= _KEPT_CONDITIONINGS:
            self._kept[window] = cond
        return cond


def _starts(side: int, multiple_px: int) -> tuple[list[int], int]:
    """Where windows start along one side, and how long they are."""
    if side <= WHOLE_CANVAS_PX:
        return [0], side
    count = -(-(side - OVERLAP_PX) // (WINDOW_PX - OVERLAP_PX))
    last = side - WINDOW_PX
    starts = [round(i * last / (count - 1) / multiple_px) * multiple_px for i in range(count)]
    return [*starts[:-1], last], WINDOW_PX


def _hann(window: Window) -> Tensor:
    """Blend weights of a window, (H, W): highest in the middle, never 0."""
    rows = torch.hann_window(window.height + 2, periodic=False)[1:-1]
    cols = torch.hann_window(window.width + 2, periodic=False)[1:-1]
    return rows[:, None] * cols[None, :]
