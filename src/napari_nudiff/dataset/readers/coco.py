"""COCO: one JSON file for many images, with polygons and run lengths."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.dataset.pixels import read_image
from napari_nudiff.dataset.polygons import Polygon, as_ring, draw_polygon, lost_note
from napari_nudiff.dataset.readers.files import Tree, read_um_per_px
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
    image = _image(tree, path, file_name)
    if image is None:
        complaint = f"{path.name} names {name}, which is not below {tree.root.name}."
        return unreadable(file_name.stem, tree.source_of(path), complaint)
    load = partial(_load, image, annotations, (entry.get("height"), entry.get("width")), names)
    return LabelledImage(image.stem, tree.source_of(image), load, path=image)


def _image(tree: Tree, path: Path, name: PurePosixPath) -> Path | None:
    """The file that shares most of the name's folders; of equals, the one closest to the JSON."""
    found = tree.images_named(name.name)
    beside = path.parent / name

    def shared(image: Path) -> tuple[bool, int]:
        ends = zip(reversed(image.parts), reversed(name.parts), strict=False)
        return image == beside, sum(a == b for a, b in ends)

    return max(found, key=shared, default=None)


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
    try:
        labels, lost = _draw(single, shape)
    except (DatasetError, KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"An annotation of {image_path.name} is damaged: {error}") from error
    crowds = len(annotations) - len(single)
    notes = (f"{crowds} crowds (iscrowd) left out",) if crowds else ()
    types = np.array([0, *(a.get("category_id", 0) for a in single)])[labels]
    um_per_px = read_um_per_px(image_path)
    return Loaded(image, labels, um_per_px, notes + lost_note(lost), types, names)


def _draw(annotations: list[Annotation], shape: tuple[int, int]) -> tuple[NDArray[np.int32], int]:
    """Later annotations over earlier ones, polygons and run lengths in one order."""
    labels = np.zeros(shape, dtype=np.int32)
    for number, annotation in enumerate(annotations, 1):
        segmentation = annotation["segmentation"]
        if isinstance(segmentation, dict):
            labels[decode_runs(segmentation["counts"], segmentation["size"], shape)] = number
        else:
            for ring in segmentation:
                draw_polygon(labels, Polygon(as_ring(np.reshape(ring, (-1, 2)))), number)
    return labels, len(annotations) - len(np.unique(labels[labels > 0]))
