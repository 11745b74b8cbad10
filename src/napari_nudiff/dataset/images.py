"""Read and write images and layouts; files appear whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_nudiff.dataset.masks import as_rgb
from napari_nudiff.dataset.pixels import read_image, read_labels
from napari_nudiff.errors import DatasetError, LayoutError
from napari_nudiff.files import atomic_path
from napari_nudiff.nuclei.structure import validate_layout


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read a colour image as `read_image` and `as_rgb` do, (H, W, 3) uint8.

    Raises
    ------
    DatasetError
        The file cannot be read or is no colour image.
    """
    pixels = read_image(path)
    try:
        return as_rgb(pixels)[0]
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from error


def read_layout(path: Path) -> NDArray[np.integer]:
    """Read instance labels, (H, W) integers, 0 = background.

    Raises
    ------
    DatasetError
        The file cannot be read.
    LayoutError
        It holds something else than instance labels.
    """
    labels = read_labels(path)
    try:
        return validate_layout(labels)
    except LayoutError as error:
        raise LayoutError(f"{path}: {error}") from error


def write_rgb(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an RGB image (H, W, 3) as PNG."""
    with atomic_path(path) as temporary:
        # In memory first: on a full disk imageio complains once more when its file is collected.
        temporary.write_bytes(iio.imwrite("<bytes>", image, extension=".png"))


def write_layout(path: Path, labels: NDArray[np.integer], um_per_px: float | None = None) -> None:
    """Write instance labels (H, W) as TIFF: uint16, or uint32 where the ids need it.

    Parameters
    ----------
    path : Path
    labels : ndarray, (H, W), integer
    um_per_px : float, optional
        Side of a pixel, for the resolution tags.
    """
    dtype = np.uint16 if labels.max(initial=0) <= np.iinfo(np.uint16).max else np.uint32
    tags: dict[str, Any] = {"compression": "zlib"}
    if um_per_px is not None:
        per_cm = 10_000 / um_per_px
        tags |= {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
    with atomic_path(path) as temporary:
        tifffile.imwrite(temporary, labels.astype(dtype), **tags)


def write_text(path: Path, text: str) -> None:
    """Write a text file."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
