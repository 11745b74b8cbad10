"""The tables and the index of a set: what is in it, pair by pair and as a whole."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from napari_nudiff import __version__
from napari_nudiff.dataset.export.plan import Plan, Row
from napari_nudiff.errors import DatasetError
from napari_nudiff.files import parse_json

KIND = "nudiff exported set"
SCHEMA = 1
INDEX, CSV, PARQUET = "dataset.json", "manifest.csv", "manifest.parquet"
_COUNTS = "nuclei_of_"  # columns, one a class


def write_manifest(folder: Path, plan: Plan) -> None:
    """Write ``manifest.csv`` and, where pyarrow is installed, ``manifest.parquet``."""
    columns = [name for name in Row.__dataclass_fields__ if name != "class_counts"]
    columns += [_COUNTS + name for name in plan.class_names]
    with (folder / CSV).open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, columns)
        table.writeheader()
        table.writerows(_flat(row, plan.class_names) for row in plan.rows)
    if find_spec("pyarrow"):
        _write_parquet(folder / PARQUET, plan)


def read_manifest(folder: Path) -> tuple[Row, ...]:
    """Read ``manifest.csv``.

    Raises
    ------
    DatasetError
        It is missing or damaged.
    """
    try:
        with (Path(folder) / CSV).open(encoding="utf-8", newline="") as file:
            return tuple(map(_parsed, csv.DictReader(file)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"Cannot read {Path(folder) / CSV}: {error!r}.") from error


def write_index(folder: Path, plan: Plan) -> None:
    """Write ``dataset.json``: no times, so that equal sets are equal bytes."""
    content = {
        "kind": KIND,
        "schema": SCHEMA,
        "title": plan.options.title,
        "synthetic": sum(row.synthetic for row in plan.rows),
        "real": sum(not row.synthetic for row in plan.rows),
        "splits": plan.counts,
        "classes": {str(i): name for i, name in enumerate(plan.class_names, start=1)},
        "um_per_px": sorted({row.um_per_px for row in plan.rows if row.um_per_px is not None}),
        "formats": list(plan.options.formats),
        "licence_of_real_images": plan.options.licence,
        "checkpoints": plan.models,
        "left_out": plan.left_out,
        "options": plan.options.to_dict(),
        "plan_sha256": plan.sha256,
        "software": {"napari-nudiff": __version__, "numpy": np.__version__},
    }
    (folder / INDEX).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_set_index(folder: Path) -> dict[str, Any] | None:
    """Read ``dataset.json``; None where the folder is no exported set.

    Raises
    ------
    DatasetError
        It is of a newer version.
    """
    try:
        content = parse_json((Path(folder) / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or content.get("kind") != KIND:
        return None
    if content.get("schema") != SCHEMA:
        raise DatasetError(
            f"{folder} has schema {content.get('schema')!r}; this version reads {SCHEMA}. Update "
            "napari-nudiff."
        )
    return content


def _flat(row: Row, class_names: tuple[str, ...]) -> dict[str, Any]:
    values = asdict(row)
    counts = values.pop("class_counts")
    return values | {_COUNTS + name: counts.get(name, 0) for name in class_names}


def _write_parquet(path: Path, plan: Plan) -> None:
    import pyarrow
    from pyarrow import parquet

    kinds = {"int": pyarrow.int64(), "str": pyarrow.string(), "bool": pyarrow.bool_()}
    kinds |= {"int | None": pyarrow.int64(), "float | None": pyarrow.float64()}
    columns = [(f.name, kinds[str(f.type)]) for f in fields(Row) if f.name != "class_counts"]
    columns += [(_COUNTS + name, pyarrow.int64()) for name in plan.class_names]
    rows = [_flat(row, plan.class_names) for row in plan.rows]
    parquet.write_table(pyarrow.Table.from_pylist(rows, pyarrow.schema(columns)), path)


def _parsed(line: dict[str, str]) -> Row:
    counts = {
        name.removeprefix(_COUNTS): int(value)
        for name, value in line.items()
        if name.startswith(_COUNTS) and int(value)
    }
    return Row(**dict(_values(line)), class_counts=counts)


def _values(line: dict[str, str]) -> Iterator[tuple[str, Any]]:
    for f in fields(Row):
        if f.name != "class_counts":
            yield f.name, _PARSERS[str(f.type)](line[f.name])


_PARSERS: dict[str, Any] = {
    "str": str,
    "int": int,
    "bool": lambda text: {"True": True, "False": False}[text],
    "int | None": lambda text: int(text) if text else None,
    "float | None": lambda text: float(text) if text else None,
}
