"""Pairs of image and labels to augmented training crops.

Every crop, and everything random about it down to its noise, is a function of (seed, step, index in
the batch) alone. So a run that is killed and resumed sees the same crops without any state to
restore, and it does not matter how many processes or workers share a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from napari_nudiff.dataset.pairs import Pair, turned
from napari_nudiff.nuclei.descriptors import layout_globals, stain_style
from napari_nudiff.nuclei.structure import encode_structure
from napari_nudiff.training.config import TrainConfig

Rng = np.random.Generator


class Key(NamedTuple):
    """Which crop: the step, and its place in the batch of that step."""

    step: int
    place: int


@dataclass(frozen=True)
class Batch:
    """Training crops, with the random numbers that belong to each of them.

    Attributes
    ----------
    image : Tensor, (N, 3, S, S), uint8
    structure : Tensor, (N, 3, S, S), float32
        Semantic 0/1, horizontal and vertical maps.
    style : Tensor, (N, 6)
        Stain style of each crop.
    density : Tensor, (N, 2)
        Density and size of the nuclei of each crop.
    u : Tensor, (N,)
        Noise time, 0..1, stratified over the batch.
    told : Tensor, (N, 2), bool
        Whether the network is told the structure, and the global numbers.
    noise_seed : Tensor, (N,), int64
    """

    image: Tensor
    structure: Tensor
    style: Tensor
    density: Tensor
    u: Tensor
    told: Tensor
    noise_seed: Tensor

    def __len__(self) -> int:
        return len(self.image)

    def pin_memory(self) -> Batch:
        """The same batch where a GPU can copy it from in the background."""
        return Batch(**{f.name: getattr(self, f.name).pin_memory() for f in fields(self)})

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return Batch(
            **{f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)}
        )

    @property
    def signed_image(self) -> Tensor:
        """The images as float32 on -1..1."""
        return self.image.float() / 127.5 - 1

    @classmethod
    def stack(cls, crops: Sequence[dict[str, NDArray[np.generic]]]) -> Batch:
        """Join crops."""
        return cls(**{k: torch.from_numpy(np.stack([c[k] for c in crops])) for k in crops[0]})


class TrainingCrops(Dataset[dict[str, NDArray[np.generic]]]):
    """Crops of pairs, flipped, turned and stain-jittered at random, by their key.

    Parameters
    ----------
    pairs : sequence of Pair
        Drawn from in proportion to their area.
    config : TrainConfig
    """

    def __init__(self, pairs: Sequence[Pair], config: TrainConfig) -> None:
        self.pairs = pairs
        self.config = config
        areas = np.array([pair.labels.size for pair in pairs], dtype=float)
        self._until = np.cumsum(areas / areas.sum())

    def __getitem__(self, key: Key) -> dict[str, NDArray[np.generic]]:
        config = self.config
        stage = config.stage_at(key.step)[0]
        rng = np.random.default_rng((config.seed, key.step, key.place))
        chosen = min(int(np.searchsorted(self._until, rng.random(), "right")), len(self.pairs) - 1)
        image, labels, structure = _crop(self.pairs[chosen], stage.crop_px, rng, config)
        hidden = np.array([stage.drop_structure, stage.drop_globals])
        return {
            "image": np.ascontiguousarray(image.transpose(2, 0, 1)),
            "structure": structure,
            "style": stain_style(image),
            "density": layout_globals(labels),
            "u": np.array(
                (key.place % stage.batch_crops + rng.random()) / stage.batch_crops, np.float32
            ),
            "told": rng.random(2) >= hidden,
            "noise_seed": np.array(rng.integers(2**62)),
        }


class CropKeys(Sampler[list[Key]]):
    """Keys of the crops that one process computes: its share of each step, in parts.

    Parameters
    ----------
    config : TrainConfig
    start : int
        First step.
    process, processes : int
        Which of how many.
    """

    def __init__(
        self, config: TrainConfig, start: int = 0, process: int = 0, processes: int = 1
    ) -> None:
        self.config, self.start = config, start
        self.process, self.processes = process, processes

    def __iter__(self) -> Iterator[list[Key]]:
        for step in range(self.start, self.config.steps):
            size = self.config.stage_at(step)[0].batch_crops
            parts = self.processes * self.config.accumulate
            for part in range(self.process, parts, self.processes):
                share = range(part * size // parts, (part + 1) * size // parts)
                yield [Key(step, place) for place in share]


def draw_batch(crops: TrainingCrops, step: int, size: int) -> Batch:
    """The first ``size`` crops of a step."""
    return Batch.stack([crops[Key(step, place)] for place in range(size)])


def jitter_stain(image: NDArray[np.uint8], rng: Rng) -> NDArray[np.uint8]:
    """Vary the stain: optical density scaled as a whole and a little per channel."""
    gain = rng.uniform(0.75, 1.3) * rng.uniform(0.9, 1.1, size=3)
    light = (np.arange(256)[:, None] + 1) / 256.0
    table = np.clip(256 * light**gain - 1, 0, 255).round().astype(np.uint8)  # (256, 3)
    return table[image, np.arange(3)]


def _crop(
    pair: Pair, side: int, rng: Rng, config: TrainConfig
) -> tuple[NDArray[np.uint8], NDArray[np.integer], NDArray[np.float32]]:
    """Image, labels and structure of one crop, with all its turns."""
    stride = max(config.crop_stride_px, 1)
    top, left = (stride * int(rng.integers((n - side) // stride + 1)) for n in pair.labels.shape)
    window = np.s_[top : top + side, left : left + side]
    turns, flip = int(rng.integers(4)), bool(rng.integers(2))
    image, labels = (turned(plane[window], turns, flip) for plane in (pair.image, pair.labels))
    if config.turn_vectors:
        structure = encode_structure(labels)
    else:  # the maps are moved as pictures, and their vectors point where they did
        maps = encode_structure(pair.labels[window]).transpose(1, 2, 0)
        structure = turned(maps, turns, flip).transpose(2, 0, 1)
    if rng.random() < config.stain_jitter:
        image = jitter_stain(image, rng)
    return image, labels, np.ascontiguousarray(structure)
