"""A pair as it goes into a training set: nuclei chosen, numbered, and given classes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.dataset.export.options import ExportOptions
from napari_nudiff.dataset.pair import Pair
from napari_nudiff.errors import RequestError

_MOST = np.iinfo(np.uint16).max


class Content(NamedTuple):
    """What of a pair goes into a set.

    Attributes
    ----------
    image : ndarray, (H, W, 3), uint8
    labels : ndarray, (H, W), uint16
        Nuclei 1..N.
    classes : tuple of str
        Of nucleus 1, 2, ...
    dropped : int
        Nuclei that were left out.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint16]
    classes: tuple[str, ...]
    dropped: int


def content_of(pair: Pair, options: ExportOptions) -> Content:
    """Apply what the options say about nuclei.

    Raises
    ------
    RequestError
        There are more nuclei than 16 bits can number.
    """
    labels, image = pair.labels, pair.image
    assert image is not None, "candidates have images"
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
    classes = tuple(name for name, keep in zip(names, kept, strict=True) if keep)
    dropped = int(np.count_nonzero(ids > 0)) - count
    return Content(np.ascontiguousarray(image), numbers[dense], classes, dropped)


def _class_name(told: str, options: ExportOptions) -> str:
    name = told or options.default_class
    return options.classes.get(name, name)


def _at_border(dense: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.unique(np.concatenate([dense[0], dense[-1], dense[:, 0], dense[:, -1]]))
