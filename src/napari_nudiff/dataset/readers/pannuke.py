"""PanNuke: folds of ``images.npy`` and ``masks.npy``."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.dataset.masks import whole_numbers
from napari_nudiff.dataset.readers.files import Tree
from napari_nudiff.dataset.readers.labelled import LabelledImage, Loaded
from napari_nudiff.errors import DatasetError
from napari_nudiff.nuclei.descriptors import UM_PER_PX

CHANNELS = ("neoplastic", "inflammatory", "connective", "dead", "epithelial")
"""Its classes in the order of the channels of its masks; the sixth is the background."""

_CONTAINERS = {"images", "masks"}  # folders that do not name a fold


def find_pannuke(tree: Tree) -> list[LabelledImage]:
    """Every image of every fold; the fold is the group, the tissue is in the name.

    Raises
    ------
    DatasetError
        The arrays of a fold are damaged or do not belong together.
    """
    found: list[LabelledImage] = []
    for images in (f for f in tree.files if f.name == "images.npy"):
        masks, types = (_companion(tree, images, name) for name in ("masks.npy", "types.npy"))
        if masks is not None:
            found += _fold(tree, images, masks, types)
    return found


def _fold(tree: Tree, images: Path, masks: Path, types: Path | None) -> list[LabelledImage]:
    shape, mask_shape = _open(images).shape, _open(masks).shape
    if len(shape) != 4 or len(mask_shape) != 4 or shape[:3] != mask_shape[:3] or mask_shape[3] < 2:
        raise DatasetError(
            f"{tree.source_of(images)} has shape {shape} and its masks.npy {mask_shape}; "
            "(N, height, width, 3) and (N, height, width, 6) are needed."
        )
    fold = _fold_name(images)
    tissues = _tissues(types, shape[0])
    source = tree.source_of(images)
    return [
        LabelledImage(
            f"{fold}_{i:05d}{t}", f"{source}[{i}]", partial(_load, images, masks, i), fold
        )
        for i, t in enumerate(tissues)
    ]


def _load(images: Path, masks: Path, place: int) -> Loaded:
    image = np.array(_open(images)[place])
    channels = np.asarray(_open(masks)[place, ..., :-1])
    labels = _merge(channels)
    if channels.shape[-1] != len(CHANNELS):
        return Loaded(image, labels, UM_PER_PX)
    # Of several channels the last is on top, as in the labels.
    last = channels.shape[-1] - np.argmax(channels[..., ::-1] > 0, axis=-1)
    types = np.where(channels.max(axis=-1) > 0, last, 0)
    return Loaded(image, labels, UM_PER_PX, types=types, type_names=dict(enumerate(CHANNELS, 1)))


def _merge(channels: NDArray[Any]) -> NDArray[np.int64]:
    """One label image from one of each class; the last channel, background, is gone.

    Every class numbers its own nuclei: equal ids in two of them are two nuclei.
    """
    labels = np.zeros(channels.shape[:2], dtype=np.int64)
    highest = 0
    for channel in np.moveaxis(whole_numbers(channels), -1, 0):
        labels = np.where(channel > 0, channel + highest, labels)
        highest = max(highest, int(labels.max(initial=0)))
    return labels


def _open(path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DatasetError(f"Cannot read {path.name} of {path.parent.name}: {error}") from error
    return array


def _tissues(types: Path | None, count: int) -> list[str]:
    if types is None:
        return [""] * count
    names = _open(types)
    if names.shape != (count,):
        raise DatasetError(
            f"{types.name} has shape {names.shape}; one tissue an image was expected, ({count},)."
        )
    return [f"_{str(name).replace('_', '-')}" for name in names]


def _companion(tree: Tree, images: Path, name: str) -> Path | None:
    """The file of that name which shares most folder names with ``images.npy``."""
    found = [f for f in tree.files if f.name == name]
    folders = set(images.parent.parts)
    return max(found, key=lambda f: len(folders & set(f.parent.parts)), default=None)


def _fold_name(images: Path) -> str:
    folder = images.parent.parent if images.parent.name in _CONTAINERS else images.parent
    return re.sub(r"\W", "", folder.name).lower() or "fold"
