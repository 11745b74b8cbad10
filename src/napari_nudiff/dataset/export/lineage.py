"""Which pairs come from the same layout or patient, so that no split tears them apart.

A model that has seen a layout of nuclei once knows where they are in every other render of it. What
belongs together is told by provenance, by the groups of real images, and by the nuclei themselves:
a layout that was edited by hand keeps most of its nuclei where they were.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

_LEAST_SHARED = 0.25  # of the nuclei of the smaller layout


def roots_of(provenance: Mapping[str, Any]) -> set[str]:
    """Fingerprints of the layouts that a sample came from.

    Parameters
    ----------
    provenance : mapping
        As of a `Pair`; a part of it may be missing.
    """
    stored: list[object] = []
    for here, lineage in _ancestry(provenance):
        listed = lineage.get("roots")
        stored += [here.get("layout_sha256"), lineage.get("root")]
        stored += listed if isinstance(listed, list) else []
    return {value for value in stored if isinstance(value, str)}


def given_layout(provenance: Mapping[str, Any]) -> str | None:
    """Name of the file that a sample's layout was given as; None where it was not given."""
    for _, lineage in _ancestry(provenance):
        if lineage.get("layouts") == "given":
            origin = lineage.get("origin")
            return str(origin.get("file", "")) if isinstance(origin, Mapping) else ""
    return None


def _ancestry(
    provenance: Mapping[str, Any],
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """The provenance of a sample, of its parent and so on, each with its lineage."""
    here: Any = provenance
    while isinstance(here, Mapping):
        lineage = here.get("lineage")
        yield here, lineage if isinstance(lineage, Mapping) else {}
        here = here.get("parent")


def families(
    keys: Sequence[Iterable[str]], nuclei: Sequence[NDArray[np.uint64]]
) -> NDArray[np.intp]:
    """Number of the family of each pair.

    Parameters
    ----------
    keys : sequence of iterables of str
        Pairs that share one are of one family.
    nuclei : sequence of ndarray, uint64
        `Layout.nuclei_fingerprints` of each pair; those that share many are of one family too.

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
