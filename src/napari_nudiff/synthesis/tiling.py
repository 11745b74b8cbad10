"""Large canvases: overlapping windows, blended at every step of the sampler.

Each step denoises every window and averages the estimates of x0 where windows overlap, with
weights that fall towards the windows' edges (MultiDiffusion, Bar-Tal et al. 2023, arXiv
2302.08113). The samplers do not know: this is one more denoiser.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_nudiff.diffusion.denoiser import Conditioning, Denoiser, Prediction
from napari_nudiff.synthesis.memory import (
    KEPT_CONDITIONINGS,
    OVERLAP_PX,
    WHOLE_CANVAS_PX,
    WINDOW_PX,
    overlap_px,
)


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


def windows_over(
    height: int, width: int, multiple_px: int, window_px: int | None = None
) -> list[Window]:
    """Windows that cover a canvas: one if it is small, else overlapping ones of equal size.

    Parameters
    ----------
    height, width : int
        Size of the canvas; multiples of ``multiple_px``.
    multiple_px : int
        Windows start at multiples of this, as the network's stem and levels need.
    window_px : int, optional
        Their side, a multiple of ``multiple_px``; larger canvases have several. None = whole up
        to `WHOLE_CANVAS_PX`, else `WINDOW_PX`.
    """
    tops, tall = _starts(height, multiple_px, window_px)
    lefts, wide = _starts(width, multiple_px, window_px)
    return [Window(top, left, tall, wide) for top in tops for left in lefts]


class Blend:
    """The weighted mean of what overlapping windows say of a canvas, or of a band of one.

    Parameters
    ----------
    like : Tensor, (1, C, H, W)
        Of the canvas's shape, type, device and memory layout.
    windows : sequence of Window
        All windows over the canvas.
    """

    def __init__(self, like: Tensor, windows: Sequence[Window]) -> None:
        self._weight = _hann(windows[0]).to(like)
        if len(windows) == 1:
            self._weight = torch.ones_like(self._weight)
        self._x0 = torch.zeros_like(like)
        self._norm = torch.zeros_like(like[:1, :1])
        self._variance: Tensor | None = None

    def add(self, window: Window, part: Prediction) -> None:
        """Take in what the denoiser says of a window."""
        window.of(self._x0).add_(part.x0 * self._weight)
        window.of(self._norm).add_(self._weight)
        if part.variance is not None:
            if self._variance is None:
                self._variance = torch.zeros_like(self._x0)
            window.of(self._variance).add_(part.variance * self._weight)

    def mean(self, rows: int | None = None) -> Prediction:
        """The mean, of the first ``rows`` or of all."""
        x0, norm = self._x0[..., :rows, :], self._norm[..., :rows, :]
        if self._variance is None:
            return Prediction(x0 / norm)
        return Prediction(x0 / norm, self._variance[..., :rows, :] / norm)

    def take(self, rows: int) -> Prediction:
        """The mean of the first ``rows``, which leave; the others move up."""
        mean = self.mean(rows)
        for total in (self._x0, self._norm, self._variance):
            if total is not None:
                total.copy_(F.pad(total[..., rows:, :], (0, 0, 0, rows)))
        return mean


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
    kept : int, optional
        How many windows are a few.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        windows: Sequence[Window],
        condition: Callable[[Window], Conditioning],
        kept: int = KEPT_CONDITIONINGS,
    ) -> None:
        self.denoiser = denoiser
        self.windows = windows
        self._most_kept = kept
        self._condition = condition
        self._kept: dict[Window, Conditioning] = {}

    def denoise(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Prediction:
        """Estimate x0 of the whole canvas; ``cond`` is not used, each window has its own."""
        if len(self.windows) == 1:
            return self.denoiser.denoise(x, sigma, self._conditioning(self.windows[0]))
        blend = Blend(x, self.windows)
        for window in self.windows:
            part = self.denoiser.denoise(window.of(x), sigma, self._conditioning(window))
            blend.add(window, part)
        return blend.mean()

    def _conditioning(self, window: Window) -> Conditioning:
        if window in self._kept:
            return self._kept[window]
        cond = self._condition(window)
        if len(self.windows) <= self._most_kept:
            self._kept[window] = cond
        return cond


def _starts(side: int, multiple_px: int, window_px: int | None) -> tuple[list[int], int]:
    """Where windows start along one side, and how long they are."""
    if side <= (window_px or WHOLE_CANVAS_PX):
        return [0], side
    window = window_px or WINDOW_PX
    overlap = overlap_px(window, multiple_px) if window_px else OVERLAP_PX
    count = -(-(side - overlap) // (window - overlap))
    last = side - window
    starts = [round(i * last / (count - 1) / multiple_px) * multiple_px for i in range(count)]
    return [*starts[:-1], last], window


def _hann(window: Window) -> Tensor:
    """Blend weights of a window, (H, W): highest in the middle, never 0."""
    rows = torch.hann_window(window.height + 2, periodic=False)[1:-1]
    cols = torch.hann_window(window.width + 2, periodic=False)[1:-1]
    return rows[:, None] * cols[None, :]
