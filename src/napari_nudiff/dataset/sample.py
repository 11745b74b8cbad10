"""What was made, as three files: an image, its labels, and how to make them again."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.dataset.classes import pack_classes, unpack_classes
from napari_nudiff.dataset.images import (
    read_layout,
    read_rgb,
    write_layout,
    write_rgb,
    write_text,
)
from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.errors import DatasetError
from napari_nudiff.files import parse_json

SCHEMA = 2
"""Of a provenance; in the first, networks were computed operation by operation."""


def pack_layout(labels: NDArray[np.integer]) -> dict[str, Any]:
    """A layout as JSON values: compressed, with its fingerprint."""
    values = np.ascontiguousarray(labels, dtype="<i4")
    data = base64.b64encode(zlib.compress(values.tobytes(), 6)).decode("ascii")
    return {
        "shape": list(values.shape),
        "encoding": "int32-le zlib base64",
        "data": data,
        "sha256": Layout(labels).sha256(),
    }


def unpack_layout(packed: dict[str, Any]) -> NDArray[np.int32]:
    """The layout that `pack_layout` packed.

    Raises
    ------
    DatasetError
        The values are damaged.
    """
    try:
        raw = zlib.decompress(base64.b64decode(packed["data"], validate=True))
        labels = np.frombuffer(raw, dtype="<i4").reshape(packed["shape"]).astype(np.int32)
        intact = Layout(labels).sha256() == packed["sha256"]
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise DatasetError(f"The layout stored in the request is damaged: {error}") from error
    if not intact:
        raise DatasetError("The layout stored in the request does not match its fingerprint.")
    return labels


def write_sample(folder: Path, stem: str, pair: Pair) -> list[Path]:
    """Write ``<stem>.png``, ``<stem>_labels.tif`` and ``<stem>.json``; the JSON comes last.

    Without an image: ``<stem>.tif`` and ``<stem>.json``. Classes of nuclei are in the JSON.

    Raises
    ------
    DatasetError
        The folder cannot be written to.
    """
    folder = Path(folder)
    paths = []
    if pair.image is None:
        labels_path = folder / f"{stem}.tif"
    else:
        labels_path = folder / f"{stem}_labels.tif"
        paths.append(folder / f"{stem}.png")
        write_rgb(paths[0], pair.image)
    write_layout(labels_path, pair.labels, pair.provenance.get("um_per_px"))
    about = pair.provenance | pack_classes(pair.classes)
    paths += [labels_path, folder / f"{stem}.json"]
    write_text(paths[-1], json.dumps(about, indent=1) + "\n")
    return paths


def read_sample(path: Path) -> Pair:
    """Read what `write_sample` wrote.

    Parameters
    ----------
    path : Path
        The JSON file.

    Raises
    ------
    DatasetError
        A file is missing or damaged, or the sizes of image and labels differ.
    LayoutError
        The labels are no layout.
    """
    path = Path(path)
    classes, provenance = unpack_classes(read_provenance(path))
    labels_path = labels_beside(path)
    if labels_path is None:
        raise DatasetError(f"{path} has no labels beside it ({path.stem}_labels.tif).")
    labels = read_layout(labels_path).astype(np.int32)
    image_path = path.with_suffix(".png")
    image = read_rgb(image_path) if image_path.is_file() else None
    if image is not None and image.shape[:2] != labels.shape:
        raise DatasetError(
            f"{image_path} has {image.shape[:2]} px and its labels have {labels.shape}: one of "
            "the two was changed. Make them again from the .json beside them."
        )
    return Pair(Layout(labels, classes), image, path.stem, provenance=provenance)


def read_provenance(path: Path) -> dict[str, Any]:
    """Read the JSON file of a pair.

    Raises
    ------
    DatasetError
        It is damaged, or of something else.
    """
    try:
        content = parse_json(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"Cannot read {path}: {error}") from error
    if not isinstance(content, dict):
        raise DatasetError(f"{path} is damaged: an object was expected in it.")
    if "request" not in content:
        raise DatasetError(f"{path} holds no request (there is no 'request' in it).")
    return content


def labels_beside(path: Path) -> Path | None:
    """The labels that a JSON file of `write_sample` tells of; None if there are none."""
    candidates = (path.with_name(f"{path.stem}_labels.tif"), path.with_suffix(".tif"))
    return next((labels for labels in candidates if labels.is_file()), None)
