"""HoVer-Net and CoNSeP: ``.mat`` files with ``inst_map``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from numpy.typing import NDArray

from napari_nudiff.dataset.readers.files import Tree, read_array, read_um_per_px
from napari_nudiff.dataset.readers.labelled import LabelledImage, Loaded, of_same_stem
from napari_nudiff.errors import DatasetError

VARIABLE = "inst_map"
_TYPES = "type_map"


def find_hovernet(tree: Tree) -> list[LabelledImage]:
    """Every ``.mat`` with the image of its stem, such as ``Labels/X.mat`` and ``Images/X.png``."""
    return [of_same_stem(tree, path, _load) for path in tree.annotations(".mat")]


def _load(image: Path, path: Path) -> Loaded:
    labels, types = read_instances(path), _types(path)
    loaded = Loaded(read_array(image), labels, read_um_per_px(image))
    return loaded if types is None or types.shape != labels.shape else with_types(loaded, types)


def with_types(loaded: Loaded, types: NDArray[Any]) -> Loaded:
    """What was read, with the number of the class of each pixel."""
    numbers = np.unique(types[types > 0]).tolist()
    names = {int(number): f"type {int(number)}" for number in numbers}
    return loaded._replace(types=types, type_names=names)


def _types(path: Path) -> NDArray[Any] | None:
    """``type_map`` of a file that could be read before; None where it has none."""
    types: NDArray[Any] | None = scipy.io.loadmat(path, variable_names=[_TYPES]).get(_TYPES)
    return types


def read_classes(path: Path, labels: NDArray[Any]) -> dict[int, str]:
    """Classes by the ids of nuclei, of a file whose ``inst_map`` was read."""
    types = _types(path)
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
