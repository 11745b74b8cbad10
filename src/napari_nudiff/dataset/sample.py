"""A synthetic sample: an image, its labels and where they came from."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.dataset.images import write_layout, write_rgb, write_text
from napari_nudiff.errors import DatasetError

SCHEMA = 1


@dataclass(frozen=True)
class Sample:
    """What a request made.

    Attributes
    ----------
    labels : ndarray, (H, W), int32
        Instance labels, 0 = background.
    image : ndarray, (H, W, 3), uint8, or None
        The rendered image; None where only a layout was sampled.
    provenance : dict
        Everything that is needed to make the sample again; JSON values.
    """

    labels: NDArray[np.int32]
    image: NDArray[np.uint8] | None = None
    provenance: dict[str, Any] = field(default_factory=dict)


def layout_sha256(labels: NDArray[np.integer]) -> str:
    """Fingerprint of a layout: it does not depend on the integer type."""
    flat = np.ascontiguousarray(labels, dtype=np.int64)
    return hashlib.sha256(str(flat.shape).encode() + flat.tobytes()).hexdigest()


def pack_layout(labels: NDArray[np.integer]) -> dict[str, Any]:
    """A layout as JSON values: compressed, with its fingerprint."""
    values = np.ascontiguousarray(labels, dtype="<i4")
    data = base64.b64encode(zlib.compress(values.tobytes(), 6)).decode("ascii")
    return {
        "shape": list(values.shape),
        "encoding": "int32-le zlib base64",
        "data": data,
        "sha256": layout_sha256(labels),
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
        intact = layout_sha256(labels) == packed["sha256"]
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise DatasetError(f"The layout stored in the request is damaged: {error}") from error
    if not intact:
        raise DatasetError("The layout stored in the request does not match its fingerprint.")
    return labels


def write_sample(folder: Path, stem: str, sample: Sample) -> list[Path]:
    """Write ``<stem>.png``, ``<stem>_labels.tif`` and ``<stem>.json``; the JSON comes last.

    A sample without an image is a layout: ``<stem>.tif`` and ``<stem>.json``.

    Raises
    ------
    DatasetError
        The folder cannot be written to.
    """
    folder = Path(folder)
    paths = []
    if sample.image is None:
        labels_path = folder / f"{stem}.tif"
    else:
        labels_path = folder / f"{stem}_labels.tif"
        paths.append(folder / f"{stem}.png")
        write_rgb(paths[0], sample.image)
    write_layout(labels_path, sample.labels)
    paths += [labels_path, folder / f"{stem}.json"]
    write_text(paths[-1], json.dumps(sample.provenance, indent=1) + "\n")
    return paths
