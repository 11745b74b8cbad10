"""The prepared format: ``images/NAME.png``, ``labels/NAME.tif`` and their index, ``dataset.json``.

Equal inputs give equal bytes: there are no times and no absolute paths in it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.dataset.images import write_layout, write_rgb, write_text
from napari_nudiff.errors import DatasetError
from napari_nudiff.files import replace_folder

INDEX_NAME = "dataset.json"
PROBLEMS_NAME = "problems.csv"
KIND = "nudiff training set"
SCHEMA = 1


@dataclass(frozen=True)
class Item:
    """One image of a prepared set.

    Attributes
    ----------
    name : str
        Stem of its two files.
    group : str
        What no split tears apart.
    split : str
        "train" or "held_out".
    height_px, width_px : int
    nuclei : int
    um_per_px : float or None
    source : str
        Where it came from, from the name of the source on.
    image_sha256 : str
        `pixels_sha256` of the image.
    cut_from : str
        Of a patch, the name that the whole image would have; else empty.
    top_px, left_px : int
        Of a patch, where it lay.
    """

    name: str
    group: str
    split: str
    height_px: int
    width_px: int
    nuclei: int
    um_per_px: float | None
    source: str
    image_sha256: str
    cut_from: str = ""
    top_px: int = 0
    left_px: int = 0


@dataclass(frozen=True)
class Index:
    """What ``dataset.json`` holds: the images, and facts about the whole set."""

    items: tuple[Item, ...]
    about: Mapping[str, Any] = field(default_factory=dict)


class Entry(NamedTuple):
    """One image on its way into a set."""

    item: Item
    image: NDArray[np.uint8]
    labels: NDArray[np.integer]


def read_index(folder: Path) -> Index | None:
    """Read the index of a folder; None where it has none of this format.

    Raises
    ------
    DatasetError
        The index is damaged, or of a newer version.
    """
    path = Path(folder) / INDEX_NAME
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"Cannot read {path}: {error}. Prepare the set again.") from error
    if not isinstance(content, dict) or content.get("kind") != KIND:
        return None
    if content.get("schema") != SCHEMA:
        raise DatasetError(
            f"{path} has schema {content.get('schema')}; this version reads {SCHEMA}. Update "
            "napari-nudiff or prepare the set again."
        )
    known = {f.name for f in fields(Item)}
    try:
        items = [Item(**{k: item[k] for k in known & item.keys()}) for item in content["items"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{path} is damaged: {error}. Prepare the set again.") from error
    return Index(tuple(items), {k: v for k, v in content.items() if k != "items"})


def check_target(out: Path, sources: Sequence[Path], overwrite: bool) -> None:
    """Check that a set may be written to a folder.

    Raises
    ------
    DatasetError
        Something else is there, or it may not be overwritten, or it is one of the sources.
    """
    out = Path(out).resolve()
    for source in (Path(s).resolve() for s in sources):
        if out == source or out in source.parents or source in out.parents:
            raise DatasetError(
                f"--out {out} and the source {source} lie in each other, so that one would change "
                "the other. Choose another --out."
            )
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not out.is_dir() or read_index(out) is None:
        raise DatasetError(
            f"{out} exists and is no prepared set, so it is not replaced. Choose another --out."
        )
    if not overwrite:
        raise DatasetError(f"{out} is a prepared set. --overwrite replaces it.")


def write_set(
    out: Path, entries: Iterable[Entry], about: Mapping[str, Any], problems: str = ""
) -> Index:
    """Write a prepared set, as a whole or not at all.

    It is written beside ``out`` and takes its place at the end.

    Parameters
    ----------
    out : Path
        Replaced if it is there; ask `check_target` before.
    entries : iterable of Entry
        Consumed one by one.
    about : mapping
        Facts about the set; JSON values.
    problems : str
        Text of ``problems.csv``.

    Returns
    -------
    Index

    Raises
    ------
    DatasetError
        The disk is full, or the folder cannot be written to; ``out`` is then as it was.
    """
    out = Path(out).resolve()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".new-") as temporary:
            staged = Path(temporary) / "new"
            staged.mkdir()
            _fill(staged, entries, about, problems)
            index = read_index(staged)
            replace_folder(out, staged, Path(temporary) / "old")
    except OSError as error:
        raise DatasetError(f"Cannot write {out}: {error}. Nothing was changed.") from error
    assert index is not None
    return index


def _fill(folder: Path, entries: Iterable[Entry], about: Mapping[str, Any], problems: str) -> None:
    items = []
    for item, image, labels in entries:
        write_rgb(folder / "images" / f"{item.name}.png", image)
        write_layout(folder / "labels" / f"{item.name}.tif", labels)
        items.append(asdict(item))
    content = {"kind": KIND, "schema": SCHEMA, **about, "items": items}
    write_text(folder / PROBLEMS_NAME, problems)
    write_text(folder / INDEX_NAME, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
