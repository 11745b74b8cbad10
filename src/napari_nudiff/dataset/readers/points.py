"""Points instead of outlines: one CSV file an image, a row a nucleus."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from napari_nudiff.dataset.pixels import read_image
from napari_nudiff.dataset.readers.files import Tree, read_um_per_px
from napari_nudiff.dataset.readers.labelled import LabelledImage, Loaded, of_same_stem
from napari_nudiff.errors import DatasetError

_ROW = ("y_px", "y", "row", "row_px")
_COLUMN = ("x_px", "x", "col", "column", "col_px", "column_px")
_CLASS = ("class", "label", "type", "classification", "class_name")
_FOLDER = "points"
_HEADER_BYTES = 4096


def find_points(tree: Tree) -> list[LabelledImage]:
    """Every CSV file with columns of places, and the image of its stem."""
    paths = [path for path in tree.annotations(".csv") if _has_points(tree, path)]
    return [of_same_stem(tree, path, _load, named_by_image=True) for path in paths]


def _has_points(tree: Tree, path: Path) -> bool:
    """Whether a file holds points, well or badly written; there are other tables beside images."""
    if path.parent.name.lower() == _FOLDER:
        return True
    with path.open("rb") as file:
        header = file.readline(_HEADER_BYTES).decode("utf-8-sig", "replace")
    names = _names(_split([header]))
    return bool({*_ROW} & {*names} and {*_COLUMN} & {*names}) and tree.image_of(path) is not None


def _load(image_path: Path, path: Path) -> Loaded:
    image = read_image(image_path)
    rows = _rows(path)
    names = _names(rows[:1])
    row, column = _place(path, names, _ROW), _place(path, names, _COLUMN)
    of_class = next((names.index(name) for name in _CLASS if name in names), None)
    points, classes = [], []
    for number, values in enumerate(rows[1:], 2):
        try:
            points.append((float(values[row]), float(values[column])))
            classes.append("" if of_class is None else values[of_class].strip())
        except (ValueError, IndexError) as error:
            raise DatasetError(
                f"Row {number} of {path.name} is {values}: {error}. Each row needs numbers (px) in "
                f"{names[row]} and {names[column]}, and what the header names."
            ) from error
    places = np.array(points, dtype=np.float64).reshape(-1, 2)
    if not np.isfinite(places).all():
        raise DatasetError(f"{path.name} holds places that are no finite numbers. Mend them.")
    empty = np.zeros(image.shape[:2], dtype=np.int32)
    um_per_px = read_um_per_px(image_path)
    return Loaded(image, empty, um_per_px, points=places, point_classes=tuple(classes))


def _rows(path: Path) -> list[list[str]]:
    """Rows of a table that is separated by commas, semicolons or tabs."""
    try:
        return _split(path.read_text(encoding="utf-8-sig").splitlines())
    except (OSError, ValueError, csv.Error) as error:
        raise DatasetError(f"Cannot read {path.name} as CSV: {error}") from error


def _split(lines: list[str]) -> list[list[str]]:
    separator = max(",;\t", key="".join(lines[:1]).count)
    return [row for row in csv.reader(lines, delimiter=separator) if any(row)]


def _names(header: list[list[str]]) -> list[str]:
    return [name.strip().lower() for name in header[0]] if header else []


def _place(path: Path, names: list[str], wanted: tuple[str, ...]) -> int:
    found = [names.index(name) for name in wanted if name in names]
    if not found:
        raise DatasetError(
            f"{path.name} begins with the columns {', '.join(names) or 'of none'}; a table of "
            f"points begins with a header that names {wanted[0]} (or {', '.join(wanted[1:])}), in "
            "pixels."
        )
    return found[0]
