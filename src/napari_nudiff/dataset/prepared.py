"""The prepared format: ``images/NAME.png``, ``labels/NAME.tif`` and their index, ``dataset.json``.

Where nuclei have classes, ``classes/NAME.csv`` has them; a set of layouts has no ``images``.

Equal inputs give equal bytes: there are no times and no absolute paths in it.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from napari_nudiff.dataset.classes import CLASSES_FOLDER, write_classes
from napari_nudiff.dataset.groups import HELD_OUT, TRAIN
from napari_nudiff.dataset.images import write_layout, write_rgb, write_text
from napari_nudiff.dataset.pair import Pair
from napari_nudiff.dataset.sheet import Sheets
from napari_nudiff.errors import DatasetError
from napari_nudiff.files import parse_json, replace_folder

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
        `pixels_sha256` of the image; of a layout without one, of its labels.
    cut_from : str
        Of a patch, the name that the whole image would have; else empty.
    top_px, left_px : int
        Of a patch, where it lay.
    roots : tuple of str
        Fingerprints of the labels that it came from, before and after they were resampled: of a
        patch, those of the whole. A pair that was made from one of them is of this lineage.
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
    roots: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "roots", tuple(self.roots))  # a list, as files have it


@dataclass(frozen=True)
class Index:
    """What ``dataset.json`` holds: the images, and facts about the whole set."""

    items: tuple[Item, ...]
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_images(self) -> bool:
        """Whether there are images; else it is a set of layouts."""
        return self.about.get("images", True) is not False

    @property
    def class_names(self) -> tuple[str, ...]:
        """What classes of nuclei there are, in the order of the alphabet."""
        return tuple(self.about.get("classes", ()))


Entry = tuple[Item, Pair]
"""One pair on its way into a set, and what the index says of it."""


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
        content = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"Cannot read {path}: {error}. Prepare the set again.") from error
    if not isinstance(content, dict) or not (content.get("kind") == KIND or _looks_ours(content)):
        return None
    if content.get("kind") != KIND:
        raise DatasetError(
            f"{path} has the items of a prepared set, and its kind is {content.get('kind')!r}, not "
            f"{KIND!r}: it is damaged. Prepare the set again."
        )
    if content.get("schema") != SCHEMA:
        raise DatasetError(
            f"{path} has schema {content.get('schema')}; this version reads {SCHEMA}. Update "
            "napari-nudiff or prepare the set again."
        )
    known = {f.name for f in fields(Item)}
    try:
        items = [Item(**{k: item[k] for k in known & item.keys()}) for item in content["items"]]
        _check_items(items)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(f"{path} is damaged: {error}. Prepare the set again.") from error
    return Index(tuple(items), {k: v for k, v in content.items() if k != "items"})


def _looks_ours(content: dict[str, Any]) -> bool:
    """Whether it has items with splits, whatever it calls itself."""
    items = content.get("items")
    return isinstance(items, list) and any(isinstance(i, dict) and "split" in i for i in items)


def _check_items(items: Sequence[Item]) -> None:
    """Check what decides which images are trained on."""
    names = Counter(item.name for item in items)
    for item in items:
        if item.split not in (TRAIN, HELD_OUT):
            raise ValueError(f"{item.name} is in the split {item.split!r}, not train or held_out")
        if Path(item.name).name != item.name:
            raise ValueError(f"{item.name!r} is no name of a file")
        if names[item.name] > 1:
            raise ValueError(f"{item.name} is there {names[item.name]} times")
        if not (item.um_per_px is None or isinstance(item.um_per_px, float | int)):
            raise ValueError(f"{item.name} has {item.um_per_px!r} um per px")
        if not all(isinstance(root, str) for root in item.roots):
            raise ValueError(f"{item.name} has {item.roots!r} as fingerprints")


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
    out: Path,
    entries: Iterable[Entry],
    about: Mapping[str, Any],
    problems: str = "",
    *,
    sheets: bool = False,
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
        Facts about the set; JSON values. ``classes`` lists those of its nuclei, and ``images`` is
        false for layouts.
    problems : str
        Text of ``problems.csv``.
    sheets : bool
        Whether contact sheets are drawn.

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
            _fill(staged, entries, about, problems, sheets)
            index = read_index(staged)
            replace_folder(out, staged, Path(temporary) / "old")
    except OSError as error:
        raise DatasetError(f"Cannot write {out}: {error}. Nothing was changed.") from error
    assert index is not None
    return index


def _fill(
    folder: Path,
    entries: Iterable[Entry],
    about: Mapping[str, Any],
    problems: str,
    with_sheets: bool,
) -> None:
    items = []
    class_names = about.get("classes", ())
    sheets = Sheets(folder, class_names) if with_sheets else None
    for item, pair in entries:
        if pair.image is not None:
            write_rgb(folder / "images" / f"{item.name}.png", pair.image)
        write_layout(folder / "labels" / f"{item.name}.tif", pair.labels)
        if class_names:
            write_classes(folder / CLASSES_FOLDER / f"{item.name}.csv", pair.classes)
        if sheets:
            sheets.add(item.name, pair)
        items.append(asdict(item))
    if sheets:
        sheets.close()
    content = {"kind": KIND, "schema": SCHEMA, **about, "items": items}
    write_text(folder / PROBLEMS_NAME, problems)
    write_text(folder / INDEX_NAME, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
