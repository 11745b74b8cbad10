"""Images with label images of the same stem."""

from __future__ import annotations

import re
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
    stem_of,
)
from napari_nudiff.dataset.readers.labelled import LabelledImage, Loaded, unreadable

LABEL_SUFFIXES = (".tif", ".tiff", ".png", ".npy", ".bmp")  # no JPEG: it changes ids
# In the order in which they are preferred: ids before binary masks.
LABEL_FOLDERS = (
    "instance_labels",
    "label masks modify",  # NuInsSeg, CryoNuSeg
    "label masks",
    "labels",
    "masks",
    "instances",
    "label",
    "mask",
    "ann_dir",
    "mask binary",
)
MASK_ENDINGS = (
    "_cp_masks",
    "_masks",
    "_mask",
    "_labels",
    "_label",
    "_instances",
    "-labelled",  # QuPath's tiles
    "-labeled",
)
_PUBLISHED_TNBC = re.compile(r"(?i)slide(_[0-9]+)")  # beside GT_NN; a patient each
_BYPRODUCTS = ("_flows", "_outlines", "_cp_output")  # what Cellpose writes beside its masks

Folders = dict[Path, list[Path]]


def find_pairs(tree: Tree) -> list[LabelledImage]:
    """Images and label images in two folders, or in one with names such as ``X_masks.tif``."""
    files = [f for f in tree.files if f.suffix.lower() in {*IMAGE_SUFFIXES, *LABEL_SUFFIXES}]
    folders = {folder: list(inside) for folder, inside in groupby(files, key=lambda f: f.parent)}
    found: list[LabelledImage] = []
    twins = _twin_folders(folders)
    for images, labels in twins:
        group = images.name if _PUBLISHED_TNBC.fullmatch(images.name) else ""
        found += _match(tree, folders[images], _by_stem(folders[labels]), True, group)
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
    known = {tuple(part.lower() for part in folder.parts): folder for folder in folders}
    twins = []
    for parts, folder in known.items():
        if not any(file.suffix.lower() in IMAGE_SUFFIXES for file in folders[folder]):
            continue
        # images/train has its labels in labels/train: any one part may be that of the images.
        names = (
            (*parts[:i], name, *parts[i + 1 :])
            for i in reversed(range(len(parts)))
            for name in _label_names(parts[i])
        )
        labels = next((known[name] for name in names if name in known), None)
        if labels is not None:
            twins.append((folder, labels))
    return twins


def _label_names(images: str) -> tuple[str, ...]:
    """What the folder of the labels may be called beside that of the images."""
    if images in IMAGE_FOLDERS:
        return LABEL_FOLDERS
    published = _PUBLISHED_TNBC.fullmatch(images)
    return (f"gt{published[1]}",) if published else ()


def _beside_each_other(tree: Tree, files: list[Path]) -> list[LabelledImage]:
    masks = {stem_of(f): f for f in files if _is_label(f) and stem_of(f) != bare(stem_of(f))}
    if not masks:
        return []
    images = [f for f in files if stem_of(f) not in masks and not stem_of(f).endswith(_BYPRODUCTS)]
    return _match(tree, images, {bare(stem): path for stem, path in masks.items()}, False)


def _match(
    tree: Tree, images: list[Path], labels: dict[str, Path], folders: bool, group: str = ""
) -> list[LabelledImage]:
    """Every image with its labels, those of both kinds too that have no partner."""
    found, missed = [], dict(labels)
    for image in (f for f in images if f.suffix.lower() in IMAGE_SUFFIXES):
        stem = stem_of(image) if folders else stem_of(image).removesuffix("_img")
        partner = labels.get(stem)
        missed.pop(stem, None)
        source = tree.source_of(image)
        if partner and not _is_label(partner):
            complaint = (
                f"{partner.name} is a JPEG, whose compression changes ids. Save the labels as PNG "
                "or TIFF from where they come from."
            )
            found.append(unreadable(stem, source, complaint))
        elif partner:
            load = partial(load_pair, image, partner)
            found.append(LabelledImage(stem, source, load, group, path=image))
        else:
            found.append(unreadable(stem, source, f"{image.name} has no label image."))
    for stem, path in missed.items():
        complaint = f"{path.name} has no image of the same stem."
        found.append(unreadable(stem, tree.source_of(path), complaint))
    return found


def _by_stem(files: list[Path]) -> dict[str, Path]:
    """Label images; a JPEG stands in where there is none, to be refused by name."""
    return {bare(stem_of(f)): f for f in sorted(files, key=_is_label)}


def _is_label(path: Path) -> bool:
    return path.suffix.lower() in LABEL_SUFFIXES


def bare(stem: str) -> str:
    """A stem without the ending that marks a label image."""
    return next((stem.removesuffix(end) for end in MASK_ENDINGS if stem.endswith(end)), stem)
