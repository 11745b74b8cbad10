"""HoVer-Net and CoNSeP: ``.mat`` files with ``inst_map``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from numpy.typing import NDArray

from napari_nudiff.dataset.pixels import read_image
from napari_nudiff.dataset.readers.files import Tree, read_um_per_px
from napari_nudiff.dataset.readers.labelled import LabelledImage, Loaded, of_same_stem
from napari_nudiff.errors import DatasetError

VARIABLE = "inst_map"
_TYPES = "type_map"
# Of tables of nuclei: Lizard's, and HoVer-Net's for the ids in order.
_CLASSES, _IDS = ("class", "inst_type"), ("id",)


def find_hovernet(tree: Tree) -> list[LabelledImage]:
    """Every ``.mat`` with the image of its stem, such as ``Labels/X.mat`` and ``Images/X.png``."""
    return [of_same_stem(tree, path, _load) for path in tree.annotations(".mat")]


def _load(image: Path, path: Path) -> Loaded:
    labels = read_instances(path)
    types = _types(path, labels)
    loaded = Loaded(read_image(image), labels, read_um_per_px(image))
    return loaded if types is None or types.shape != labels.shape else with_types(loaded, types)


def with_types(loaded: Loaded, types: NDArray[Any]) -> Loaded:
    """What was read, with the number of the class of each pixel."""
    numbers = np.unique(types[types > 0]).tolist()
    names = {int(number): f"type {int(number)}" for number in numbers}
    return loaded._replace(types=types, type_names=names)


def _types(path: Path, labels: NDArray[Any]) -> NDArray[Any] | None:
    """The class at each pixel: of a map, or of a table of nuclei; None where there is neither.

    Raises
    ------
    DatasetError
        They cannot be read.
    """
    try:
        variables = scipy.io.loadmat(path, variable_names=[_TYPES, *_CLASSES, *_IDS])
    except Exception as error:  # the reader raises many types for damaged files
        raise DatasetError(f"Cannot read the classes in {path.name}: {error}") from error
    types: NDArray[Any] | None = variables.get(_TYPES)
    classes = next((np.ravel(variables[name]) for name in _CLASSES if name in variables), None)
    if types is not None or classes is None:
        return types
    ids = next((np.ravel(variables[name]) for name in _IDS if name in variables), None)
    ids = np.unique(labels[labels > 0]) if ids is None else ids
    if len(ids) != len(classes):
        raise DatasetError(f"{path.name} has {len(classes)} classes for {len(ids)} nuclei.")
    present, places = np.unique(labels, return_inverse=True)
    of_id = dict(zip(ids.tolist(), classes.tolist(), strict=True))
    return np.array([of_id.get(i, 0) for i in present.tolist()])[places.reshape(labels.shape)]


def read_classes(path: Path, labels: NDArray[Any]) -> dict[int, str]:
    """Classes by the ids of nuclei, of a file whose ``inst_map`` was read."""
    types = _types(path, labels)
    if types is None or types.shape != labels.shape:
        return {}
    ids, first = np.unique(labels, return_index=True)
    numbers = zip(ids.tolist(), types.ravel()[first].tolist(), strict=True)
    return {i: f"type {int(n)}" for i, n in numbers if i > 0 and n > 0}


def read_instances(path: Path) -> NDArray[Any]:
    """``inst_map`` of a file, whatever its numbers are.

    Raises
    ------
    DatasetError
        The file cannot be read, or has none.
    """
    try:
        variables = scipy.io.loadmat(path, variable_names=[VARIABLE])
        others = [] if VARIABLE in variables else [name for name, *_ in scipy.io.whosmat(path)]
    except NotImplementedError as error:
        raise DatasetError(
            f"{path.name} is a MATLAB 7.3 file, which is not read. Save it with -v7."
        ) from error
    except Exception as error:  # the reader raises many types for damaged files
        raise DatasetError(f"Cannot read {path.name}: {error}") from error
    if VARIABLE not in variables:
        raise DatasetError(
            f"{path.name} holds {', '.join(others) or 'nothing'}; a HoVer-Net file has {VARIABLE}."
        )
    return np.asarray(variables[VARIABLE])
