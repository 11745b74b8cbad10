"""Hugging Face ``datasets``: a folder of images with a table, or Parquet with the images in it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from napari_nudiff.dataset.pixels import read_image, read_labels
from napari_nudiff.dataset.readers.labelled import LabelledImage, Loaded
from napari_nudiff.dataset.writers.marked import (
    labels_png,
    marked_png,
    provenance_json,
    write_marked_png,
)
from napari_nudiff.dataset.writers.member import (
    SPLITS,
    Member,
    Shard,
    Whole,
    class_names_in,
    numbered,
    splits_in,
)
from napari_nudiff.files import parse_json

_TABLE = "metadata.jsonl"
_DATA = "data"
_HUB_NAMES = {"train": "train", "val": "validation", "test": "test"}
_FEATURES: dict[str, dict[str, Any]] = {
    "image": {"_type": "Image"},
    "labels": {"_type": "Image"},
    "name": {"dtype": "string", "_type": "Value"},
    "classes": {"feature": {"dtype": "int64", "_type": "Value"}, "_type": "List"},
    "synthetic": {"dtype": "bool", "_type": "Value"},
    "um_per_px": {"dtype": "float64", "_type": "Value"},
    "provenance": {"dtype": "string", "_type": "Value"},
}


def write_imagefolder(folder: Path, shard: Shard) -> None:
    """Write ``SPLIT/NAME.png``, ``SPLIT/NAME_labels.png`` and their rows of the table."""
    target = folder / shard.split
    target.mkdir(parents=True, exist_ok=True)
    for member in shard.members:
        write_marked_png(target / f"{member.name}.png", member)
        (target / f"{member.name}_labels.png").write_bytes(labels_png(member.labels))
    with (target / f"{_TABLE}.part-{shard.number:06d}").open("w", encoding="utf-8") as part:
        part.writelines(json.dumps(_row(member)) + "\n" for member in shard.members)


def finish_imagefolder(folder: Path, whole: Whole) -> None:
    """Join the rows to ``SPLIT/metadata.jsonl``, and write the card."""
    for _, inside in splits_in(folder):
        parts = sorted(inside.glob(f"{_TABLE}.part-*"))
        if parts:
            with (inside / _TABLE).open("w", encoding="utf-8") as table:
                table.writelines(part.read_text(encoding="utf-8") for part in parts)
    _write_card(folder, whole, lambda split: f"{split}/**")


def read_imagefolder(folder: Path) -> Iterator[LabelledImage]:
    """List what `write_imagefolder` wrote."""
    names = class_names_in(folder)
    for split, inside in splits_in(folder):
        for line in (inside / _TABLE).read_text(encoding="utf-8").splitlines():
            row = parse_json(line)
            image, labels = (inside / row[key] for key in ("file_name", "labels_file_name"))
            numbers = [int(number) for number in str(row.get("classes", "")).split()]
            load = partial(_load_files, image, labels, numbers, names)
            yield LabelledImage(image.stem, str(image), load, split)


def write_parquet(folder: Path, shard: Shard) -> None:
    """Write ``data/SPLIT-NUMBER.parquet``."""
    import pyarrow
    from pyarrow import parquet

    (folder / _DATA).mkdir(parents=True, exist_ok=True)
    rows = [_full_row(member) for member in shard.members]
    features = {b"huggingface": json.dumps({"info": {"features": _FEATURES}}).encode()}
    table = pyarrow.Table.from_pylist(rows, _schema().with_metadata(features))
    parquet.write_table(table, folder / _DATA / f"{shard.stem}.parquet")


def finish_parquet(folder: Path, whole: Whole) -> None:
    """Write the card, which says what split a file belongs to."""
    _write_card(folder, whole, lambda split: f"{_DATA}/{split}-*.parquet")


def read_parquet(folder: Path) -> Iterator[LabelledImage]:
    """List what `write_parquet` wrote."""
    from pyarrow import parquet

    classes = class_names_in(folder)
    for split in SPLITS:
        for path in sorted((folder / _DATA).glob(f"{split}-*.parquet")):
            names = parquet.read_table(path, columns=["name"])["name"].to_pylist()
            for place, name in enumerate(names):
                yield LabelledImage(
                    name, str(path), partial(_load_row, path, place, classes), split
                )


def _row(member: Member) -> dict[str, Any]:
    """No lists and no nulls: an empty split would get columns of another type."""
    return {
        "file_name": f"{member.name}.png",
        "labels_file_name": f"{member.name}_labels.png",
        "classes": " ".join(map(str, member.classes.tolist())),
        "synthetic": member.synthetic,
        "um_per_px": member.um_per_px or 0.0,
    }


def _full_row(member: Member) -> dict[str, Any]:
    return {
        "image": {"bytes": marked_png(member), "path": f"{member.name}.png"},
        "labels": {"bytes": labels_png(member.labels), "path": f"{member.name}_labels.png"},
        "name": member.name,
        "classes": member.classes.tolist(),
        "synthetic": member.synthetic,
        "um_per_px": member.um_per_px,
        "provenance": provenance_json(member),
    }


def _schema() -> Any:
    import pyarrow

    picture = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    kinds = {"string": pyarrow.string(), "bool": pyarrow.bool_(), "float64": pyarrow.float64()}
    columns = {
        name: kinds[feature["dtype"]] for name, feature in _FEATURES.items() if "dtype" in feature
    }
    columns |= {"image": picture, "labels": picture, "classes": pyarrow.list_(pyarrow.int64())}
    return pyarrow.schema([(name, columns[name]) for name in _FEATURES])


def _write_card(folder: Path, whole: Whole, files: Any) -> None:
    """``README.md`` with the header that the Hub and ``load_dataset`` read."""
    lines = ["---", f"pretty_name: {json.dumps(whole.title)}", "task_categories:"]
    lines += ["- image-segmentation", "tags:", "- histology", "- nuclei", "- synthetic"]
    lines += ["configs:", "- config_name: default"]
    # load_dataset caches by the header alone: without it every set would be the first one read.
    lines += [f"  description: {json.dumps(f'set {whole.sha256}')}", "  data_files:"]
    for split in whole.counts:
        lines += [f"  - split: {_HUB_NAMES[split]}", f"    path: {json.dumps(files(split))}"]
    classes = ", ".join(f"{i} {name}" for i, name in enumerate(whole.class_names, start=1))
    counts = ", ".join(f"{number} {split}" for split, number in whole.counts.items())
    lines += ["---", "", f"# {whole.title}", ""]
    lines += [f"H&E images with instance labels of nuclei (16-bit, 0 = background): {counts}.", ""]
    lines += [f"`classes` holds the class of nucleus 1, 2, ...: {classes}.", ""]
    lines += ["`um_per_px` is the side of a pixel, 0 or null where it is unknown.", ""]
    lines += [f"Licence: {whole.licence}. See DATASHEET.md in the folder above.", ""]
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8")


def _load_files(image: Path, labels: Path, numbers: list[int], names: Mapping[int, str]) -> Loaded:
    return numbered(Loaded(read_image(image), read_labels(labels)), numbers, names)


def _load_row(path: Path, place: int, names: Mapping[int, str]) -> Loaded:
    from pyarrow import parquet

    table = parquet.read_table(path, columns=["image", "labels", "classes"]).slice(place, 1)
    row = table.to_pylist()[0]
    files = (io.BytesIO(row[column]["bytes"]) for column in ("image", "labels"))
    image, labels = (np.asarray(Image.open(file)) for file in files)
    return numbered(Loaded(image, labels), row["classes"], names)
