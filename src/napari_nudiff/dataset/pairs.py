"""Pairs of an H&E image and its instance labels, and layouts alone, as a folder of files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.dataset.classes import CLASSES_FOLDER, read_classes
from napari_nudiff.dataset.groups import HELD_OUT
from napari_nudiff.dataset.images import read_layout, read_rgb
from napari_nudiff.dataset.prepared import INDEX_NAME, KIND, Index, Item, read_index
from napari_nudiff.errors import DatasetError


@dataclass(frozen=True)
class Pair:
    """One H&E image with its instance labels.

    Attributes
    ----------
    stem : str
    image : ndarray, (H, W, 3), uint8
    labels : ndarray, (H, W), integer
    group : str
        Patient or slide of a prepared set, else empty.
    um_per_px : float or None
        Side of a pixel; None where nobody told it.
    classes : mapping of int to str
        Of nuclei by their ids; those without one are missing.
    source : str
        Name of the folder that it was read from.
    """

    stem: str
    image: NDArray[np.uint8]
    labels: NDArray[np.integer]
    group: str = ""
    um_per_px: float | None = None
    classes: Mapping[int, str] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True)
class Layout:
    """The instance labels of a pair, or of a set that has no images; see `Pair`."""

    stem: str
    labels: NDArray[np.integer]
    group: str = ""
    um_per_px: float | None = None
    classes: Mapping[int, str] = field(default_factory=dict)
    source: str = ""


Loaded = TypeVar("Loaded", Pair, Layout)


def load_pairs(folder: Path, *, held_out: Sequence[str] = ()) -> tuple[list[Pair], list[Pair]]:
    """Read a prepared set, or ``images/*.png`` with ``labels/*.tif`` of the same stems.

    Parameters
    ----------
    folder : Path
    held_out : sequence of str
        Shell patterns of the stems that go into the second list. Without any, a prepared set is
        split as its ``dataset.json`` says, and of a bare folder nothing is held out.

    Returns
    -------
    training, held_out : lists of Pair

    Raises
    ------
    DatasetError
        There are no images, a file is missing, the sizes of a pair differ, or there is a
        ``dataset.json`` which is not that of a prepared set: its split would be lost.
    """
    folder = Path(folder)
    index = _read_index(folder)
    if index is not None and not index.has_images:
        raise DatasetError(
            f"{folder} is a set of layouts without images, which only a structure model can be "
            "trained on. Give a set with images."
        )
    stems = [path.stem for path in _files(folder, "images", ".png")] if index is None else []
    pairs = [_load_pair(folder, layout) for layout in _layouts(folder, index, stems)]
    return _split(pairs, index, held_out)


def load_layouts(
    folder: Path, *, held_out: Sequence[str] = ()
) -> tuple[list[Layout], list[Layout]]:
    """Read the layouts of a prepared set with or without images, or ``labels/*.tif``.

    Parameters
    ----------
    folder : Path
    held_out : sequence of str
        As for `load_pairs`.

    Returns
    -------
    training, held_out : lists of Layout

    Raises
    ------
    DatasetError
        There are none, a file is missing, or there is a ``dataset.json`` which is not that of a
        prepared set.
    """
    folder = Path(folder)
    index = _read_index(folder)
    stems = [path.stem for path in _files(folder, "labels", ".tif")] if index is None else []
    return _split(list(_layouts(folder, index, stems)), index, held_out)


def _read_index(folder: Path) -> Index | None:
    """The index of a prepared set; None of a bare folder."""
    index = read_index(folder)
    path = folder / INDEX_NAME
    if index is None and path.exists():
        # Read as a bare folder, what it holds out would be trained on.
        raise DatasetError(
            f"{path} is not the index of a prepared set: its kind is not {KIND!r}. If it is "
            "damaged, prepare the set again; if it belongs to another program, move it away."
        )
    return index


def _split(
    loaded: list[Loaded], index: Index | None, held_out: Sequence[str]
) -> tuple[list[Loaded], list[Loaded]]:
    if index is None or held_out:
        kept_out = [any(fnmatch(one.stem, pattern) for pattern in held_out) for one in loaded]
    else:
        kept_out = [item.split == HELD_OUT for item in index.items]
    training = [one for one, out in zip(loaded, kept_out, strict=True) if not out]
    return training, [one for one, out in zip(loaded, kept_out, strict=True) if out]


def _files(folder: Path, kind: str, suffix: str) -> list[Path]:
    paths = sorted((folder / kind).glob(f"*{suffix}"))
    if not paths:
        raise DatasetError(
            f"No {kind}/*{suffix} in {folder}. Training needs a folder with images/NAME.png and "
            "labels/NAME.tif, such as `nudiff data prepare` writes."
        )
    return paths


def turned(plane: NDArray[Any], turns: int, mirrored: bool) -> NDArray[Any]:
    """An image or labels (H, W, ...) in one of the eight orientations.

    Parameters
    ----------
    plane : ndarray, (H, W, ...)
    turns : int
        Quarter turns counter-clockwise, as in `numpy.rot90`.
    mirrored : bool
        Mirrored left to right after that.
    """
    plane = np.rot90(plane, turns)
    return np.ascontiguousarray(plane[:, ::-1] if mirrored else plane)


def _layouts(folder: Path, index: Index | None, stems: Sequence[str]) -> Iterator[Layout]:
    """Those of an index, or of a bare folder those of some stems."""
    if index is None:
        yield from (_layout(folder, stem) for stem in stems)
        return
    classed = bool(index.class_names)
    for item in index.items:
        yield _layout(folder, item.name, item, classed=classed)


def _layout(folder: Path, stem: str, item: Item | None = None, *, classed: bool = False) -> Layout:
    path = folder / "labels" / f"{stem}.tif"
    if not path.exists():
        raise DatasetError(f"{stem}.png has no labels: {path} does not exist.")
    table = folder / CLASSES_FOLDER / f"{stem}.csv"
    classes = read_classes(table) if classed or (item is None and table.exists()) else {}
    if item is None:
        return Layout(stem, read_layout(path), classes=classes, source=folder.name)
    labels = read_layout(path)
    return Layout(stem, labels, item.group, item.um_per_px, classes, folder.name)


def _load_pair(folder: Path, layout: Layout) -> Pair:
    path = folder / "images" / f"{layout.stem}.png"
    image, labels = read_rgb(path), layout.labels
    if image.shape[:2] != labels.shape:
        raise DatasetError(
            f"{path.name} is {image.shape[:2]} pixels and its labels are {labels.shape}; "
            "they must have the same size."
        )
    return Pair(
        layout.stem,
        image,
        labels,
        layout.group,
        layout.um_per_px,
        layout.classes,
        layout.source,
    )
