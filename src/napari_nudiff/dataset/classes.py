"""Classes of nuclei, as a small table beside their labels: ``id,class``."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_nudiff.dataset.images import write_text
from napari_nudiff.errors import DatasetError

CLASSES_FOLDER = KEY = "classes"
_HEADER = ["id", "class"]


def write_classes(path: Path, classes: Mapping[int, str]) -> None:
    """Write the classes of the nuclei of one layout, those without one left out.

    Parameters
    ----------
    path : Path
    classes : mapping of int to str
        Of nuclei by their numbers.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEADER)
    writer.writerows(sorted(classes.items()))
    write_text(path, text.getvalue())


def pack_classes(classes: Mapping[int, str]) -> dict[str, dict[str, str]]:
    """Classes as JSON values under a key of their own; nothing where there are none."""
    return {KEY: {str(i): name for i, name in sorted(classes.items())}} if classes else {}


def unpack_classes(stored: Mapping[str, Any]) -> tuple[dict[int, str], dict[str, Any]]:
    """The classes that `pack_classes` put among other values, and the others."""
    others = dict(stored)
    packed = others.pop(KEY, {})
    if not isinstance(packed, Mapping):
        return {}, dict(stored)
    return {int(i): str(name) for i, name in packed.items() if str(i).isdecimal()}, others


def read_classes(path: Path) -> dict[int, str]:
    """Read the classes of the nuclei of one layout.

    Raises
    ------
    DatasetError
        The file is missing or damaged.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *rows = [row for row in csv.reader(file) if row] or [[]]
        if [name.strip().lower() for name in header] != _HEADER:
            raise ValueError(f"its columns are {', '.join(header) or 'none'}")
        classes = {int(number): name.strip() for number, name in rows}
    except (OSError, ValueError, csv.Error) as error:
        raise DatasetError(
            f"Cannot read {path.name} as classes of nuclei: {error}. It needs the columns id, "
            "class and one row a nucleus."
        ) from error
    if len(classes) < len(rows) or min(classes, default=1) < 1:
        raise DatasetError(f"{path.name} has an id below 1 or twice. Each nucleus needs one row.")
    return {number: name for number, name in classes.items() if name}
