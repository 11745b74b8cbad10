"""Which split each family of pairs goes to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.dataset.writers.member import SPLITS, TEST, TRAIN, VAL


def split_families(
    families: Sequence[int],
    told: Sequence[str],
    counts: Sequence[bool],
    *,
    val: float,
    test: float,
    seed: int,
) -> list[str]:
    """The split of each pair; pairs of one family are never parted.

    Parameters
    ----------
    families : sequence of int
    told : sequence of str
        The split that somebody decided for a pair; empty where nobody did. Of a family with
        several, tests come before validation, and that before training; but pairs that do not
        count decide only where no other of their family is.
    counts : sequence of bool
        Whether a pair counts for the shares.
    val, test : float
        Shares of the pairs that count.
    seed : int

    Returns
    -------
    list of str
    """
    own = np.array(families, np.intp)
    sizes = np.bincount(own, weights=np.array(counts, float)).astype(int)
    chosen: dict[int, str] = {}
    for split in SPLITS:  # the last one stays
        for family, wanted, counted in zip(families, told, counts, strict=True):
            if wanted == split and (counted or not sizes[family]):
                chosen[family] = split
    free = [family for family in range(len(sizes)) if family not in chosen]
    shares = {TRAIN: 1 - val - test, VAL: val, TEST: test}
    chosen |= _fill(free, chosen, sizes, shares, seed)
    return [chosen[family] for family in families]


def _fill(
    free: list[int],
    chosen: dict[int, str],
    sizes: NDArray[np.int_],
    shares: dict[str, float],
    seed: int,
) -> dict[int, str]:
    """Give every family, the largest first, to the split that lacks most."""
    total = int(sizes.sum())
    lacking = {split: share * total for split, share in shares.items()}
    for family, split in chosen.items():
        lacking[split] -= int(sizes[family])
    shuffled = np.random.default_rng(seed).permutation(free).tolist()
    given: dict[int, str] = {}
    for family in sorted(shuffled, key=lambda family: -int(sizes[family])):
        split = max((s for s in SPLITS if shares[s] > 0), key=lambda s: lacking[s])
        given[family] = split
        lacking[split] -= int(sizes[family])
    return given


def torn_families(families: Sequence[int], splits: Sequence[str]) -> list[int]:
    """Families that lie in more than one split."""
    found: dict[int, set[str]] = defaultdict(set)
    for family, split in zip(families, splits, strict=True):
        found[family].add(split)
    return [family for family, own in found.items() if len(own) > 1]
