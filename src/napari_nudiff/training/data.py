"""Pairs of image and labels to augmented training crops.

Every crop, and everything random about it down to its noise, is a function of (seed, step, index in
the batch) alone. So a run that is killed and resumed sees the same crops without any state to
restore, and it does not matter how many processes or workers share a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from napari_nudiff.dataset.pair import Pair, turned
from napari_nudiff.diffusion.unet import CONDITIONS
from napari_nudiff.nuclei.descriptors import layout_globals, resolution_number, stain_style
from napari_nudiff.nuclei.structure import encode_structure
from napari_nudiff.training.config import TrainConfig
from napari_nudiff.training.tiles import LOOK_PX, Tile, shares_of, tiles_of

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
    structure : Tensor, (N, 3, S, S), float32
        Semantic 0/1, horizontal and vertical maps.
    numbers : Tensor, (N, G)
        The network's conditions one after the other; NaN where one is hidden, and in place of the
        appearance, which the network's encoder finds itself.
    structure_given : Tensor, (N,), bool
        Whether the network is given the structure.
    u : Tensor, (N,)
        Noise time, 0..1, stratified over the batch.
    noise_seed : Tensor, (N,), int64
    image : Tensor, (N, 3, S, S), uint8, or None
        None for a structure model.
    look : Tensor, (N, 3, A, A), uint8, or None
        Another part of the same tile, for the appearance encoder.
    look_given : Tensor, (N,), bool, or None
    """

    structure: Tensor
    numbers: Tensor
    structure_given: Tensor
    u: Tensor
    noise_seed: Tensor
    image: Tensor | None = None
    look: Tensor | None = None
    look_given: Tensor | None = None

    def __len__(self) -> int:
        return len(self.structure)

    def pin_memory(self) -> Batch:
        """The same batch where a GPU can copy it from in the background."""
        return self._map(Tensor.pin_memory)

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return self._map(lambda values: values.to(device, non_blocking=True))

    @property
    def signed_image(self) -> Tensor:
        """The images as float32 on -1..1."""
        assert self.image is not None
        return self.image.float() / 127.5 - 1

    @property
    def signed_look(self) -> Tensor | None:
        """What the appearance encoder looks at, as float32 on -1..1."""
        return None if self.look is None else self.look.float() / 127.5 - 1

    @classmethod
    def stack(cls, crops: Sequence[dict[str, NDArray[np.generic]]]) -> Batch:
        """Join crops."""
        values: dict[str, Any] = {
            k: torch.from_numpy(np.stack([c[k] for c in crops])) for k in crops[0]
        }
        return cls(**values)

    def _map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        values: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            values[field.name] = None if value is None else change(value)
        return Batch(**values)


class TrainingCrops(Dataset[dict[str, NDArray[np.generic]]]):
    """Crops of pairs, flipped, turned and stain-jittered at random, by their key.

    Parameters
    ----------
    pairs : sequence of Pair
        How often each is drawn is what `shares_of` says.
    config : TrainConfig
    """

    def __init__(self, pairs: Sequence[Pair], config: TrainConfig) -> None:
        self.pairs = pairs
        self.config = config
        self.tiles = tiles_of(
            pairs, config.um_per_px, config.crop_px, with_look=config.network.has("appearance")
        )
        self._until = np.cumsum(shares_of(self.tiles))

    def __getitem__(self, key: Key) -> dict[str, NDArray[np.generic]]:
        config = self.config
        stage = config.stage_at(key.step)[0]
        rng = np.random.default_rng((config.seed, key.step, key.place))
        chosen = min(int(np.searchsorted(self._until, rng.random(), "right")), len(self.tiles) - 1)
        tile = self.tiles[chosen]
        shown, structure = _crop(tile, stage.crop_px, rng, config)
        hidden = {name: rng.random() < stage.drop_globals for name in config.network.conditions}
        gain = _stain_gain(rng) if rng.random() < config.stain_jitter else None
        crop: dict[str, NDArray[np.generic]] = {
            "structure": structure,
            "structure_given": np.array(rng.random() >= stage.drop_structure),
            "u": np.array(
                (key.place % stage.batch_crops + rng.random()) / stage.batch_crops, np.float32
            ),
            "noise_seed": np.array(rng.integers(2**62)),
        }
        if config.role == "image":
            shown = replace(shown, image=_stained(shown.pixels, gain))
            crop["image"] = np.ascontiguousarray(shown.pixels.transpose(2, 0, 1))
        if tile.look is not None:
            # Where the style says which colours there are, the look need not have the same.
            free = not hidden.get("style", True) and rng.random() < 0.5
            look = _stained(_look(tile.look, rng), _stain_gain(rng) if free else gain)
            crop["look"] = np.ascontiguousarray(look.transpose(2, 0, 1))
            crop["look_given"] = np.array(not hidden["appearance"])
        numbers = [_numbers(name, shown) for name in config.network.conditions]
        for name, values in zip(config.network.conditions, numbers, strict=True):
            if hidden[name]:
                values.fill(np.nan)
        crop["numbers"] = np.concatenate([np.zeros(0, np.float32), *numbers])
        return crop


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
    return _stained(image, _stain_gain(rng))


def _stain_gain(rng: Rng) -> NDArray[np.float64]:
    """Factors of the optical density of each channel, (3,)."""
    gain: NDArray[np.float64] = rng.uniform(0.75, 1.3) * rng.uniform(0.9, 1.1, size=3)
    return gain


def _stained(image: NDArray[np.uint8], gain: NDArray[np.float64] | None) -> NDArray[np.uint8]:
    if gain is None:
        return image
    light = (np.arange(256)[:, None] + 1) / 256.0
    table = np.clip(256 * light**gain - 1, 0, 255).round().astype(np.uint8)  # (256, 3)
    return table[image, np.arange(3)]


def _numbers(condition: str, crop: Tile) -> NDArray[np.float32]:
    """What a crop is described by."""
    if condition == "style":
        return stain_style(crop.pixels)
    if condition == "density":
        return layout_globals(crop.labels)
    if condition == "resolution":
        return np.array([resolution_number(crop.um_per_px)], np.float32)
    return np.full(CONDITIONS[condition], np.nan, np.float32)


def _crop(tile: Tile, side: int, rng: Rng, config: TrainConfig) -> tuple[Tile, NDArray[np.float32]]:
    """One crop in one of its orientations, and its structure."""
    stride = max(config.crop_stride_px, 1)
    top, left = (stride * int(rng.integers((n - side) // stride + 1)) for n in tile.labels.shape)
    part = tile.window(np.s_[top : top + side, left : left + side])
    turns, flip = int(rng.integers(4)), bool(rng.integers(2))
    crop = part.turned(turns, flip)
    if config.turn_vectors:
        structure = encode_structure(crop.labels)
    else:  # the maps are moved as pictures, and their vectors point where they did
        maps = encode_structure(part.labels).transpose(1, 2, 0)
        structure = turned(maps, turns, flip).transpose(2, 0, 1)
    return crop, np.ascontiguousarray(structure)


def _look(image: NDArray[np.uint8], rng: Rng) -> NDArray[np.uint8]:
    """Any part of a tile, for the appearance encoder."""
    top, left = (int(rng.integers(n - LOOK_PX + 1)) for n in image.shape[:2])
    window = image[top : top + LOOK_PX, left : left + LOOK_PX]
    return turned(window, int(rng.integers(4)), bool(rng.integers(2)))
