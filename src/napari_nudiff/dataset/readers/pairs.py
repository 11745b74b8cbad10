"""Images with label images of the same stem."""

from __future__ import annotations

from functools import partial
from itertools import groupby
from pathlib import Path

from napari_nudiff.dataset.classes import CLASSES_FOLDER, read_classes
from napari_nudiff.dataset.pixels import read_image, read_labels
from napari_nudiff.dataset.readers.files import (
    IMAGE_FOLDERS,
    IMAGE_SUFFIXES,
    Tree,
    read_um_per_px,
)
from napari_nudiff.dataset.readers.labelled import LabelledImage, Loaded, unreadable

LABEL_SUFFIXES = (".tif", ".tiff", ".png", ".npy", ".bmp")  # no JPEG: it changes ids
LABEL_FOLDERS = ("instance_labels", "labels", "masks", "instances", "label", "mask")
MASK_ENDINGS = ("_cp_masks", "_masks", "_mask", "_labels", "_label", "_instances")
_BYPRODUCTS = ("_flows", "_outlines", "_cp_output")  # what Cellpose writes beside its masks

Folders = dict[Path, list[Path]]


def find_pairs(tree: Tree) -> list[LabelledImage]:
    """Images and label images in two folders, or in one with names such as ``X_masks.tif``."""
    files = [f for f in tree.files if f.suffix.lower() in {*IMAGE_SUFFIXES, *LABEL_SUFFIXES}]
    folders = {folder: list(inside) for folder, inside in groupby(files, key=lambda f: f.parent)}
    found: list[LabelledImage] = []
    twins = _twin_folders(folders)
    for images, labels in twins:
        found += _match(tree, folders[images], _by_stem(folders[labels]), True)
    for folder, inside in folders.items():
        if folder not in {f for pair in twins for f in pair}:
            found += _beside_each_other(tree, inside)
    return found


def load_pair(image: Path | None, labels: Path) -> Loaded:
    """Read one image, if any, its label image, and ``classes/NAME.csv`` beside ``labels``."""
    table = labels.parent.parent / CLASSES_FOLDER / f"{labels.stem}.csv"
    classes = read_classes(table) if table.is_file() else {}
    pixels = None if image is None else read_image(image)
    return Loaded(pixels, read_labels(labels), read_um_per_px(image or labels)).with_classes(
        classes
    )


def _twin_folders(folders: Folders) -> list[tuple[Path, Path]]:
    twins = []
    for folder in folders:
        if folder.name.lower() in IMAGE_FOLDERS:
            beside = {f.name.lower(): f for f in folders if f.parent == folder.parent}
            labels = next((beside[name] for name in LABEL_FOLDERS if name in beside), None)
            if labels and any(_is_label(f) for f in folders[labels]):
                twins.append((folder, labels))
    return twins


def _beside_each_other(tree: Tree, files: list[Path]) -> list[LabelledImage]:
    masks = {f.stem: f for f in files if _is_label(f) and f.stem != bare(f.stem)}
    if not masks:
        return []
    images = [f for f in files if f.stem not in masks and not f.stem.endswith(_BYPRODUCTS)]
    return _match(tree, images, {bare(stem): path for stem, path in masks.items()}, False)


def _match(
    tree: Tree, images: list[Path], labels: dict[str, Path], folders: bool
) -> list[LabelledImage]:
    """Every image with its labels, those of both kinds too that have no partner."""
    found, missed = [], dict(labels)
    for image in (f for f in images if f.suffix.lower() in IMAGE_SUFFIXES):
        stem = image.stem if folders else image.stem.removesuffix("_img")
        partner = labels.get(stem)
        missed.pop(stem, None)
        source = tree.source_of(image)
        if partner:
            load = partial(load_pair, image, partner)
            found.append(LabelledImage(stem, source, load, path=image))
        else:
            found.append(unreadable(stem, source, f"{image.name} has no label image."))
    for stem, path in missed.items():
        complaint = f"{path.name} has no image of the same stem."
        found.append(unreadable(stem, tree.source_of(path), complaint))
    return found


def _by_stem(files: list[Path]) -> dict[str, Path]:
    return {bare(f.stem): f for f in files if _is_label(f)}


def _is_label(path: Path) -> bool:
    return path.suffix.lower() in LABEL_SUFFIXES


def bare(stem: str) -> str:
    """A stem without the ending that marks a label image."""
    return next((stem.removesuffix(end) for end in MASK_ENDINGS if stem.endswith(end)), stem)
