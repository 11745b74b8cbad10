"""One file of an image, its labels and everything known about them: ``.nudiff``.

It is a ZIP archive of ``image.png`` (none if there is only a layout), ``labels.tif`` and
``pair.json``: any archive program and any image viewer open it.
"""

from __future__ import annotations

import io
import json
import math
import struct
import zipfile
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_nudiff.dataset.classes import pack_classes, unpack_classes
from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.errors import DatasetError
from napari_nudiff.files import atomic_path, parse_json
from napari_nudiff.nuclei.structure import validate_layout

EXTENSION = ".nudiff"
SCHEMA = 1
_IMAGE, _LABELS, _ABOUT = "image.png", "labels.tif", "pair.json"
_KINDS = {"name": str, "spatial": dict, "notes": dict, "provenance": dict}
# A damaged or malicious file could claim to unpack to anything.
_MAX_PX = 16384 * 16384
_MAX_BYTES = 4 * _MAX_PX
_QUICK = 1  # PNG compression: a tenth larger than the best, and several times as fast
_PNG_SIDES = slice(16, 24)  # where a PNG says how wide and how high it is


def write_pair(path: Path, pair: Pair) -> None:
    """Write a pair; the file appears whole or not at all.

    Raises
    ------
    DatasetError
        It cannot be written: the disk, the size of the image, values that no file can hold.
    LayoutError
        The labels are no layout.
    """
    _require_storable(pair)
    about = _encoded_about(pair)
    with atomic_path(Path(path)) as staged, zipfile.ZipFile(staged, "w") as archive:
        if pair.image is not None:
            image = np.ascontiguousarray(pair.image)
            archive.writestr(_entry(_IMAGE), imagecodecs.png_encode(image, level=_QUICK))
        archive.writestr(_entry(_LABELS), _encoded_labels(pair.labels))
        archive.writestr(_entry(_ABOUT), about, zipfile.ZIP_DEFLATED)


def read_pair(path: Path) -> Pair:
    """Read a pair.

    Raises
    ------
    DatasetError
        The file cannot be read, is damaged, is of a newer version, or is none of ours.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            about = _about(archive)
            labels = _labels(_part(archive, _LABELS))
            image = _image(_part(archive, _IMAGE)) if _IMAGE in archive.namelist() else None
    except Exception as error:  # the decoders raise many types for damaged files
        raise _refusal(path, error) from error
    if image is not None and image.shape[:2] != labels.shape:
        raise DatasetError(
            f"{path} is damaged: its image has {image.shape[:2]} px, its labels {labels.shape}."
        )
    classes, notes = unpack_classes(about["notes"])
    return Pair(
        Layout(labels, classes),
        image,
        about["name"],
        provenance=about["provenance"],
        spatial=about["spatial"],
        notes=notes,
    )


def read_about(path: Path) -> dict[str, Any]:
    """What is known about a pair, without its pixels: name, spatial, notes and provenance.

    Raises
    ------
    DatasetError
        As of `read_pair`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _about(archive)
    except Exception as error:  # as in read_pair
        raise _refusal(path, error) from error


# Writing


def _require_storable(pair: Pair) -> None:
    labels, image = validate_layout(pair.labels), pair.image
    if labels.size > _MAX_PX:
        raise DatasetError(
            f"The labels have {labels.shape} px; {EXTENSION} files hold up to 16384 x 16384. "
            "Nothing was written. Save a part of them, or render into a .zarr."
        )
    if (highest := int(labels.max())) > np.iinfo(np.int32).max:
        raise DatasetError(
            f"There is a label {highest}; {EXTENSION} files hold ids up to "
            f"{np.iinfo(np.int32).max}. Nothing was written. Renumber the labels from 1."
        )
    if image is not None and (image.dtype != np.uint8 or image.shape != (*labels.shape, 3)):
        raise DatasetError(
            f"The image is {image.dtype} of shape {image.shape}; 8-bit RGB of the labels' "
            f"{labels.shape} px was expected. Nothing was written."
        )


def _entry(name: str) -> zipfile.ZipInfo:
    """A part of the archive without a date: the same pair gives the same bytes."""
    entry = zipfile.ZipInfo(name)
    entry.external_attr = 0o600 << 16  # as `writestr` sets it where it is given a name
    return entry


def _encoded_about(pair: Pair) -> str:
    about = {
        "schema": SCHEMA,
        "name": pair.name,
        "spatial": pair.spatial,
        "notes": pair.notes | pack_classes(pair.classes),
        "provenance": pair.provenance,
    }
    try:
        return json.dumps(about, indent=1) + "\n"
    except (TypeError, ValueError) as error:
        raise DatasetError(
            f"What is known about “{pair.name}” cannot be stored as JSON: {error}. Nothing was "
            "written. Remove that value from the layer's metadata."
        ) from error


def _encoded_labels(labels: NDArray[np.integer]) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, labels.astype(np.int32), compression="zlib")
    return buffer.getvalue()


# Reading


def _refusal(path: Path, error: Exception) -> DatasetError:
    if isinstance(error, (DatasetError, OSError)):
        return DatasetError(f"Cannot read {path}: {error}")
    if isinstance(error, zipfile.BadZipFile) and not zipfile.is_zipfile(path):
        return DatasetError(f"{path} is no {EXTENSION} file, or only part of one: {error}.")
    return DatasetError(f"{path} is damaged: {error}. Take a copy of it, if you have one.")


def _about(archive: zipfile.ZipFile) -> dict[str, Any]:
    if _ABOUT not in archive.namelist():
        raise DatasetError(f"it is a ZIP archive without {_ABOUT}, so no {EXTENSION} file.")
    about = parse_json(_part(archive, _ABOUT))
    if not isinstance(about, dict) or not isinstance(about.get("schema"), int):
        raise DatasetError(f"its {_ABOUT} is none of ours.")
    if about["schema"] != SCHEMA:
        raise DatasetError(
            f"it has schema {about['schema']}; this version reads {SCHEMA}. Update napari-nudiff."
        )
    wrong = [key for key, kind in _KINDS.items() if not isinstance(about.get(key), kind)]
    if wrong:
        raise DatasetError(f"{', '.join(wrong)} is missing from its {_ABOUT}.")
    return about


def _part(archive: zipfile.ZipFile, name: str) -> bytes:
    """A part of the archive, whose checksum holds."""
    if name not in archive.namelist():
        raise DatasetError(f"{name} is missing from it.")
    if (claimed := archive.getinfo(name).file_size) > _MAX_BYTES:
        raise DatasetError(f"{name} in it claims {claimed} bytes, which no file of ours has.")
    return archive.read(name)


def _labels(data: bytes) -> NDArray[np.int32]:
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        _require_plausible(_LABELS, tiff.series[0].shape)
        labels = tiff.asarray()
    if labels.ndim != 2 or labels.dtype != np.int32:
        raise DatasetError(f"its labels are {labels.dtype} of shape {labels.shape}.")
    return labels


def _image(data: bytes) -> NDArray[np.uint8]:
    _require_plausible(_IMAGE, struct.unpack(">II", data[_PNG_SIDES]))
    image = imagecodecs.png_decode(data)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise DatasetError(f"its image is {image.dtype} of shape {image.shape}.")
    return np.asarray(image)


def _require_plausible(name: str, shape: tuple[int, ...]) -> None:
    """Check a size before memory is taken for it."""
    if math.prod(shape) > _MAX_PX:
        raise DatasetError(f"{name} in it claims {shape} px, which no file of ours has.")
