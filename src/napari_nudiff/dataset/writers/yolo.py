"""YOLO: a text file of outlines an image, and ``data.yaml``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from napari_nudiff.dataset.outlines import back_to_front
from napari_nudiff.dataset.pixels import read_image
from napari_nudiff.dataset.polygons import Polygon, as_ring, draw_nuclei
from napari_nudiff.dataset.readers.labelled import LabelledImage, Loaded
from napari_nudiff.dataset.writers.marked import write_marked_png
from napari_nudiff.dataset.writers.member import (
    SPLITS,
    TEST,
    TRAIN,
    VAL,
    Member,
    Shard,
    Whole,
    class_names_in,
    numbered,
)
from napari_nudiff.errors import DatasetError

_DIGITS = 6  # of 1: exact to a hundredth of a pixel in images of 16,384 px


def write_yolo(folder: Path, shard: Shard) -> None:
    """Write ``images/SPLIT/NAME.png`` and ``labels/SPLIT/NAME.txt``."""
    images, labels = (folder / name / shard.split for name in ("images", "labels"))
    for target in (images, labels):
        target.mkdir(parents=True, exist_ok=True)
    for member in shard.members:
        write_marked_png(images / f"{member.name}.png", member)
        (labels / f"{member.name}.txt").write_text("".join(_lines(member)), encoding="ascii")


def finish_yolo(folder: Path, whole: Whole) -> None:
    """Write ``data.yaml``. Ultralytics refuses sets that name no images for validation."""
    val = next((split for split in (VAL, TEST, TRAIN) if split in whole.counts), TRAIN)
    lines = [f"# {whole.title}", f"train: images/{TRAIN}", f"val: images/{val}"]
    if val == TEST:
        lines[-1] += "  # the set has no split for validation"
    elif val == TRAIN:
        lines[-1] += "  # the set has one split only: these scores say nothing about new images"
    if TEST in whole.counts:
        lines.append(f"test: images/{TEST}")
    lines.append("names:")
    lines += [f"  {i}: {json.dumps(name)}" for i, name in enumerate(whole.class_names)]
    (folder / "data.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_yolo(folder: Path) -> Iterator[LabelledImage]:
    """List what was written."""
    names = class_names_in(folder)
    for split in SPLITS:
        for image in sorted((folder / "images" / split).glob("*.png")):
            path = folder / "labels" / split / f"{image.stem}.txt"
            yield LabelledImage(image.stem, str(image), partial(_load, image, path, names), split)


def _lines(member: Member) -> Iterator[str]:
    height, width = member.labels.shape
    for nucleus, polygons in back_to_front(member.labels):
        points = max(polygons, key=_extent).outline[:-1] / (width, height)
        numbers = " ".join(f"{value:.{_DIGITS}g}" for value in points.ravel())
        yield f"{member.classes[nucleus - 1] - 1} {numbers}\n"


def _extent(polygon: Polygon) -> float:
    """Area of the box of an outline: of a nucleus in several parts only the largest is told."""
    return float(np.prod(np.ptp(polygon.outline, axis=0)))


def _load(image_path: Path, path: Path, names: Mapping[int, str]) -> Loaded:
    image = read_image(image_path)
    height, width = image.shape[:2]
    try:
        rows = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
        points = [np.reshape(np.array(row[1:], float), (-1, 2)) for row in rows]
        numbers = [int(row[0]) + 1 for row in rows]
    except (OSError, ValueError) as error:
        raise DatasetError(f"Cannot read {path}: {error}") from error
    outlines = ([Polygon(as_ring(each * (width, height)))] for each in points)
    labels, _ = draw_nuclei(outlines, (height, width))
    return numbered(Loaded(image, labels), numbers, names)
