"""Cellpose and StarDist: label images, beside the images or in a folder of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from napari_nudiff.dataset.readers.files import Tree
from napari_nudiff.dataset.readers.labelled import LabelledImage
from napari_nudiff.dataset.readers.pairs import find_pairs
from napari_nudiff.dataset.writers.marked import write_labels_tiff, write_marked_tiff
from napari_nudiff.dataset.writers.member import Shard, splits_in


def write_cellpose(folder: Path, shard: Shard) -> None:
    """Write ``SPLIT/NAME.tif`` and ``SPLIT/NAME_masks.tif``."""
    target = folder / shard.split
    target.mkdir(parents=True, exist_ok=True)
    for member in shard.members:
        write_marked_tiff(target / f"{member.name}.tif", member)
        write_labels_tiff(target / f"{member.name}_masks.tif", member)


def write_stardist(folder: Path, shard: Shard) -> None:
    """Write ``SPLIT/images/NAME.tif`` and ``SPLIT/masks/NAME.tif``."""
    images, masks = (folder / shard.split / name for name in ("images", "masks"))
    for target in (images, masks):
        target.mkdir(parents=True, exist_ok=True)
    for member in shard.members:
        write_marked_tiff(images / f"{member.name}.tif", member)
        write_labels_tiff(masks / f"{member.name}.tif", member)


def read_label_images(folder: Path) -> Iterator[LabelledImage]:
    """List what either of the two wrote."""
    for split, inside in splits_in(folder):
        for found in find_pairs(Tree.of(inside)):
            yield replace(found, group=split)
