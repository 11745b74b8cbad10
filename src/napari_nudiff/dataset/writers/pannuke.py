"""PanNuke: patches of 256 px in three arrays, a channel a class."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.dataset.readers.files import Tree
from napari_nudiff.dataset.readers.labelled import LabelledImage
from napari_nudiff.dataset.readers.pannuke import CHANNELS, find_pannuke
from napari_nudiff.dataset.writers.member import Member, Shard, Whole, renamed, splits_in
from napari_nudiff.errors import RequestError
from napari_nudiff.files import parse_json

PATCH_PX = 256
_ARRAYS = ("images", "masks", "types")
_CHANNELS = "channels.json"


def write_pannuke(folder: Path, shard: Shard) -> None:
    """Write the patches of a shard; `finish_pannuke` joins all shards.

    Raises
    ------
    RequestError
        There are more than five classes, or some of PanNuke's and others.
    """
    channel = np.array(_channels(shard.class_names))
    patches = [patch for member in shard.members for patch in _patches(member, channel)]
    images = np.array([image for _, image, _ in patches], np.uint8)
    masks = np.array([mask for _, _, mask in patches], np.uint16)
    names = [name for name, _, _ in patches]
    target = folder / shard.split
    target.mkdir(parents=True, exist_ok=True)
    size = (len(patches), PATCH_PX, PATCH_PX)
    np.save(_part(target, "images", shard.number), images.reshape(*size, 3))
    np.save(_part(target, "masks", shard.number), masks.reshape(*size, len(CHANNELS) + 1))
    np.save(_part(target, "types", shard.number), np.full(len(patches), "Unknown"))
    _part(target, "names", shard.number).with_suffix(".json").write_text(json.dumps(names))


def finish_pannuke(folder: Path, whole: Whole) -> None:
    """Join the shards to ``SPLIT/images.npy``, ``masks.npy``, ``types.npy`` and ``names.json``."""
    for _, target in splits_in(folder):
        for name in _ARRAYS:
            _join(target, name)
        names = [n for part in _parts(target, "names") for n in parse_json(part.read_text())]
        (target / "names.json").write_text(json.dumps(names, indent=0) + "\n")
    about = dict(zip(CHANNELS, _names_by_channel(whole.class_names), strict=True))
    (folder / _CHANNELS).write_text(json.dumps(about, indent=1) + "\n")


def read_pannuke(folder: Path) -> Iterator[LabelledImage]:
    """List what was written, by the names of the patches."""
    about = parse_json((folder / _CHANNELS).read_text()) if (folder / _CHANNELS).is_file() else {}
    classes = {number: name for number, name in enumerate(about.values(), start=1) if name}
    for split, inside in splits_in(folder):
        names = parse_json((inside / "names.json").read_text())
        for name, found in zip(names, find_pannuke(Tree.of(inside)), strict=True):
            yield renamed(found, classes, name=name, group=split)


def windows_in(shape: tuple[int, ...]) -> list[tuple[slice, slice]]:
    """The whole patches that an image holds beside each other, in its middle.

    Parameters
    ----------
    shape : tuple of int
        Height and width in pixels.
    """
    starts = [[(s % PATCH_PX) // 2 + i * PATCH_PX for i in range(s // PATCH_PX)] for s in shape]
    return [
        np.s_[top : top + PATCH_PX, left : left + PATCH_PX]
        for top in starts[0]
        for left in starts[1]
    ]


def _patches(
    member: Member, channel: NDArray[Any]
) -> Iterator[tuple[str, NDArray[Any], NDArray[Any]]]:
    windows = windows_in(member.labels.shape)
    if not windows:
        raise RequestError(
            f"{member.name} is {member.labels.shape[0]} x {member.labels.shape[1]} px; PanNuke has "
            f"patches of {PATCH_PX} px. Leave this format out, or render larger layouts."
        )
    for number, window in enumerate(windows):
        name = member.name if len(windows) == 1 else f"{member.name}_{number:03d}"
        yield name, member.image[window], _mask(member, window, channel)


def _mask(member: Member, window: tuple[slice, slice], channel: NDArray[Any]) -> NDArray[np.uint16]:
    labels = member.labels[window]
    mask = np.zeros((*labels.shape, len(CHANNELS) + 1), np.uint16)
    rows, cols = np.nonzero(labels)
    mask[rows, cols, channel[member.classes[labels[rows, cols] - 1] - 1]] = labels[rows, cols]
    mask[..., -1] = labels == 0
    return mask


def _channels(class_names: tuple[str, ...]) -> list[int]:
    """The channel of class 1, 2, ...: PanNuke's own; the first ones where no class is its own."""
    lower = [name.lower() for name in class_names]
    if set(lower) <= set(CHANNELS):
        return [CHANNELS.index(name) for name in lower]
    if len(class_names) > len(CHANNELS) or set(lower) & set(CHANNELS):
        raise RequestError(
            f"The classes are {', '.join(class_names)}; PanNuke knows {', '.join(CHANNELS)}. Map "
            "yours to those, or leave this format out."
        )
    return list(range(len(class_names)))


def _names_by_channel(class_names: tuple[str, ...]) -> list[str | None]:
    by_channel = dict(zip(_channels(class_names), class_names, strict=True))
    return [by_channel.get(i) for i in range(len(CHANNELS))]


def _part(folder: Path, name: str, number: int) -> Path:
    return folder / f"{name}.part-{number:06d}.npy"


def _parts(folder: Path, name: str) -> list[Path]:
    return sorted(folder.glob(f"{name}.part-*"))


def _join(folder: Path, name: str) -> None:
    """One array of all parts; only one part at a time is in memory."""
    parts = [np.load(path, mmap_mode="r") for path in _parts(folder, name)]
    header = {
        "descr": np.lib.format.dtype_to_descr(parts[0].dtype),
        "fortran_order": False,
        "shape": (sum(map(len, parts)), *parts[0].shape[1:]),
    }
    # Not through a memory map: on a full disk that is a crash instead of an error.
    with (folder / f"{name}.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            file.write(part.tobytes())
