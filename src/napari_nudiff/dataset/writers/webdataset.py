"""WebDataset: shards as tar files, read in order over a network.

Labels are arrays, not PNG: its decoder makes 8-bit RGB of whatever PNG it meets.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_nudiff.dataset.readers.labelled import LabelledImage, Loaded
from napari_nudiff.dataset.writers.marked import marked_png
from napari_nudiff.dataset.writers.member import SPLITS, Member, Shard, class_names_in, numbered
from napari_nudiff.files import parse_json

_IMAGE, _LABELS, _ABOUT = ".png", ".labels.npy", ".json"


def write_webdataset(folder: Path, shard: Shard) -> None:
    """Write ``SPLIT-NUMBER.tar`` of ``KEY.png``, ``KEY.labels.npy`` and ``KEY.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / f"{shard.stem}.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
        for member in shard.members:
            _add(archive, member.name + _IMAGE, marked_png(member))
            _add(archive, member.name + _LABELS, _npy(member.labels))
            _add(archive, member.name + _ABOUT, json.dumps(_about(member)).encode())


def read_webdataset(folder: Path) -> Iterator[LabelledImage]:
    """List what was written."""
    classes = class_names_in(folder)
    for split in SPLITS:
        for path in sorted(folder.glob(f"{split}-*.tar")):
            with tarfile.open(path) as archive:
                names = [n.removesuffix(_LABELS) for n in archive.getnames() if n.endswith(_LABELS)]
            for name in names:
                yield LabelledImage(name, str(path), partial(_load, path, name, classes), split)


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    """Without time and owner: equal sets are equal bytes."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), 0o644
    archive.addfile(entry, io.BytesIO(data))


def _npy(labels: NDArray[np.uint16]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, labels, allow_pickle=False)
    return buffer.getvalue()


def _about(member: Member) -> dict[str, object]:
    return {
        "classes": member.classes.tolist(),
        "synthetic": member.synthetic,
        "um_per_px": member.um_per_px,
        "provenance": member.provenance,
    }


def _load(path: Path, name: str, names: Mapping[int, str]) -> Loaded:
    with tarfile.open(path) as archive:
        image, labels = (io.BytesIO(_part(archive, name + end)) for end in (_IMAGE, _LABELS))
        numbers = parse_json(_part(archive, name + _ABOUT)).get("classes", ())
    loaded = Loaded(np.asarray(Image.open(image)), np.load(labels, allow_pickle=False))
    return numbered(loaded, numbers, names)


def _part(archive: tarfile.TarFile, name: str) -> bytes:
    part = archive.extractfile(name)
    assert part is not None, "only files are written"
    return part.read()
