"""What a writer is given: pairs ready for a training set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.dataset.readers.labelled import LabelledImage, Loaded
from napari_nudiff.files import parse_json

TRAIN, VAL, TEST = "train", "val", "test"
SPLITS = (TRAIN, VAL, TEST)


@dataclass(frozen=True)
class Member:
    """One pair of a training set.

    Attributes
    ----------
    name : str
        Unique in the set, and a file name on every system.
    image : ndarray, (H, W, 3), uint8
    labels : ndarray, (H, W), uint16
        Nuclei 1..N, 0 = background.
    classes : ndarray, (N,), int
        Number of the class, from 1, of each nucleus.
    um_per_px : float or None
        Side of a pixel; None where nobody knows.
    provenance : dict
        Where it came from; JSON values.
    """

    name: str
    image: NDArray[np.uint8]
    labels: NDArray[np.uint16]
    classes: NDArray[np.int64]
    um_per_px: float | None = None
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def synthetic(self) -> bool:
        """Whether a model made the image."""
        return bool(self.provenance.get("synthetic"))


@dataclass(frozen=True)
class Shard:
    """Some members of one split, written together.

    Attributes
    ----------
    split : str
        One of `SPLITS`.
    number : int
        From 0 in each split.
    members : tuple of Member
    class_names : tuple of str
        Name of class 1, 2, ...
    """

    split: str
    number: int
    members: tuple[Member, ...]
    class_names: tuple[str, ...]

    def classes_of(self, member: Member) -> dict[int, str]:
        """Name of the class of each nucleus of a member."""
        numbers = enumerate(member.classes.tolist(), start=1)
        return {nucleus: self.class_names[number - 1] for nucleus, number in numbers}

    @property
    def stem(self) -> str:
        """Name of a file that holds the whole shard."""
        return f"{self.split}-{self.number:06d}"


@dataclass(frozen=True)
class Whole:
    """What is known of a set once all its shards are written.

    Attributes
    ----------
    title : str
    counts : dict of str to int
        Members of each split that has any.
    class_names : tuple of str
    licence : str
    sha256 : str
        Fingerprint of what the set was planned to hold.
    """

    title: str
    counts: dict[str, int]
    class_names: tuple[str, ...]
    licence: str = "unknown"
    sha256: str = ""


def _nothing_to_finish(folder: Path, whole: Whole) -> None:
    """Most formats are complete with their last shard."""


@dataclass(frozen=True)
class Format:
    """A layout of files that trainers read.

    Attributes
    ----------
    name : str
        As on the command line, and the folder in the set.
    title : str
    readers : str
        Who reads it.
    files : str
        What lies where.
    write : callable
        Writes a shard below a folder. Written again, it leaves the same files.
    read : callable
        Lists what was written below a folder; the group of each is its split.
    exact : bool
        Whether labels come back as they were.
    cuts : bool
        Whether images become patches, named after them.
    finish : callable
        What is left to do when all shards are there. Done again, it leaves the same files. What
        shards left for it has ".part-" in its name, and is deleted after it.
    packages : tuple of str
        Optional modules that it needs.
    """

    name: str
    title: str
    readers: str
    files: str
    write: Callable[[Path, Shard], None]
    read: Callable[[Path], Iterator[LabelledImage]]
    exact: bool = True
    cuts: bool = False
    finish: Callable[[Path, Whole], None] = _nothing_to_finish
    packages: tuple[str, ...] = ()


def class_names_in(folder: Path) -> dict[int, str]:
    """Names of the classes by their numbers, of the set that a format's folder lies in.

    Most formats have the numbers only. Empty where there is no index of a set beside the folder.
    """
    try:
        content = parse_json((folder.parent / "dataset.json").read_text(encoding="utf-8"))
        return {int(number): str(name) for number, name in content["classes"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def numbered(loaded: Loaded, numbers: Iterable[int], names: Mapping[int, str]) -> Loaded:
    """What was read, with the number of the class of nucleus 1, 2, ..."""
    classes = {i: names.get(n, f"type {n}") for i, n in enumerate(numbers, start=1)}
    return loaded.with_classes(classes)


def renamed(found: LabelledImage, names: Mapping[int, str], **changes: Any) -> LabelledImage:
    """The same, with names for the numbers of its classes and other changes."""

    def load() -> Loaded:
        loaded = found.load()
        known = {n: names.get(n, name) for n, name in loaded.type_names.items()}
        return loaded._replace(type_names=known)

    return replace(found, load=load, **changes)


def splits_in(folder: Path) -> list[tuple[str, Path]]:
    """The splits that have a folder of their own in ``folder``."""
    return [(split, folder / split) for split in SPLITS if (folder / split).is_dir()]
