"""Which pairs come from the same layout or patient, so that no split tears them apart.

A model that has seen a layout of nuclei once knows where they are in every other render of it. What
belongs together is told by provenance, by the groups of real images, and by the nuclei themselves:
a layout that was edited by hand keeps most of its nuclei where they were.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

_LEAST_SHARED = 0.25  # of the nuclei of the smaller layout
_SMALLEST_PX = 30  # specks look alike everywhere


def roots_of(provenance: Mapping[str, Any], layout_sha256: str) -> set[str]:
    """Fingerprints of the layouts that a sample came from.

    Parameters
    ----------
    provenance : mapping
        As of a `Sample`; a part of it may be missing.
    layout_sha256 : str
        Of its labels.
    """
    roots = {layout_sha256}
    here: Any = provenance
    while isinstance(here, Mapping):
        lineage = here.get("lineage")
        told = (
            here.get("layout_sha256"),
            lineage.get("root") if isinstance(lineage, Mapping) else None,
        )
        roots |= {value for value in told if isinstance(value, str)}
        here = here.get("parent")
    return roots


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


def families(
    keys: Sequence[Iterable[str]], nuclei: Sequence[NDArray[np.uint64]]
) -> NDArray[np.intp]:
    """Number of the family of each pair.

    Parameters
    ----------
    keys : sequence of iterables of str
        Pairs that share one are of one family.
    nuclei : sequence of ndarray, uint64
        `nuclei_fingerprints` of each pair; those that share many are of one family too.

    Returns
    -------
    ndarray, (N,), int
        Families are numbered in the order of their first pairs.
    """
    links = np.concatenate([_links_by_key(keys), _links_by_nuclei(nuclei)])
    shape = (len(keys), len(keys))
    graph = coo_array((np.ones(len(links), bool), (links[:, 0], links[:, 1])), shape=shape)
    _, found = connected_components(graph, directed=False)
    return np.asarray(found, np.intp)


def _links_by_key(keys: Sequence[Iterable[str]]) -> NDArray[np.intp]:
    first: dict[str, int] = {}
    links = [(first.setdefault(key, i), i) for i, own in enumerate(keys) for key in own]
    return np.array(links, np.intp).reshape(-1, 2)


def _links_by_nuclei(nuclei: Sequence[NDArray[np.uint64]]) -> NDArray[np.intp]:
    """Pairs with enough nuclei in common; of many that share one, only neighbours are compared."""
    counts = np.array([len(own) for own in nuclei])
    if not counts.sum():
        return np.zeros((0, 2), np.intp)
    owners, values = np.repeat(np.arange(len(nuclei)), counts), np.concatenate(list(nuclei))
    order = np.lexsort((owners, values))
    owners, values = owners[order], values[order]
    meets = (values[1:] == values[:-1]) & (owners[1:] != owners[:-1])
    pairs = np.column_stack([owners[:-1][meets], owners[1:][meets]])
    pairs, shared = np.unique(pairs, axis=0, return_counts=True)
    smaller = counts[pairs].min(axis=1) if len(pairs) else np.zeros(0)
    return np.asarray(pairs[shared >= np.maximum(np.minimum(2, smaller), _LEAST_SHARED * smaller)])
