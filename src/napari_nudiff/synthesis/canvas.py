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
        Size of the canvas, or of a window of it.
    channels : int
    top_px, left_px : int
        Where on the canvas the window lies.
    """

    def __init__(
        self,
        seed: int,
        height_px: int,
        width_px: int,
        channels: int = 3,
        *,
        top_px: int = 0,
        left_px: int = 0,
    ) -> None:
        self.seed = seed
        self.channels = channels
        self.rows = slice(top_px, top_px + height_px)
        self.cols = slice(left_px, left_px + width_px)

    def initial(self) -> Tensor:
        """Noise to start from, (1, C, H, W) float32."""
        return self._stream(_START)

    def at_step(self, step: int) -> Tensor:
        """Noise of a step of a stochastic sampler, (1, C, H, W) float32."""
        return self._stream(step)

    def _stream(self, stream: int) -> Tensor:
        blocks = [
            [self._block(stream, row, col) for col in _blocks_under(self.cols)]
            for row in _blocks_under(self.rows)
        ]
        covered = np.block(blocks)
        top, left = self.rows.start % BLOCK_PX, self.cols.start % BLOCK_PX
        height, width = self.rows.stop - self.rows.start, self.cols.stop - self.cols.start
        window = covered[:, top : top + height, left : left + width]
        return torch.from_numpy(np.ascontiguousarray(window))[None]

    def _block(self, stream: int, row: int, col: int) -> np.ndarray:
        sequence = np.random.SeedSequence(self.seed, spawn_key=(stream, row, col))
        rng = np.random.Generator(np.random.Philox(sequence))
        return rng.standard_normal((self.channels, BLOCK_PX, BLOCK_PX), dtype=np.float32)


def derived_seed(seed: int, index: int) -> int:
    """Seed of item ``index`` of a batch that was asked for with ``seed``; item 0 keeps it."""
    if index == 0:
        return seed
    state = np.random.SeedSequence(seed, spawn_key=(index,)).generate_state(1, np.uint64)
    return int(state[0] >> 1)


def _blocks_under(side: slice) -> range:
    """Numbers of the blocks that a side of a window touches."""
    return range(side.start // BLOCK_PX, -(-side.stop // BLOCK_PX))
