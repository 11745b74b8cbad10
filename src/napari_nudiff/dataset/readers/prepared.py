"""Sets that were prepared before."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from napari_nudiff.dataset.groups import HELD_OUT
from napari_nudiff.dataset.prepared import INDEX_NAME, Item, read_index
from napari_nudiff.dataset.readers.files import Tree
from napari_nudiff.dataset.readers.labelled import LabelledImage, Loaded
from napari_nudiff.dataset.readers.pairs import load_pair


def find_prepared(tree: Tree) -> list[LabelledImage]:
    """Folders with the index that ``nudiff data prepare`` writes; groups and um per px are kept."""
    found: list[LabelledImage] = []
    for path in tree.annotations(".json"):
        index = read_index(path.parent) if path.name == INDEX_NAME else None
        for item in index.items if index else ():
            image = path.parent / "images" / f"{item.name}.png"
            load = partial(_load, path.parent, item)
            is_out = item.split == HELD_OUT
            found.append(LabelledImage(item.name, tree.source_of(image), load, item.group, is_out))
    return found


def _load(folder: Path, item: Item) -> Loaded:
    pair = load_pair(folder / "images" / f"{item.name}.png", folder / "labels" / f"{item.name}.tif")
    return pair._replace(um_per_px=item.um_per_px)
