"""HoVer-Net and CoNSeP: ``.mat`` files beside images, and patches as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from numpy.typing import NDArray
from scipy import ndimage

from napari_nudiff.dataset.pixels import read_image
from napari_nudiff.dataset.readers.files import Tree
from napari_nudiff.dataset.readers.hovernet import find_hovernet, with_types
from napari_nudiff.dataset.readers.labelled import LabelledImage, Loaded
from napari_nudiff.dataset.writers.marked import write_marked_png
from napari_nudiff.dataset.writers.member import Member, Shard, class_names_in, renamed, splits_in

_HEADER = b"MATLAB 5.0 MAT-file, written by napari-nudiff"
_HEADER_BYTES = 116  # free text at the beginning; SciPy puts the time into it


def labels_to_mat(
    labels: NDArray[np.integer], classes: Mapping[int, int] | None = None
) -> dict[str, NDArray[Any]]:
    """Nuclei as ``scipy.io.savemat`` takes them; ids are numbered from 1, as the readers expect.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
    classes : mapping of int to int, optional
        Class of a nucleus by its id, from 1; without it all are of class 1.

    Returns
    -------
    dict
        ``inst_map`` and ``type_map`` (H, W) int32, ``inst_type`` (N, 1) and ``inst_centroid``
        (N, 2) in x, y.
    """
    ids, dense = np.unique(labels, return_inverse=True)
    dense = dense.reshape(labels.shape)
    if ids[0] == 0:
        ids = ids[1:]
    else:
        dense = dense + 1
    types = np.array([(classes or {}).get(int(i), 1) for i in ids], dtype=np.int32)
    numbers = np.arange(1, len(ids) + 1)
    centres = np.array(ndimage.center_of_mass(dense > 0, dense, numbers)).reshape(-1, 2)
    return {
        "inst_map": dense.astype(np.int32),
        "type_map": np.concatenate([[0], types])[dense].astype(np.int32),
        "inst_type": types[:, None],
        "inst_centroid": centres[:, ::-1].astype(np.float64),
    }


def write_hovernet(folder: Path, shard: Shard) -> None:
    """Write ``SPLIT/Images/NAME.png`` and ``SPLIT/Labels/NAME.mat``."""
    images, labels = (folder / shard.split / name for name in ("Images", "Labels"))
    for target in (images, labels):
        target.mkdir(parents=True, exist_ok=True)
    for member in shard.members:
        write_marked_png(images / f"{member.name}.png", member)
        _save_mat(labels / f"{member.name}.mat", _variables(member))


def read_hovernet(folder: Path) -> Iterator[LabelledImage]:
    """List what `write_hovernet` wrote."""
    names = class_names_in(folder)
    for split, inside in splits_in(folder):
        for found in find_hovernet(Tree.of(inside)):
            yield renamed(found, names, group=split)


def write_hovernet_patches(folder: Path, shard: Shard) -> None:
    """Write ``SPLIT/NAME.npy`` (H, W, 5), int32: red, green, blue, nucleus, class."""
    target = folder / shard.split
    target.mkdir(parents=True, exist_ok=True)
    for member in shard.members:
        variables = _variables(member)
        planes = (variables["inst_map"], variables["type_map"])
        patch = np.dstack([member.image.astype(np.int32), *planes])
        np.save(target / f"{member.name}.npy", patch, allow_pickle=False)


def read_hovernet_patches(folder: Path) -> Iterator[LabelledImage]:
    """List what `write_hovernet_patches` wrote."""
    names = class_names_in(folder)
    for split, inside in splits_in(folder):
        for path in sorted(inside.glob("*.npy")):
            found = LabelledImage(path.stem, str(path), partial(_load_patch, path), split)
            yield renamed(found, names)


def _variables(member: Member) -> dict[str, NDArray[Any]]:
    classes = dict(enumerate(member.classes.tolist(), start=1))
    return labels_to_mat(member.labels, classes)


def _save_mat(path: Path, variables: dict[str, NDArray[Any]]) -> None:
    scipy.io.savemat(path, variables, do_compression=True)
    with path.open("r+b") as file:
        file.write(_HEADER.ljust(_HEADER_BYTES))


def _load_patch(path: Path) -> Loaded:
    patch = read_image(path)
    return with_types(Loaded(patch[..., :3].astype(np.uint8), patch[..., 3]), patch[..., 4])
