"""Exported sets and folders of generated pairs, opened as stacks to leaf through."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from napari_nudiff.dataset.export.manifest import read_manifest, read_set_index
from napari_nudiff.dataset.readers.labelled import LabelledImage
from napari_nudiff.dataset.sample import labels_beside, read_sample
from napari_nudiff.dataset.stack import PairStack, Planes
from napari_nudiff.dataset.writers import FORMATS
from napari_nudiff.errors import DatasetError
from napari_nudiff.sample_data import LayerData

_DEEPEST = 3  # set/format/split/folder


class _Place(NamedTuple):
    """Where a folder lies in a set."""

    root: Path
    format: str
    split: str


class _Leaf(NamedTuple):
    """A pair of a stack."""

    name: str
    size: tuple[int, int]
    um_per_px: float | None
    load: Callable[[], Planes]


def is_set(folder: Path) -> bool:
    """Whether a folder is an exported set, or a part of one."""
    return _place(folder) is not None


def is_generated(folder: Path) -> bool:
    """Whether a folder holds what ``nudiff generate`` or ``nudiff render`` wrote."""
    return next(_samples(folder), None) is not None


def read_set(folder: Path) -> list[LayerData]:
    """The pairs of a set, of one of its formats, or of a split of that.

    Raises
    ------
    DatasetError
        It holds none that can be opened whole.
    """
    place = _place(folder)
    if place is None:
        raise DatasetError(f"{folder} is no exported set.")
    rows = {row.name: row for row in read_manifest(place.root)}
    leaves = []
    for entry in FORMATS[place.format].read(place.root / place.format):
        row = rows.get(entry.name)
        if row is not None and place.split in {"", entry.group}:
            size = (row.height_px, row.width_px)
            leaves.append(_Leaf(entry.name, size, row.um_per_px, partial(_loaded, entry)))
    name = " ".join([place.root.name, *filter(None, [place.format, place.split])])
    return _layers(folder, name, leaves)


def read_generated(folder: Path) -> list[LayerData]:
    """The pairs of a folder of samples.

    Raises
    ------
    DatasetError
        A file is damaged.
    """
    leaves = [_sample_leaf(path) for path in _samples(folder)]
    return _layers(folder, folder.name, leaves)


def _place(folder: Path) -> _Place | None:
    """The set that a folder is, or lies in; of its formats the first that keeps images whole."""
    folder = folder.absolute()
    for root in [folder, *folder.parents][: _DEEPEST + 1]:
        index = read_set_index(root)
        if index is None:
            continue
        inside = folder.relative_to(root).parts
        formats = [name for name in index["formats"] if not FORMATS[name].cuts]
        if inside[:1] and inside[0] not in formats:
            return None
        chosen = inside[0] if inside else next(iter(formats), "")
        splits = [part for part in inside[1:] if part in {"train", "val", "test"}]
        return _Place(root, chosen, splits[0] if splits else "") if chosen else None
    return None


def _samples(folder: Path) -> Iterator[Path]:
    """JSON files with an image and labels beside them."""
    for path in sorted(folder.glob("*.json")):
        if path.with_suffix(".png").is_file() and labels_beside(path) is not None:
            yield path


def _sample_leaf(path: Path) -> _Leaf:
    from PIL import Image

    with Image.open(path.with_suffix(".png")) as image:
        width, height = image.size
    return _Leaf(path.stem, (height, width), None, partial(_loaded_sample, path))


def _loaded(entry: LabelledImage) -> Planes:
    loaded = entry.load()
    assert loaded.image is not None  # only layouts have none, and they are not exported
    return loaded.image, loaded.labels


def _loaded_sample(path: Path) -> Planes:
    sample = read_sample(path)
    assert sample.image is not None, "only those with one are listed"
    return sample.image, sample.labels


def _layers(folder: Path, name: str, leaves: list[_Leaf]) -> list[LayerData]:
    """An Image and a Labels layer of each size of pixels that there is."""
    if not leaves:
        raise DatasetError(f"{folder} holds no pairs that can be opened.")
    # napari shows layers with and without units together as if none had any, and warns.
    is_known = all(leaf.um_per_px is not None for leaf in leaves)
    groups: dict[tuple[Any, ...], list[_Leaf]] = defaultdict(list)
    for leaf in leaves:
        groups[leaf.size, leaf.um_per_px if is_known else None].append(leaf)
    layers: list[Any] = []
    for (size, um_per_px), inside in groups.items():
        stack = PairStack([leaf.load for leaf in inside], size)
        title = name if len(groups) == 1 else f"{name} {size[0]} × {size[1]}"
        about = {"metadata": {"nudiff_set": [leaf.name for leaf in inside]}, **_spatial(um_per_px)}
        image = {"name": title, "rgb": True, "contrast_limits": (0, 255), **about}
        labels = {"name": f"{title} labels", **about}
        layers += [(stack.images, image, "image"), (stack.labels, labels, "labels")]
    return layers


def _spatial(um_per_px: float | None) -> dict[str, Any]:
    axes = {"axis_labels": ["pair", "y", "x"]}
    if um_per_px is None:
        return axes
    return axes | {"scale": [1.0, um_per_px, um_per_px], "units": ["pixel", "um", "um"]}
