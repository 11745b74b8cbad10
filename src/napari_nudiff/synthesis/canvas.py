"""Noise that belongs to places of a canvas, not to the shape of an array."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

BLOCK_PX = 64
_START = 2**32 - 1  # stream of the initial noise; steps count up from 0


class CanvasNoise:
    """Standard normal noise that is a function of (seed, step, row, column).

    Every block of 64 x 64 pixels has a random stream of its own, so the noise at a place is the
    same whatever the size of the canvas or the window that is looked at, and on every device.

    Parameters
    ----------
    seed : int
    height_px, width_px : int
        Size of the canvas.
    channels : int
    """

    def __init__(self, seed: int, height_px: int, width_px: int, channels: int = 3) -> None:
        self.seed = seed
        self.shape = (channels, height_px, width_px)

    def initial(self) -> Tensor:
        """Noise to start from, (1, C, H, W) float32."""
        return self._stream(_START)

    def at_step(self, step: int) -> Tensor:
        """Noise of a step of a stochastic sampler, (1, C, H, W) float32."""
        return self._stream(step)

    def _stream(self, stream: int) -> Tensor:
        channels, height, width = self.shape
        rows, cols = -(-height // BLOCK_PX), -(-width // BLOCK_PX)
        blocks = [[self._block(stream, r, c, channels) for c in range(cols)] for r in range(rows)]
        canvas = np.block(blocks)[:, :height, :width]
        return torch.from_numpy(np.ascontiguousarray(canvas))[None]

    def _block(self, stream: int, row: int, col: int, channels: int) -> np.ndarray:
        sequence = np.random.SeedSequence(self.seed, spawn_key=(stream, row, col))
        rng = np.random.Generator(np.random.Philox(sequence))
        return rng.standard_normal((channels, BLOCK_PX, BLOCK_PX), dtype=np.float32)


def derived_seed(seed: int, index: int) -> int:
    """Seed of item ``index`` of a batch that was asked for with ``seed``; item 0 keeps it."""
    if index == 0:
        return seed
    state = np.random.SeedSequence(seed, spawn_key=(index,)).generate_state(1, np.uint64)
    return int(state[0] >> 1)
