"""A layout that is too large for memory: looked through once by bands, then read by windows."""

from __future__ import annotations

import base64
import zlib
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_nudiff.dataset.pair import LabelsSha256
from napari_nudiff.dataset.pyramid import LABELS, LayoutArray
from napari_nudiff.errors import LayoutError
from napari_nudiff.nuclei.structure import encode_structure
from napari_nudiff.synthesis.pipeline import checked_ids
from napari_nudiff.synthesis.tiling import Window

EMBEDDED_PX = 4096 * 4096
"""Layouts up to this area are stored in the provenance, larger ones beside it only."""
MAX_NUCLEUS_PX = 1024
"""Sides of the largest nucleus whose structure is drawn whole without reading a whole layout."""


class NucleusBoxes(NamedTuple):
    """Where nuclei lie.

    Attributes
    ----------
    ids : ndarray, (N,), ascending
    first, last : ndarray, (N, 2)
        Row and column of the first and of the last pixel.
    """

    ids: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]

    def around(self, ids: NDArray[np.integer]) -> tuple[slice, slice]:
        """The smallest part of the canvas in which these nuclei, at least one, are whole."""
        at = np.searchsorted(self.ids, ids)
        (top, left), (bottom, right) = self.first[at].min(axis=0), self.last[at].max(axis=0)
        return slice(int(top), int(bottom) + 1), slice(int(left), int(right) + 1)


class LayoutScan:
    """What must be known of a whole layout, from one look at it, band by band.

    Parameters
    ----------
    shape : (int, int)
        Of the whole layout.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self._next_row = 0
        self._sha256 = LabelsSha256(shape)
        self._packer = zlib.compressobj(6) if shape[0] * shape[1] <= EMBEDDED_PX else None
        self._packed: list[bytes] = []
        self._boxes: list[NucleusBoxes] = []

    def add(self, rows: NDArray[np.integer]) -> NDArray[np.int32]:
        """Look at the next rows, (h, W); returns them as int32.

        Raises
        ------
        LayoutError
            These are no labels.
        """
        labels = checked_ids(rows)
        self._sha256.add(labels)
        if self._packer is not None:
            self._packed.append(self._packer.compress(labels.astype("<i4").data))
        self._boxes.append(_boxes_in(labels, self._next_row))
        self._next_row += len(labels)
        return labels

    def boxes(self) -> NucleusBoxes:
        """Where the nuclei lie.

        Raises
        ------
        LayoutError
            One is so long that no window shows it whole.
        """
        boxes = _merged(self._boxes)
        _require_small(boxes)
        return boxes

    def sha256(self) -> str:
        """As `Layout.sha256` of the whole layout."""
        return self._sha256.hexdigest()

    def stored(self) -> dict[str, Any]:
        """The layout as JSON values: packed as `pack_layout` does, or where it is stored."""
        values = {"shape": list(self.shape), "sha256": self.sha256()}
        if self._packer is None:
            return {**values, "encoding": "ome-zarr", "path": LABELS}
        data = base64.b64encode(b"".join([*self._packed, self._packer.flush()])).decode("ascii")
        return {**values, "encoding": "int32-le zlib base64", "data": data}


class WindowedLayout:
    """A layout of which windows are read.

    Parameters
    ----------
    labels : array-like, (H, W)
    boxes : NucleusBoxes
        Of all of its nuclei.
    """

    def __init__(self, labels: LayoutArray, boxes: NucleusBoxes) -> None:
        self.labels = labels
        self.boxes = boxes

    def structure(self, window: Window) -> Tensor:
        """Structure of a window (1, 3, h, w), as in that of the whole layout.

        Where the window reaches beyond the layout its edges are continued.
        """
        height, width = self.labels.shape
        rows = slice(window.top, min(window.top + window.height, height))
        cols = slice(window.left, min(window.left + window.width, width))
        down = window.height - (rows.stop - rows.start)
        right = window.width - (cols.stop - cols.start)
        structure = torch.from_numpy(self._structure(rows, cols))[None]
        return F.pad(structure, (0, right, 0, down), mode="replicate")

    def _structure(self, rows: slice, cols: slice) -> NDArray[np.float32]:
        inside = np.asarray(self.labels[rows, cols])
        ids = np.unique(inside)
        ids = ids[ids > 0]
        if not len(ids):
            return np.zeros((3, *inside.shape), dtype=np.float32)
        # Nuclei that the window cuts are encoded whole; what others the box cuts does not matter.
        tall, wide = self.boxes.around(ids)
        outer = _union(rows, tall), _union(cols, wide)
        structure = encode_structure(np.asarray(self.labels[outer]))
        return structure[:, _within(rows, outer[0]), _within(cols, outer[1])]


def _boxes_in(labels: NDArray[np.int32], top: int) -> NucleusBoxes:
    """Boxes of the parts of nuclei in some rows, the first of which is ``top``."""
    width = labels.shape[1]
    starts = np.ones(labels.shape, dtype=np.bool_)
    np.not_equal(labels[:, 1:], labels[:, :-1], out=starts[:, 1:])
    start = np.flatnonzero(starts)  # of runs of one id along a row
    end = np.append(start[1:], labels.size) - 1
    ids = labels.ravel()[start].astype(np.int64)
    row = start // width + top
    first, last = (np.stack([row, edge % width], axis=1) for edge in (start, end))
    return _merged([NucleusBoxes(ids[ids > 0], first[ids > 0], last[ids > 0])])


def _merged(parts: list[NucleusBoxes]) -> NucleusBoxes:
    """One box for each id."""
    ids, nucleus = np.unique(np.concatenate([part.ids for part in parts]), return_inverse=True)
    first = np.full((len(ids), 2), np.iinfo(np.int64).max)
    last = np.full((len(ids), 2), -1)
    np.minimum.at(first, nucleus, np.concatenate([part.first for part in parts]))
    np.maximum.at(last, nucleus, np.concatenate([part.last for part in parts]))
    return NucleusBoxes(ids, first, last)


def _require_small(boxes: NucleusBoxes) -> None:
    sides = (boxes.last - boxes.first + 1).max(axis=1, initial=0)
    if sides.max(initial=0) <= MAX_NUCLEUS_PX:
        return
    raise LayoutError(
        f"Nucleus {boxes.ids[sides.argmax()]} is {sides.max()} px long; expected at most "
        f"{MAX_NUCLEUS_PX} px on a large canvas. Perhaps several nuclei that lie apart have this "
        "id: give each an id of its own (skimage.measure.label does). Nothing was rendered."
    )


def _union(a: slice, b: slice) -> slice:
    return slice(min(a.start, b.start), max(a.stop, b.stop))


def _within(inner: slice, outer: slice) -> slice:
    return slice(inner.start - outer.start, inner.stop - outer.start)
