"""OME: TIFF and Zarr with sizes of pixels and provenance, for viewers and image servers."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_nudiff.dataset.pixels import read_image, read_labels
from napari_nudiff.dataset.pyramid import (
    PyramidWriter,
    level_shapes,
    mean_of_four,
    open_pyramid,
)
from napari_nudiff.dataset.readers.files import read_um_per_px
from napari_nudiff.dataset.readers.labelled import LabelledImage, Loaded
from napari_nudiff.dataset.writers.marked import provenance_json, resolution, xmp_tags
from napari_nudiff.dataset.writers.member import Member, Shard, splits_in

_NAMESPACE = uuid.UUID("5b0d3d5e-3a0c-5c5a-9c8d-0d4c1c6f0b5a")
_TILE_PX = 512
_TIFF, _LABELS, _ZARR = ".ome.tif", "_labels.ome.tif", ".ome.zarr"


def write_ome_tiff(folder: Path, shard: Shard) -> None:
    """Write ``SPLIT/NAME.ome.tif`` and ``SPLIT/NAME_labels.ome.tif``; large ones as pyramids."""
    target = folder / shard.split
    target.mkdir(parents=True, exist_ok=True)
    for member in shard.members:
        _write_tiff(target / f"{member.name}{_TIFF}", member.image, member, rgb=True)
        _write_tiff(target / f"{member.name}{_LABELS}", member.labels, member, rgb=False)


def read_ome_tiff(folder: Path) -> Iterator[LabelledImage]:
    """List what `write_ome_tiff` wrote."""
    for split, inside in splits_in(folder):
        for path in sorted(inside.glob(f"*{_LABELS}")):
            name = path.name.removesuffix(_LABELS)
            image = inside / f"{name}{_TIFF}"
            yield LabelledImage(name, str(image), partial(_load_tiff, image, path), split)


def write_ome_zarr(folder: Path, shard: Shard) -> None:
    """Write ``SPLIT/NAME.ome.zarr``, with the nuclei as its labels."""
    target = folder / shard.split
    target.mkdir(parents=True, exist_ok=True)
    for member in shard.members:
        path = target / f"{member.name}{_ZARR}"
        shutil.rmtree(path, ignore_errors=True)  # of a run that was stopped
        writer = PyramidWriter(path, member.labels.shape, member.um_per_px)
        writer.write_image(0, member.image)
        writer.write_labels(0, member.labels.astype(np.int32))
        for _ in writer.write_levels():
            pass
        writer.finish(member.provenance, shard.classes_of(member))


def read_ome_zarr(folder: Path) -> Iterator[LabelledImage]:
    """List what `write_ome_zarr` wrote."""
    for split, inside in splits_in(folder):
        for path in sorted(inside.glob(f"*{_ZARR}")):
            name = path.name.removesuffix(_ZARR)
            yield LabelledImage(name, str(path), partial(_load_zarr, path), split)


def _write_tiff(path: Path, plane: NDArray[Any], member: Member, *, rgb: bool) -> None:
    shapes = level_shapes(plane.shape[:2])
    name = path.name.removesuffix(_TIFF)
    metadata = {"axes": "YXS" if rgb else "YX", "Name": name}
    # Otherwise a random one and the time: equal sets are equal bytes.
    metadata |= {"UUID": str(uuid.uuid5(_NAMESPACE, name + provenance_json(member)))}
    about = {"Description": provenance_json(member), "MapAnnotation": _annotation(member)}
    options: dict[str, Any] = {
        "photometric": "rgb" if rgb else "minisblack",
        "compression": "zlib",
        "tile": (_TILE_PX, _TILE_PX) if len(shapes) > 1 else None,
        **resolution(member.um_per_px),
    }
    with tifffile.TiffWriter(path, ome=True) as tiff:
        tiff.write(
            plane,
            subifds=len(shapes) - 1,
            metadata=metadata | about | _physical_size(member.um_per_px),
            extratags=xmp_tags(member) if rgb else [],
            **options,
        )
        for _ in shapes[1:]:
            plane = _halved(plane) if rgb else plane[::2, ::2]
            tiff.write(plane, subfiletype=1, **options)


def _halved(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.moveaxis(mean_of_four(np.moveaxis(image, -1, 0)), 0, -1)


def _annotation(member: Member) -> dict[str, str]:
    known = {"synthetic": str(member.synthetic).lower()}
    source_type = member.provenance.get("digital_source_type")
    return known | ({"digital_source_type": str(source_type)} if source_type else {})


def _physical_size(um_per_px: float | None) -> dict[str, Any]:
    if um_per_px is None:
        return {}
    sides = {"PhysicalSizeX": um_per_px, "PhysicalSizeY": um_per_px}
    return sides | {"PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}


def _load_tiff(image: Path, labels: Path) -> Loaded:
    return Loaded(read_image(image), read_labels(labels), read_um_per_px(image))


def _load_zarr(path: Path) -> Loaded:
    pyramid = open_pyramid(path)
    loaded = Loaded(pyramid.image[0][...], np.asarray(pyramid.labels[0][...]))
    return loaded.with_classes(pyramid.classes)
