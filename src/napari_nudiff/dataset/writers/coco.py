"""COCO: one JSON file of instances a split, as run lengths or as polygons."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_nudiff import __version__
from napari_nudiff.dataset.outlines import back_to_front
from napari_nudiff.dataset.readers.coco import find_coco
from napari_nudiff.dataset.readers.files import Tree
from napari_nudiff.dataset.readers.labelled import LabelledImage
from napari_nudiff.dataset.writers.marked import write_marked_png
from napari_nudiff.dataset.writers.member import SPLITS, Member, Shard, Whole

Segmentations = dict[int, Any]

_ANNOTATIONS = "annotations"


def write_coco(folder: Path, shard: Shard) -> None:
    """Write the images of a shard and its annotations as run lengths: exact, holes included."""
    _write(folder, shard, _run_lengths)


def write_coco_polygons(folder: Path, shard: Shard) -> None:
    """The same with polygons, as annotation tools want them: COCO's have no holes."""
    _write(folder, shard, _polygons)


def finish_coco(folder: Path, whole: Whole) -> None:
    """Join the annotations of all shards to ``annotations/instances_SPLIT.json``."""
    annotations = folder / _ANNOTATIONS
    for split in SPLITS:
        if _parts(annotations, split):
            with (annotations / f"instances_{split}.json").open("w", encoding="utf-8") as file:
                file.writelines(_joined(_parts(annotations, split), _head(split, whole)))


def read_coco(folder: Path) -> Iterator[LabelledImage]:
    """List what was written."""
    for split in SPLITS:
        path = folder / _ANNOTATIONS / f"instances_{split}.json"
        for found in find_coco(Tree.of(path)) if path.is_file() else ():
            yield replace(found, group=split)


def _write(
    folder: Path, shard: Shard, segment: Callable[[NDArray[np.uint16]], Segmentations]
) -> None:
    images, annotations = folder / shard.split, folder / _ANNOTATIONS
    for target in (images, annotations):
        target.mkdir(parents=True, exist_ok=True)
    for member in shard.members:
        write_marked_png(images / f"{member.name}.png", member)
    part = annotations / f"{shard.split}.part-{shard.number:06d}"
    with part.open("w", encoding="utf-8") as file:
        for member in shard.members:
            record = [_image(member), _annotations(member, segment(member.labels))]
            file.write(json.dumps(record) + "\n")


def _image(member: Member) -> dict[str, Any]:
    height, width = member.labels.shape
    known = {} if member.um_per_px is None else {"um_per_px": member.um_per_px}
    return {
        "file_name": f"{member.name}.png",
        "height": height,
        "width": width,
        "synthetic": member.synthetic,
        **known,
    }


def _annotations(member: Member, segmentations: Segmentations) -> list[dict[str, Any]]:
    """Without ids, which are numbered through all shards."""
    areas = np.bincount(member.labels.ravel())
    boxes = ndimage.find_objects(member.labels.astype(np.int32))
    return [
        {
            "category_id": int(member.classes[nucleus - 1]),
            "segmentation": segmentation,
            "area": int(areas[nucleus]),
            "bbox": _bbox(boxes[nucleus - 1]),
            "iscrowd": 0,
        }
        for nucleus, segmentation in segmentations.items()
    ]


def _bbox(box: tuple[slice, slice]) -> list[int]:
    rows, cols = box
    return [cols.start, rows.start, cols.stop - cols.start, rows.stop - rows.start]


def _run_lengths(labels: NDArray[np.uint16]) -> Segmentations:
    from pycocotools import mask

    height, width = labels.shape
    boxes = ndimage.find_objects(labels.astype(np.int32))
    found = {}
    for nucleus, box in enumerate(boxes, start=1):
        run = mask.frPyObjects(_counts(labels, nucleus, box), height, width)
        found[nucleus] = {"size": [height, width], "counts": run["counts"].decode("ascii")}
    return found


def _counts(labels: NDArray[np.uint16], nucleus: int, box: tuple[slice, slice]) -> dict[str, Any]:
    """Lengths of the runs of other pixels and of the nucleus in turn, down the columns.

    Only the box of the nucleus is looked at: an image may have ten thousand nuclei.
    """
    height, width = labels.shape
    cols, rows = np.nonzero((labels[box] == nucleus).T)
    places = (cols + box[1].start) * height + rows + box[0].start
    starts = np.flatnonzero(np.diff(places, prepend=-2) > 1)
    ends = np.append(starts[1:], len(places)) - 1
    edges = np.column_stack([places[starts], places[ends] + 1]).ravel()
    counts = np.diff(edges, prepend=0, append=height * width)
    return {"size": [height, width], "counts": counts.tolist()}


def _polygons(labels: NDArray[np.uint16]) -> Segmentations:
    return {
        nucleus: [part.outline[:-1].ravel().tolist() for part in polygons]
        for nucleus, polygons in back_to_front(labels)
    }


def _head(split: str, whole: Whole) -> dict[str, Any]:
    return {
        "info": {
            "description": f"{whole.title}, {split}",
            "version": "1.0",
            "contributor": f"napari-nudiff {__version__}",
        },
        "licenses": [{"id": 1, "name": whole.licence, "url": ""}],
        "categories": [
            {"id": number, "name": name, "supercategory": "nucleus"}
            for number, name in enumerate(whole.class_names, start=1)
        ],
    }


def _joined(parts: list[Path], head: dict[str, Any]) -> Iterator[str]:
    """The text of a file, an image at a time."""
    yield json.dumps(head)[:-1] + ', "images": [\n'
    for number, (image, _) in enumerate(_records(parts), start=1):
        yield ("" if number == 1 else ",\n") + json.dumps({"id": number, "license": 1, **image})
    yield '],\n"annotations": [\n'
    count = 0
    for number, (_, found) in enumerate(_records(parts), start=1):
        for annotation in found:
            count += 1
            lead = "" if count == 1 else ",\n"
            yield lead + json.dumps({"id": count, "image_id": number, **annotation})
    yield "]}\n"


def _records(parts: list[Path]) -> Iterator[Any]:
    for part in parts:
        with part.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def _parts(annotations: Path, split: str) -> list[Path]:
    return sorted(annotations.glob(f"{split}.part-*"))
