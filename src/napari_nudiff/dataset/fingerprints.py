"""Fingerprints of nuclei: by them a layout is known again, however it was stored or read.

`sample.layout_sha256` is of an array as it is. These are of what a layout shows: which pixels are
nuclei, and which of them form one.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_nudiff.dataset.sample import layout_sha256
from napari_nudiff.nuclei.layout import relabel_contiguous, split_disconnected

_SMALLEST_PX = 30  # specks look alike everywhere


def foreground_sha256(labels: NDArray[np.integer]) -> str:
    """Fingerprint of which pixels are nuclei, whatever their ids are.

    Label images and binary masks of the same nuclei have the same.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
        0 = background.
    """
    data = f"foreground {labels.shape}".encode() + np.packbits(labels != 0).tobytes()
    return hashlib.sha256(data).hexdigest()


def layout_keys(labels: NDArray[np.integer]) -> set[str]:
    """Every fingerprint by which a pair may know the layout that it was made from.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
        0 = background.

    Returns
    -------
    set of str
        Empty where there are no nuclei: empty layouts of different patients are equal.
    """
    is_nucleus = labels != 0
    if not is_nucleus.any():
        return set()
    # Pairs of version 0.1 tell of a given layout by the ids that its file gets when it is mended.
    # In the file of a binary mask all nuclei have one id.
    keys = {layout_sha256(labels), _mended_sha256(labels), _mended_sha256(is_nucleus.view(np.int8))}
    if not is_nucleus.all():  # layouts without background are alike, whatever nuclei they have
        keys.add(foreground_sha256(labels))
    return keys


def _mended_sha256(labels: NDArray[np.integer]) -> str:
    parts = split_disconnected(relabel_contiguous(labels))
    return layout_sha256(relabel_contiguous(parts))


def nuclei_sha256(labels: NDArray[np.integer]) -> str:
    """Fingerprint of which pixels form a nucleus, whatever the numbers of the nuclei are."""
    _, first, dense = np.unique(labels, return_index=True, return_inverse=True)
    is_background = labels.ravel()[first] == 0
    rank = np.zeros(len(first), np.int64)
    order = np.argsort(np.where(is_background, -1, first), kind="stable")
    rank[order] = np.arange(len(first)) + (0 if is_background.any() else 1)
    canonical = rank[dense.reshape(labels.shape)]
    return hashlib.sha256(str(canonical.shape).encode() + canonical.tobytes()).hexdigest()


def nuclei_fingerprints(labels: NDArray[np.integer]) -> NDArray[np.uint64]:
    """A number for the place and the pixels of each nucleus that is no speck.

    Parameters
    ----------
    labels : ndarray, (H, W)
        Nuclei 1..N.
    """
    boxes = ndimage.find_objects(np.asarray(labels, np.int32))
    found = (
        _fingerprint(labels, nucleus, box) for nucleus, box in enumerate(boxes, start=1) if box
    )
    return np.array([value for value in found if value is not None], np.uint64)


def _fingerprint(labels: NDArray[np.integer], nucleus: int, box: tuple[slice, slice]) -> int | None:
    mask = labels[box] == nucleus
    if np.count_nonzero(mask) < _SMALLEST_PX:
        return None
    place = f"{labels.shape} {box[0].start} {box[1].start} {mask.shape}".encode()
    digest = hashlib.blake2b(place + np.packbits(mask).tobytes(), digest_size=8)
    return int.from_bytes(digest.digest(), "little")
