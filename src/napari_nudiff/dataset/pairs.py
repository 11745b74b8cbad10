"""Read pairs, and layouts alone, from a folder of files: what is trained and judged on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

from napari_nudiff.dataset.classes import CLASSES_FOLDER, read_classes
from napari_nudiff.dataset.groups import HELD_OUT
from napari_nudiff.dataset.images import read_layout, read_rgb
from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.dataset.prepared import INDEX_NAME, KIND, Index, Item, read_index
from napari_nudiff.errors import DatasetError


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
    pairs = [_with_image(folder, layout) for layout in _layouts(folder, index, stems)]
    return _split(pairs, index, held_out)


def load_layouts(folder: Path, *, held_out: Sequence[str] = ()) -> tuple[list[Pair], list[Pair]]:
    """Read the layouts of a prepared set with or without images, or ``labels/*.tif``.

    Parameters
    ----------
    folder : Path
    held_out : sequence of str
        As for `load_pairs`.

    Returns
    -------
    training, held_out : lists of Pair
        Without images.

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
    loaded: list[Pair], index: Index | None, held_out: Sequence[str]
) -> tuple[list[Pair], list[Pair]]:
    if index is None or held_out:
        kept_out = [any(fnmatch(one.name, pattern) for pattern in held_out) for one in loaded]
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


def _layouts(folder: Path, index: Index | None, stems: Sequence[str]) -> Iterator[Pair]:
    """Those of an index, or of a bare folder those of some stems."""
    if index is None:
        yield from (_layout(folder, stem) for stem in stems)
        return
    classed = bool(index.class_names)
    for item in index.items:
        yield _layout(folder, item.name, item, classed=classed)


def _layout(folder: Path, stem: str, item: Item | None = None, *, classed: bool = False) -> Pair:
    path = folder / "labels" / f"{stem}.tif"
    if not path.exists():
        raise DatasetError(f"{stem}.png has no labels: {path} does not exist.")
    table = folder / CLASSES_FOLDER / f"{stem}.csv"
    classes = read_classes(table) if classed or (item is None and table.exists()) else {}
    um_per_px, group = (item.um_per_px, item.group) if item else (None, "")
    layout = Layout(read_layout(path), classes, um_per_px)
    return Pair(layout, name=stem, group=group, source=folder.name)


def _with_image(folder: Path, pair: Pair) -> Pair:
    path = folder / "images" / f"{pair.name}.png"
    image = read_rgb(path)
    if image.shape[:2] != pair.labels.shape:
        raise DatasetError(
            f"{path.name} is {image.shape[:2]} pixels and its labels are {pair.labels.shape}; "
            "they must have the same size."
        )
    return replace(pair, image=image)
