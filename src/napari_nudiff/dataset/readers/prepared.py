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
    return _find(tree, with_images=True)


def find_prepared_layouts(tree: Tree) -> list[LabelledImage]:
    """The same without their images."""
    return _find(tree, with_images=False)


def _find(tree: Tree, *, with_images: bool) -> list[LabelledImage]:
    found: list[LabelledImage] = []
    for path in tree.annotations(".json"):
        index = read_index(path.parent) if path.name == INDEX_NAME else None
        for item in index.items if index else ():
            labels = path.parent / "labels" / f"{item.name}.tif"
            image = path.parent / "images" / f"{item.name}.png"
            has_image = with_images and index is not None and index.has_images
            load = partial(_load, image if has_image else None, labels, item)
            source = tree.source_of(image if has_image else labels)
            is_out = item.split == HELD_OUT
            found.append(LabelledImage(item.name, source, load, item.group, is_out))
    return found


def _load(image: Path | None, labels: Path, item: Item) -> Loaded:
    return load_pair(image, labels)._replace(um_per_px=item.um_per_px, roots=item.roots)
