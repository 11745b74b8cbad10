"""Pairs of image and labels to augmented training batches.

A batch is a pure function of (seed, step): a run that is stopped and resumed sees the same crops
in the same order without any state to restore.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_nudiff.dataset.pairs import Pair
from napari_nudiff.nuclei.descriptors import layout_globals, stain_style
from napari_nudiff.nuclei.structure import encode_structure

Rng = np.random.Generator


@dataclass(frozen=True)
class Batch:
    """Training crops.

    Attributes
    ----------
    image : Tensor, (N, 3, S, S), float32 in -1..1
    structure : Tensor, (N, 3, S, S), float32
        Semantic 0/1, horizontal and vertical maps.
    style : Tensor, (N, 6)
        Stain style of each crop.
    density : Tensor, (N, 2)
        Density and size of the nuclei of each crop.
    """

    image: Tensor
    structure: Tensor
    style: Tensor
    density: Tensor


def sample_batch(
    pairs: Sequence[Pair], size: int, crop_px: int, seed: Sequence[int], stain_jitter: float = 0.0
) -> Batch:
    """Draw ``size`` crops, flipped, rotated and stain-jittered at random.

    The labels are turned before they are encoded, so the vectors are those of the turned nuclei.

    Parameters
    ----------
    pairs : sequence of Pair
        Drawn from in proportion to their area.
    size : int
        Number of crops.
    crop_px : int
        Side of the crops; images must be at least as large.
    seed : sequence of int
        What the draw depends on, e.g. (seed, step).
    stain_jitter : float
        Fraction of the crops whose stain is varied.
    """
    rng = np.random.default_rng(list(seed))
    areas = np.array([pair.labels.size for pair in pairs], dtype=float)
    chosen = rng.choice(len(pairs), size=size, p=areas / areas.sum())
    crops = [_crop(pairs[i], crop_px, rng, stain_jitter) for i in chosen]
    images = np.stack([image for image, _ in crops]).astype(np.float32) / 127.5 - 1
    structures = np.stack([encode_structure(labels) for _, labels in crops])
    return Batch(
        torch.from_numpy(images.transpose(0, 3, 1, 2).copy()),
        torch.from_numpy(structures),
        torch.from_numpy(np.stack([stain_style(image) for image, _ in crops])),
        torch.from_numpy(np.stack([layout_globals(labels) for _, labels in crops])),
    )


def jitter_stain(image: NDArray[np.uint8], rng: Rng) -> NDArray[np.uint8]:
    """Vary the stain: optical density scaled as a whole and a little per channel."""
    gain = rng.uniform(0.75, 1.3) * rng.uniform(0.9, 1.1, size=3)
    light = (np.arange(256)[:, None] + 1) / 256.0
    table = np.clip(256 * light**gain - 1, 0, 255).round().astype(np.uint8)  # (256, 3)
    return table[image, np.arange(3)]


def _crop(
    pair: Pair, side: int, rng: Rng, stain_jitter: float
) -> tuple[NDArray[np.uint8], NDArray[np.integer]]:
    height, width = pair.labels.shape
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    window = np.s_[top : top + side, left : left + side]
    image, labels = pair.image[window], pair.labels[window]
    turns, flip = int(rng.integers(4)), bool(rng.integers(2))
    image, labels = np.rot90(image, turns), np.rot90(labels, turns)
    if flip:
        image, labels = image[:, ::-1], labels[:, ::-1]
    if rng.random() < stain_jitter:
        image = jitter_stain(image, rng)
    return np.ascontiguousarray(image), np.ascontiguousarray(labels)
