"""Groups of images (patients, slides) and splits that keep them whole."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import numpy as np

from napari_nudiff.errors import DatasetError, RequestError

TRAIN, HELD_OUT = "train", "held_out"

_KNOWN_PATTERNS = (
    re.compile(r"^tnbc_([0-9]+)_[0-9]+", re.IGNORECASE),  # patient
    re.compile(r"(TCGA-[A-Z0-9]{2}-[A-Z0-9]{4})"),  # patient of a TCGA barcode
    re.compile(r"^(.+) \[(?:d=[0-9.]+,)?x=-?[0-9]+,y=-?[0-9]+"),  # slide of QuPath's tiles
)
_TRIES = 200


def name_pattern(group_by: str) -> re.Pattern[str]:
    """Compile ``--group-by``.

    Raises
    ------
    RequestError
        It is no regular expression, or captures nothing.
    """
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise RequestError(f"--group-by {group_by} is no regular expression: {error}.") from error
    if not pattern.groups:
        raise RequestError(
            f"--group-by {group_by} captures nothing: put the part of the name that is the group "
            "in parentheses, as in '^(patient[0-9]+)'."
        )
    return pattern


def group_of(name: str, told: str = "", pattern: re.Pattern[str] | None = None) -> str:
    """The group that an image belongs to.

    Parameters
    ----------
    name : str
        Stem of its file.
    told : str
        What its reader knows.
    pattern : Pattern, optional
        Captures the group; by default what the reader knows, or known patterns of names, or the
        name itself.

    Raises
    ------
    DatasetError
        The pattern does not match.
    """
    if pattern:
        found = pattern.search(name)
        if not found or not found[1]:
            raise DatasetError(f"--group-by {pattern.pattern} finds no group in the name {name}.")
        return found[1]
    known = (p.search(name) for p in _KNOWN_PATTERNS)
    return told or next((found[1] for found in known if found), name)


def hold_out_fraction(nuclei: Mapping[str, int], fraction: float, seed: int) -> set[str]:
    """Groups that together have about a fraction of all nuclei.

    Parameters
    ----------
    nuclei : mapping of str to int
        Number of nuclei of each group.
    fraction : float
        0 to below 1. Above 0 at least one group is held out and one is left.
    seed : int

    Raises
    ------
    RequestError
        There are not two groups.
    """
    if not fraction:
        return set()
    if len(nuclei) < 2:
        raise RequestError(
            f"All images are of one group ({', '.join(nuclei)}): nothing can be held out without "
            "tearing it apart. --group-by '(.*)' makes every image a group of its own."
        )
    rng = np.random.default_rng(seed)
    names = sorted(nuclei)
    wanted = fraction * sum(nuclei.values())
    tries = [_fill(rng.permutation(names).tolist(), nuclei, wanted) for _ in range(_TRIES)]
    return set(min(tries, key=lambda chosen: abs(sum(nuclei[g] for g in chosen) - wanted)))


def hold_out_groups(groups: Mapping[str, str], patterns: Sequence[str]) -> set[str]:
    """Groups that some patterns name.

    Parameters
    ----------
    groups : mapping of str to str
        Group of each image by its name.
    patterns : sequence of str
        Shell patterns of groups or of names of images.

    Raises
    ------
    RequestError
        A pattern matches nothing, or some images of a group but not all.
    """
    matched = {name for p in patterns for name, g in groups.items() if matches(name, g, p)}
    for pattern in patterns:
        if not any(matches(name, group, pattern) for name, group in groups.items()):
            raise RequestError(
                f"--held-out-groups {pattern} matches no group and no image; the groups are "
                f"{_some(sorted(set(groups.values())))}."
            )
    chosen = {groups[name] for name in matched}
    torn = defaultdict(list)
    for name, group in groups.items():
        if group in chosen and name not in matched:
            torn[group].append(name)
    if torn:
        parts = "; ".join(f"{group} ({_some(names)} left over)" for group, names in torn.items())
        raise RequestError(
            f"--held-out-groups would tear groups apart: {parts}. Name the groups, or say with "
            "--group-by what a group is."
        )
    return chosen


def _fill(names: list[str], nuclei: Mapping[str, int], wanted: float) -> list[str]:
    """Take groups in turn, each that brings the sum nearer; never none and never all."""
    chosen: list[str] = []
    total = 0
    for name in names:
        nearer = abs(total + nuclei[name] - wanted) < abs(total - wanted)
        if nearer and len(chosen) < len(names) - 1:
            chosen.append(name)
            total += nuclei[name]
    return chosen or [min(names, key=lambda name: nuclei[name])]


def matches(name: str, group: str, pattern: str) -> bool:
    """Whether a shell pattern names an image or its group."""
    return fnmatchcase(group, pattern) or fnmatchcase(name, pattern)


def _some(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
