"""Label images alone: layouts to train a structure model on."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from napari_nudiff.dataset.readers.files import Tree
from napari_nudiff.dataset.readers.labelled import LabelledImage
from napari_nudiff.dataset.readers.pairs import LABEL_FOLDERS, LABEL_SUFFIXES, bare, load_pair
from napari_nudiff.dataset.readers.prepared import find_prepared_layouts


def find_layouts(tree: Tree) -> list[LabelledImage]:
    """Every label image: of prepared sets, of folders of labels, with an ending, or simply all."""
    if found := find_prepared_layouts(tree):
        return found
    files = (tree.only,) if tree.only else tree.files
    files = tuple(f for f in files if f.suffix.lower() in LABEL_SUFFIXES)
    in_folders = [f for f in files if f.parent.name.lower() in LABEL_FOLDERS]
    marked = [f for f in files if bare(f.stem) != f.stem]
    return [_layout(tree, path) for path in in_folders or marked or files]


def _layout(tree: Tree, path: Path) -> LabelledImage:
    load = partial(load_pair, None, path)
    return LabelledImage(bare(path.stem), tree.source_of(path), load)
