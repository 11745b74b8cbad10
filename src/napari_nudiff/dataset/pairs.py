"""Pairs of an H&E image and its instance labels, as a folder of files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.dataset.groups import HELD_OUT
from napari_nudiff.dataset.images import read_layout, read_rgb
from napari_nudiff.dataset.prepared import read_index
from napari_nudiff.errors import DatasetError


@dataclass(frozen=True)
class Pair:
    """One H&E image (H, W, 3) uint8 with its instance labels (H, W).

    ``group`` is the patient or slide of a prepared set, else empty; ``um_per_px`` is the side of
    a pixel, None where it is not known.
    """

    stem: str
    image: NDArray[np.uint8]
    labels: NDArray[np.integer]
    group: str = ""
    um_per_px: float | None = None


def load_pairs(folder: Path, *, held_out: Sequence[str] = ()) -> tuple[list[Pair], list[Pair]]:
    """Read a prepared set, or ``images/*.png`` with ``labels/*.tif`` of the same stems.

    Parameters
    ----------
    folder : Path
    held_out : sequence of str
        Shell patterns of the stems that go into the second list. Without any, a prepared set is
        split as its ``dataset.json`` says, and of a bare folder nothing is held out.

    Returns
    -------
    training, held_out : lists of Pair

    Raises
    ------
    DatasetError
        There are no images, a file is missing, or the sizes of a pair differ.
    """
    folder = Path(folder)
    index = read_index(folder)
    if index is None:
        pairs = [_load_pair(folder, path.stem) for path in _images(folder)]
    else:
        pairs = [_load_pair(folder, item.name, item.group, item.um_per_px) for item in index.items]
    if index is None or held_out:
        kept_out = [any(fnmatch(pair.stem, pattern) for pattern in held_out) for pair in pairs]
    else:
        kept_out = [item.split == HELD_OUT for item in index.items]
    training = [p for p, out in zip(pairs, kept_out, strict=True) if not out]
    return training, [p for p, out in zip(pairs, kept_out, strict=True) if out]


def _images(folder: Path) -> list[Path]:
    paths = sorted((folder / "images").glob("*.png"))
    if not paths:
        raise DatasetError(
            f"No images/*.png in {folder}. Training needs a folder with images/NAME.png and "
            "labels/NAME.tif, such as `nudiff data prepare` writes."
        )
    return paths


def turned(plane: NDArray[Any], turns: int, mirrored: bool) -> NDArray[Any]:
    """An image or labels (H, W, ...) in one of the eight orientations.

    Parameters
    ----------
    plane : ndarray, (H, W, ...)
    turns : int
        Quarter turns counter-clockwise, as in `numpy.rot90`.
    mirrored : bool
        Mirrored left to right after that.
    """
    plane = np.rot90(plane, turns)
    return np.ascontiguousarray(plane[:, ::-1] if mirrored else plane)


def _load_pair(folder: Path, stem: str, group: str = "", um_per_px: float | None = None) -> Pair:
    path, labels_path = folder / "images" / f"{stem}.png", folder / "labels" / f"{stem}.tif"
    if not labels_path.exists():
        raise DatasetError(f"{path.name} has no labels: {labels_path} does not exist.")
    image, labels = read_rgb(path), read_layout(labels_path)
    if image.shape[:2] != labels.shape:
        raise DatasetError(
            f"{path.name} is {image.shape[:2]} pixels and its labels are {labels.shape}; "
            "they must have the same size."
        )
    return Pair(stem, image, labels, group, um_per_px)
