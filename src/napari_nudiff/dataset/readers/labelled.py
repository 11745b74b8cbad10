"""A labelled image where a lab keeps it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.dataset.pair import PairRef
from napari_nudiff.dataset.readers.files import Tree, stem_of
from napari_nudiff.errors import DatasetError


class Loaded(NamedTuple):
    """What the files of one labelled image hold, before any check.

    Attributes
    ----------
    image : ndarray or None
        As in the file; None of a layout without one.
    labels : ndarray
        As in the file; of outlines, what they cover; of points, empty.
    um_per_px : float or None
        None where the files do not tell.
    notes : tuple of str
        What the reader left out or had to decide.
    types : ndarray, (H, W), integer, or None
        Number of the class at each pixel, 0 = none; None where the files have no classes.
    type_names : mapping of int to str
        What the classes are called.
    points : ndarray, (n, 2), float, or None
        Row and column of each nucleus, where there are no outlines; the centre of the first pixel
        is 0, 0.
    point_classes : tuple of str
        The class of each point, "" where it has none.
    roots : tuple of str
        Fingerprints of the layouts that the labels came from, where the files tell.
    """

    image: NDArray[Any] | None
    labels: NDArray[Any]
    um_per_px: float | None = None
    notes: tuple[str, ...] = ()
    types: NDArray[Any] | None = None
    type_names: Mapping[int, str] = MappingProxyType({})
    points: NDArray[np.float64] | None = None
    point_classes: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()

    def with_classes(self, classes: Mapping[int, str]) -> Loaded:
        """The same with the classes of its labels' ids, where labels are one plane of ids."""
        if self.labels.ndim != 2 or not classes:
            return self
        names = dict(enumerate(sorted(set(classes.values())), 1))
        numbers = {name: number for number, name in names.items()}
        ids, place = np.unique(self.labels, return_inverse=True)
        of_id = np.array([numbers.get(classes.get(i, ""), 0) for i in ids.tolist()])
        types = of_id[place.reshape(self.labels.shape)]
        return self._replace(types=types, type_names=names)


LabelledImage = PairRef[Loaded]
"""An image with its nuclei where a lab keeps it: reading it checks nothing."""


def unreadable(name: str, source: str, complaint: str) -> LabelledImage:
    """A labelled image that says what is wrong when it is read."""

    def load() -> Loaded:
        raise DatasetError(complaint)

    return LabelledImage(name, source, load)


def of_same_stem(
    tree: Tree, path: Path, load: Callable[[Path, Path], Loaded], *, named_by_image: bool = False
) -> LabelledImage:
    """The image that shares the stem of a file of annotations, or what says that there is none.

    Parameters
    ----------
    tree : Tree
    path : Path
        The annotations.
    load : callable
        From image and annotations to what they hold.
    named_by_image : bool
        Annotations of X.tif may be called X.tif.geojson: then it is X that names it.
    """
    try:
        image = tree.image_of(path)
        complaint = f"{path.name} has no image of the same stem."
    except DatasetError as error:
        image, complaint = None, str(error)
    if image is None:
        return unreadable(stem_of(path), tree.source_of(path), complaint)
    name = stem_of(image if named_by_image else path)
    return LabelledImage(name, tree.source_of(image), partial(load, image, path), path=image)
