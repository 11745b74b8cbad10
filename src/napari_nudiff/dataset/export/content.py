"""A pair as it goes into a training set: nuclei chosen, numbered, and given classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.dataset.export.options import ExportOptions
from napari_nudiff.dataset.pair import Pair
from napari_nudiff.errors import RequestError

_MOST = np.iinfo(np.uint16).max


def content_of(pair: Pair, options: ExportOptions) -> tuple[Pair, int]:
    """Apply what the options say about nuclei.

    Returns
    -------
    pair : Pair
        With nuclei 1..N in 16 bits, each of which has a class.
    dropped : int
        Nuclei that were left out.

    Raises
    ------
    RequestError
        There are more nuclei than 16 bits can number.
    """
    labels = pair.labels
    ids, dense = np.unique(labels, return_inverse=True)
    dense = dense.reshape(labels.shape)
    names = [_class_name(pair.classes.get(int(i), ""), options) for i in ids]
    kept = (ids > 0) & np.array([name != "" for name in names])
    kept &= np.bincount(dense.ravel(), minlength=len(ids)) >= options.min_area_px
    if options.border == "drop":
        kept[_at_border(dense)] = False
    count = int(np.count_nonzero(kept))
    if count > _MOST:
        raise RequestError(
            f"{pair.name} has {count:,} nuclei; label images of training sets hold {_MOST:,} (16 "
            "bits). Cut it into pieces, such as with nudiff data prepare --patch."
        )
    numbers = np.zeros(len(ids), np.uint16)
    numbers[kept] = np.arange(1, count + 1)
    classes = dict(enumerate((names[i] for i in np.flatnonzero(kept)), start=1))
    dropped = int(np.count_nonzero(ids > 0)) - count
    layout = replace(pair.layout, labels=numbers[dense], classes=classes)
    return replace(pair, layout=layout, image=np.ascontiguousarray(pair.pixels)), dropped


def _class_name(told: str, options: ExportOptions) -> str:
    name = told or options.default_class
    return options.classes.get(name, name)


def _at_border(dense: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.unique(np.concatenate([dense[0], dense[-1], dense[:, 0], dense[:, -1]]))
