"""A sampler's run over a canvas on disk, by bands.

The samplers that evaluate the denoiser once a step change every pixel by itself
(`diffusion.samplers.RULES`), so a step can go over the canvas from the top down: a row of windows
is denoised and blended with the row above, and pixels that no later window covers are finished and
replaced in the file they came from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_nudiff.dataset.pyramid import bands_over
from napari_nudiff.diffusion.denoiser import Guided, Prediction
from napari_nudiff.diffusion.samplers import RULES
from napari_nudiff.synthesis.canvas import BLOCK_PX, CanvasNoise
from napari_nudiff.synthesis.layout import WindowedLayout
from napari_nudiff.synthesis.pipeline import CanvasRun, render_conditioning, to_uint8
from napari_nudiff.synthesis.request import RenderRequest
from napari_nudiff.synthesis.stain import StainMap
from napari_nudiff.synthesis.store import SamplerState
from napari_nudiff.synthesis.tiling import Blend, Window, windows_over
from napari_nudiff.work import Progress, Work

PREVIEW_PX = 1024
"""Longest side of a preview."""
_SLAB_PX = BLOCK_PX  # rows that are updated at once: whole blocks of noise


class BandedRun:
    """The steps of a render over a canvas on disk.

    Parameters
    ----------
    canvas : CanvasRun
        Of a `RenderRequest` whose sampler is one of `RULES`.
    layout : WindowedLayout
    state : SamplerState
        Of the canvas's full size.
    globals_ : Tensor or None
        What describes the whole image, as the network takes it.
    stain : StainMap
        From what the network makes to what was asked for.

    Attributes
    ----------
    total : int
        Windows of all steps.
    """

    def __init__(
        self,
        canvas: CanvasRun,
        layout: WindowedLayout,
        state: SamplerState,
        globals_: Tensor | None,
        stain: StainMap,
    ) -> None:
        self.canvas, self.layout, self.state = canvas, layout, state
        self.globals_, self.stain = globals_, stain
        request = canvas.request
        assert isinstance(request, RenderRequest)
        self.request = request
        self.denoiser = Guided(canvas.denoiser, request.guidance, request.guidance_interval)
        self.sigmas = canvas.denoiser.sigmas(request.steps)
        self.update = RULES[request.sampler](self.sigmas)
        height, width = canvas.full
        self.windows = windows_over(height, width, canvas.multiple, request.window_px)
        self.rows = _rows_of_windows(self.windows, height)
        self.total = request.steps * len(self.windows)
        self.preview = _Preview(canvas.size, stain)

    def start(self) -> Work[None]:
        """Fill the canvas with noise."""
        height, _ = self.canvas.full
        for slab in bands_over(height, _SLAB_PX):
            noise = self._noise(slab).initial() * float(self.sigmas[0])
            self.state.x.write(slab.start, noise)
            yield Progress("load", 0, 0)

    @torch.inference_mode()
    def steps(self) -> Work[None]:
        """Yield after each window, with a preview after the last of each step."""
        done = 0
        for i in range(self.request.steps):
            for finished in self._step(i):
                done += 1
                preview = self.preview.image.copy if finished else None
                yield Progress("render", done, self.total, preview)

    def pixels(self, rows: slice) -> NDArray[np.uint8]:
        """Rows of the image as it is after the last step, (h, W, 3)."""
        _, width = self.canvas.size
        parts = [
            to_uint8(self.stain.carry_back(self._x0_of(slab)[0, ..., :width]))
            for slab in _slabs(rows.start, rows.stop)
        ]
        return np.concatenate(parts)

    def _x0_of(self, slab: slice) -> Tensor:
        return self.state.x0.read(slab.start, slab.stop - slab.start)

    def _step(self, i: int) -> Iterator[bool]:
        """One step; yields for each window whether it was the last."""
        tall = self.windows[0].height
        blend = Blend(self._band(tall), self.windows)
        for row in self.rows:
            x = self.state.x.read(row.top, tall).to(self.canvas.device)
            for window in row.windows:
                if window is not row.windows[0]:
                    yield False
                blend.add(window, self._denoised(x, row.top, window, self.sigmas[i]))
            self._advance(i, row.top, blend.take(row.finished))
            yield row is self.rows[-1]

    def _band(self, rows: int) -> Tensor:
        """An empty band of the canvas."""
        _, width = self.canvas.full
        band = torch.empty(1, self.canvas.channels, rows, width, device=self.canvas.device)
        return band.to(memory_format=torch.channels_last)

    def _denoised(self, x: Tensor, top: int, window: Window, sigma: Tensor) -> Prediction:
        """What the denoiser says of a window of a band ``x`` whose first row is ``top``."""
        structure = self.layout.structure(replace(window, top=top)).to(self.canvas.device)
        condition = render_conditioning(
            self.canvas.denoiser, structure, self.request, self.globals_
        )
        cond = condition(replace(window, left=0))
        return self.denoiser.denoise(window.of(x), sigma, cond)

    def _advance(self, i: int, top: int, finished: Prediction) -> None:
        """Take finished rows one step on, in the files."""
        for slab in _slabs(top, top + finished.x0.shape[2]):
            prediction = _rows(finished, slab.start - top, slab.stop - top)
            self.state.x.write(slab.start, self._updated(i, slab, prediction))
            self.state.x0.write(slab.start, prediction.x0)
            self.preview.put(slab.start, prediction.x0)

    def _updated(self, i: int, slab: slice, prediction: Prediction) -> Tensor:
        """What step ``i`` makes of some rows of x."""
        size, device = slab.stop - slab.start, self.canvas.device
        x = self.state.x.read(slab.start, size).to(device)
        x0_last = self.state.x0.read(slab.start, size).to(device) if i else None
        noise = self._noise(slab)
        return self.update(i, x, prediction, x0_last, lambda i: noise.at_step(i).to(device))

    def _noise(self, slab: slice) -> CanvasNoise:
        size, (_, width) = slab.stop - slab.start, self.canvas.full
        seed, channels = self.request.seed, self.canvas.channels
        return CanvasNoise(seed, size, width, channels, top_px=slab.start)


class _Row(NamedTuple):
    """A row of windows.

    Attributes
    ----------
    top : int
        Its first row on the canvas.
    windows : list of Window
        From left to right, counted from ``top``.
    finished : int
        Rows from ``top`` down that no later window covers.
    """

    top: int
    windows: list[Window]
    finished: int


def _rows_of_windows(windows: list[Window], height: int) -> list[_Row]:
    rows = [list(row) for _, row in groupby(windows, key=lambda window: window.top)]
    tops = [row[0].top for row in rows]
    return [
        _Row(top, [replace(window, top=0) for window in row], below - top)
        for top, row, below in zip(tops, rows, [*tops[1:], height], strict=True)
    ]


class _Preview:
    """A small picture of the canvas as it forms.

    Parameters
    ----------
    size : (int, int)
        Height and width of the canvas.
    stain : StainMap
    """

    def __init__(self, size: tuple[int, ...], stain: StainMap) -> None:
        self.height, self.width = size
        self.stain = stain
        self.stride = -(-max(size) // PREVIEW_PX)
        small = [-(-side // self.stride) for side in size]
        self.image = np.zeros((*small, 3), dtype=np.uint8)

    def put(self, top: int, x0: Tensor) -> None:
        """Show rows (1, 3, h, W) of the canvas."""
        first = -top % self.stride
        seen = x0[0, :, first : max(self.height - top, 0) : self.stride, : self.width : self.stride]
        at = (top + first) // self.stride
        self.image[at : at + seen.shape[1]] = to_uint8(self.stain.carry_back(seen))


def _slabs(top: int, bottom: int) -> Iterator[slice]:
    """Rows from ``top`` to ``bottom`` in pieces that end with the blocks of the noise."""
    while top < bottom:
        end = min((top // _SLAB_PX + 1) * _SLAB_PX, bottom)
        yield slice(top, end)
        top = end


def _rows(prediction: Prediction, start: int, stop: int) -> Prediction:
    variance = prediction.variance
    return Prediction(
        prediction.x0[..., start:stop, :],
        None if variance is None else variance[..., start:stop, :],
    )
