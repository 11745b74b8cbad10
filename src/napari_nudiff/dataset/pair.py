"""The data model: a layout of nuclei, a pair of an image and its layout, a pair not read yet.

Everything from `dataset` up speaks of these. The fingerprints by which images and layouts are known
again are here and nowhere else: of pixels, of labels with their ids, and of nuclei whatever their
ids are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_nudiff.nuclei.layout import relabel_contiguous, split_disconnected

Read = TypeVar("Read")
Window = tuple[slice, slice]
"""Rows and columns."""

_SMALLEST_PX = 30  # specks look alike everywhere


@dataclass(frozen=True, eq=False)
class Layout:
    """Nuclei on a canvas.

    Attributes
    ----------
    labels : ndarray, (H, W), integer
        Ids of nuclei, 0 = background.
    classes : mapping of int to str
        Of nuclei by their ids; those without a class are missing.
    um_per_px : float or None
        Side of a pixel; None where it is unknown.
    """

    labels: NDArray[np.integer]
    classes: Mapping[int, str] = field(default_factory=dict)
    um_per_px: float | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes that there are, in the order of the alphabet."""
        return tuple(sorted(set(self.classes.values())))

    def window(self, window: Window) -> Self:
        """A part of the canvas; nuclei keep their ids."""
        return replace(self, labels=self.labels[window])

    def turned(self, turns: int, mirrored: bool) -> Self:
        """The layout in one of the eight orientations; see `turned`."""
        return replace(self, labels=turned(self.labels, turns, mirrored))

    def relabelled(self) -> Self:
        """The layout with nuclei 1..N, in the order of their ids."""
        ids = np.unique(self.labels)
        known = enumerate(ids[ids > 0].tolist(), start=1)
        classes = {new: self.classes[old] for new, old in known if old in self.classes}
        return replace(self, labels=relabel_contiguous(self.labels), classes=classes)

    def sha256(self) -> str:
        """Fingerprint of the labels with their ids; the integer type does not matter."""
        return LabelsSha256(self.labels.shape).add(self.labels).hexdigest()

    def foreground_sha256(self) -> str:
        """Fingerprint of which pixels are nuclei, whatever their ids are.

        Label images and binary masks of the same nuclei have the same.
        """
        packed = np.packbits(self.labels != 0).tobytes()
        return hashlib.sha256(f"foreground {self.labels.shape}".encode() + packed).hexdigest()

    def nuclei_sha256(self) -> str:
        """Fingerprint of which pixels form a nucleus, whatever the ids of the nuclei are."""
        _, first, dense = np.unique(self.labels, return_index=True, return_inverse=True)
        is_background = self.labels.ravel()[first] == 0
        rank = np.zeros(len(first), np.int64)
        order = np.argsort(np.where(is_background, -1, first), kind="stable")
        rank[order] = np.arange(len(first)) + (0 if is_background.any() else 1)
        return pixels_sha256(rank[dense.reshape(self.labels.shape)])

    def keys(self) -> set[str]:
        """Every fingerprint by which a pair may know the layout that it was made from.

        Empty where there are no nuclei: empty layouts of different patients are equal.
        """
        is_nucleus = self.labels != 0
        if not is_nucleus.any():
            return set()
        # Pairs of version 0.1 know a given layout by the ids that its file gets when it is
        # repaired. In the file of a binary mask all nuclei have one id.
        keys = {
            self.sha256(),
            _repaired_sha256(self.labels),
            _repaired_sha256(is_nucleus.view(np.int8)),
        }
        if not is_nucleus.all():  # layouts without background are alike, whatever nuclei they have
            keys.add(self.foreground_sha256())
        return keys

    def nuclei_fingerprints(self) -> NDArray[np.uint64]:
        """A number for the place and the pixels of each nucleus that is no speck."""
        boxes = ndimage.find_objects(np.asarray(self.labels, np.int32))
        found = (
            _fingerprint(self.labels, nucleus, box)
            for nucleus, box in enumerate(boxes, start=1)
            if box
        )
        return np.array([value for value in found if value is not None], np.uint64)


@dataclass(frozen=True, eq=False)
class Pair:
    """An image and the layout of its nuclei.

    Attributes
    ----------
    layout : Layout
    image : ndarray, (H, W, 3), uint8, or None
        None where there is only a layout.
    name : str
    group : str
        What no split may tear apart, such as a patient or a slide; empty where it is unknown.
    provenance : dict
        Where it came from; of what a model made, everything that is needed to make it again. JSON
        values.
    source : str
        Folder or file that it was read from.
    roots : frozenset of str
        `Layout.keys` of what it was read, resampled and cut from, as far as it is known.
    unscaled : Pair or None
        The same before it was resampled, if it was.
    spatial : dict
        Where it lies in the world, JSON values: scale, translate, rotate, shear, affine, units,
        axis_labels.
    notes : dict
        JSON values of the program that keeps it, such as whether it is starred.
    """

    layout: Layout
    image: NDArray[np.uint8] | None = None
    name: str = ""
    group: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)
    source: str = ""
    roots: frozenset[str] = frozenset()
    unscaled: Pair | None = None
    spatial: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def labels(self) -> NDArray[np.integer]:
        """Ids of nuclei, (H, W), 0 = background."""
        return self.layout.labels

    @property
    def classes(self) -> Mapping[int, str]:
        """Classes of nuclei by their ids."""
        return self.layout.classes

    @property
    def um_per_px(self) -> float | None:
        """Side of a pixel, as the layout or the provenance says; None where neither does."""
        if self.layout.um_per_px is not None:
            return self.layout.um_per_px
        said = self.provenance.get("um_per_px")
        return float(said) if isinstance(said, int | float) else None

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The image, where there must be one."""
        assert self.image is not None, "this is a layout without an image"
        return self.image

    def window(self, window: Window) -> Self:
        """A part of both; nuclei keep their ids."""
        image = None if self.image is None else self.image[window]
        return replace(self, layout=self.layout.window(window), image=image, unscaled=None)

    def turned(self, turns: int, mirrored: bool) -> Self:
        """Both in one of the eight orientations; see `turned`."""
        image = None if self.image is None else turned(self.image, turns, mirrored)
        layout = self.layout.turned(turns, mirrored)
        return replace(self, layout=layout, image=image, unscaled=None)

    def relabelled(self) -> Self:
        """The pair with nuclei 1..N, in the order of their ids."""
        return replace(self, layout=self.layout.relabelled())

    def pixels_sha256(self) -> str:
        """Fingerprint of the image; of a layout alone, of its labels."""
        return pixels_sha256(self.labels if self.image is None else self.image)

    def source_sha256(self) -> str:
        """The same before it was resampled."""
        return (self.unscaled or self).pixels_sha256()

    def nuclei_fingerprints(self) -> NDArray[np.uint64]:
        """`Layout.nuclei_fingerprints` before and after it was resampled.

        Layouts that were edited by hand are of the scale that they were edited at.
        """
        scales = [self] if self.unscaled is None else [self, self.unscaled]
        return np.concatenate([pair.layout.nuclei_fingerprints() for pair in scales])


@dataclass(frozen=True)
class PairRef(Generic[Read]):
    """A pair that is not read yet.

    Attributes
    ----------
    name : str
        Need not be unique.
    source : str
        Where it lies, as a user knows it.
    load : callable
        Reads it; raises DatasetError where it cannot.
    group : str
        What no split may tear apart, such as a patient or a slide; empty where it is unknown.
    held_out : bool
        Whether it was kept from training before.
    path : Path or None
        File of the image, where it has one of its own.
    synthetic : bool
        Whether a model made the image.
    about : callable
        Reads its provenance without the pixels.
    starred, applied : bool
        In the session that it was made in.
    """

    name: str
    source: str
    load: Callable[[], Read]
    group: str = ""
    held_out: bool = False
    path: Path | None = None
    synthetic: bool = False
    about: Callable[[], dict[str, Any]] = dict
    starred: bool = False
    applied: bool = False


def turned(plane: NDArray[Any], turns: int, mirrored: bool) -> NDArray[Any]:
    """An image or labels (H, W, ...) in one of the eight orientations.

    Parameters
    ----------
    plane : ndarray, (H, W, ...)
    turns : int
        Quarter turns counter-clockwise, as in `numpy.rot90`.
    mirrored : bool
        Mirrored left to right after that.
    """
    plane = np.rot90(plane, turns)
    return np.ascontiguousarray(plane[:, ::-1] if mirrored else plane)


def pixels_sha256(pixels: NDArray[np.generic]) -> str:
    """Fingerprint of an array of pixels, however it is stored."""
    data = str(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()
    return hashlib.sha256(data).hexdigest()


class LabelsSha256:
    """`Layout.sha256` of labels that come in bands of rows, from the top.

    Parameters
    ----------
    shape : tuple of int
        Of the whole layout.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._digest = hashlib.sha256(str(shape).encode())

    def add(self, band: NDArray[np.integer]) -> LabelsSha256:
        """Take in the next rows."""
        self._digest.update(np.ascontiguousarray(band, dtype=np.int64).data)
        return self

    def hexdigest(self) -> str:
        """The fingerprint of the rows so far."""
        return self._digest.hexdigest()


def _repaired_sha256(labels: NDArray[np.integer]) -> str:
    parts = split_disconnected(relabel_contiguous(labels))
    return Layout(relabel_contiguous(parts)).sha256()


def _fingerprint(labels: NDArray[np.integer], nucleus: int, box: tuple[slice, slice]) -> int | None:
    mask = labels[box] == nucleus
    if np.count_nonzero(mask) < _SMALLEST_PX:
        return None
    place = f"{labels.shape} {box[0].start} {box[1].start} {mask.shape}".encode()
    digest = hashlib.blake2b(place + np.packbits(mask).tobytes(), digest_size=8)
    return int.from_bytes(digest.digest(), "little")
