"""COCO: one JSON file for many images, with polygons and run lengths."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.dataset.pixels import read_image
from napari_nudiff.dataset.polygons import Polygon, as_ring, draw_polygon, lost_note
from napari_nudiff.dataset.readers.files import Tree, closest, read_um_per_px, stem_of
from napari_nudiff.dataset.readers.json_file import mentions, read_json
from napari_nudiff.dataset.readers.labelled import LabelledImage, Loaded, unreadable
from napari_nudiff.dataset.readers.runs import decode_runs
from napari_nudiff.errors import DatasetError

Annotation = dict[str, Any]

# Each of them is near the beginning or the end of the file, in whatever order its parts are.
_WORDS = (('"images"', '"file_name"'), ('"annotations"', '"segmentation"', '"categories"'))


def find_coco(tree: Tree) -> list[LabelledImage]:
    """Every image that a COCO file of instances names.

    Raises
    ------
    DatasetError
        Such a file is damaged.
    """
    found: list[LabelledImage] = []
    for path in tree.annotations(".json"):
        if all(mentions(path, *words) for words in _WORDS):
            found += _find_in(tree, path, read_json(path))
    return found


def _find_in(tree: Tree, path: Path, content: Any) -> list[LabelledImage]:
    try:
        annotations = defaultdict(list)
        for annotation in content["annotations"]:
            annotations[annotation["image_id"]].append(annotation)
        named = [(str(i["file_name"]), annotations[i["id"]], i) for i in content["images"]]
        names = {int(c["id"]): str(c["name"]) for c in content.get("categories", ())}
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            f"{path.name} is no COCO file of instances: {error!r}. Lists of images (id, file_name) "
            "and annotations (image_id, segmentation) are needed."
        ) from error
    return [_labelled(tree, path, name, of_it, image, names) for name, of_it, image in named]


def _labelled(
    tree: Tree,
    path: Path,
    name: str,
    annotations: list[Annotation],
    entry: dict[str, Any],
    names: dict[int, str],
) -> LabelledImage:
    file_name = PurePosixPath(name.replace("\\", "/"))
    try:
        image = _image(tree, path, file_name)
        complaint = f"{path.name} names {name}, which is not below {tree.root.name}."
    except DatasetError as error:
        image, complaint = None, str(error)
    if image is None:
        return unreadable(file_name.stem, tree.source_of(path), complaint)
    load = partial(_load, image, annotations, (entry.get("height"), entry.get("width")), names)
    return LabelledImage(stem_of(image), tree.source_of(image), load, path=image)


def _image(tree: Tree, path: Path, name: PurePosixPath) -> Path | None:
    """The file that shares most of the name's folders, or is of the JSON's split (train, val)."""
    beside = path.parent / name
    words = set(re.split(r"[^a-z0-9]+", path.stem.lower()))

    def rank(image: Path) -> tuple[bool, int, bool]:
        ends = zip(reversed(image.parts), reversed(name.parts), strict=False)
        # instances_val.json is about val/0001.png and images/val2017/0001.png.
        folder = image.parent.name.lower()
        return image == beside, sum(a == b for a, b in ends), folder in words

    return closest(tree.images_named(name.name), rank, f"{name} of {path.name}")


def _load(
    image_path: Path,
    annotations: list[Annotation],
    told: tuple[Any, Any],
    names: dict[int, str],
) -> Loaded:
    image = read_image(image_path)
    shape = image.shape[:2]
    if None not in told and tuple(told) != shape:
        raise DatasetError(
            f"{image_path.name} is {shape} pixels (height, width) and the JSON says {told}; "
            "they must be equal."
        )
    single = [a for a in annotations if not a.get("iscrowd")]
    notes: tuple[str, ...] = ()
    if annotations and not single:  # programs that write run lengths mark each of them so
        single = annotations
        notes = (f"all {len(single)} annotations are marked iscrowd, so they were taken as nuclei",)
    elif crowds := len(annotations) - len(single):
        notes = (f"{crowds} crowds (iscrowd) left out",)
    outlined = [a for a in single if a.get("segmentation")]
    if len(outlined) < len(single):
        boxes = [str(a.get("id")) for a in single if not a.get("segmentation")]
        notes += (f"{len(boxes)} annotations with a box only left out: {', '.join(boxes)}",)
    single = outlined
    try:
        labels, lost = _draw(single, shape)
    except (DatasetError, KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"An annotation of {image_path.name} is damaged: {error}") from error
    types = np.array([0, *(a.get("category_id", 0) for a in single)])[labels]
    um_per_px = read_um_per_px(image_path)
    return Loaded(image, labels, um_per_px, notes + lost_note(lost), types, names)


def _draw(annotations: list[Annotation], shape: tuple[int, int]) -> tuple[NDArray[np.int32], int]:
    """Later annotations over earlier ones, polygons and run lengths in one order."""
    labels = np.zeros(shape, dtype=np.int32)
    for number, annotation in enumerate(annotations, 1):
        segmentation = annotation["segmentation"]
        if isinstance(segmentation, dict):
            rows, cols = decode_runs(segmentation["counts"], segmentation["size"], shape)
            labels[rows, cols] = number
        else:
            for ring in segmentation:
                draw_polygon(labels, Polygon(as_ring(np.reshape(ring, (-1, 2)))), number)
    return labels, len(annotations) - len(np.unique(labels[labels > 0]))
