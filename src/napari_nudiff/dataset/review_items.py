"""The images that are reviewed: what they are, in which order, and which part of them is shown."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from napari_nudiff.dataset.candidates import find_candidates, find_real
from napari_nudiff.dataset.masks import as_rgb
from napari_nudiff.dataset.pair import Layout, Pair, PairRef, pixels_sha256
from napari_nudiff.dataset.pixels import read_image
from napari_nudiff.dataset.readers.files import IMAGE_SUFFIXES
from napari_nudiff.errors import DatasetError, NudiffError
from napari_nudiff.work import Progress, Work


@dataclass(frozen=True)
class Item:
    """An image to review, read when it is shown.

    Attributes
    ----------
    image, layout : str
        Fingerprints of its pixels and of its labels.
    name : str
    synthetic : bool
    shape : tuple of int
        Height and width, px.
    load : callable
        Reads the pair.
    """

    image: str
    layout: str
    name: str
    synthetic: bool
    shape: tuple[int, int]
    load: Callable[[], Pair]


@dataclass
class Items:
    """What was found.

    Attributes
    ----------
    items : list of Item
        Each image once.
    problems : list of str
        What was left out, and why.
    """

    items: list[Item] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Window(NamedTuple):
    """A part of an image: its first row and column, and its sides, px."""

    row: int
    col: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """For images and labels."""
        rows = slice(self.row, self.row + self.height)
        return rows, slice(self.col, self.col + self.width)


def find_items(synthetic: Sequence[Path], real: Sequence[Path] = ()) -> Work[Items]:
    """Read every image once, to know it again whatever its file is called.

    Parameters
    ----------
    synthetic : sequence of Path
        As of `candidates.find_candidates`.
    real : sequence of Path
        Folders of images, with labels or without.

    Yields
    ------
    Progress
        Images read, of how many.

    Returns
    -------
    Items

    Raises
    ------
    DatasetError
        A source does not exist or holds nothing, or no image can be read.
    """
    candidates = [found for source in synthetic for found in find_candidates(source)]
    candidates += [found for source in real for found in _find_real(source)]
    made, seen = Items(), set[str]()
    for number, candidate in enumerate(candidates):
        yield Progress("read", number, len(candidates))
        try:
            item = _item(candidate)
        except NudiffError as error:
            made.problems.append(f"{candidate.name} was left out. {error}")
            continue
        if item.image in seen:
            made.problems.append(f"{candidate.name} was left out: the same image is there already.")
            continue
        seen.add(item.image)
        made.items.append(item)
    if not made.items:
        raise DatasetError(f"No image can be reviewed. {' '.join(made.problems)}".strip())
    return made


def study_order(images: Sequence[str], seed: int, reviewer: str) -> list[str]:
    """Images in an order of this reviewer's own, wherever and in what order the files lie.

    Parameters
    ----------
    images : sequence of str
        Fingerprints.
    seed : int
        Of the study.
    reviewer : str
    """
    rng = np.random.default_rng(_number(f"{seed} {reviewer}"))
    ordered = sorted(images)
    rng.shuffle(ordered)
    return ordered


def study_windows(items: Sequence[Item], seed: int) -> dict[str, Window]:
    """The part of each image that is shown in a study, by the image's fingerprint.

    All have the sides of the smallest image: a size would give away what is real.
    """
    height = min(item.shape[0] for item in items)
    width = min(item.shape[1] for item in items)
    return {item.image: _window(item, height, width, seed) for item in items}


def _window(item: Item, height: int, width: int, seed: int) -> Window:
    rng = np.random.default_rng(_number(f"{seed} {item.image}"))
    row = int(rng.integers(item.shape[0] - height + 1))
    return Window(row, int(rng.integers(item.shape[1] - width + 1)), height, width)


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _item(candidate: PairRef[Pair]) -> Item:
    sample = candidate.load()
    if sample.image is None:
        raise DatasetError(f"{candidate.source} holds a layout without an image.")
    height, width = sample.labels.shape
    return Item(
        pixels_sha256(sample.image),
        Layout(sample.labels).sha256(),
        candidate.name,
        candidate.synthetic,
        (height, width),
        candidate.load,
    )


def _find_real(source: Path) -> list[PairRef[Pair]]:
    """Labelled images; where a folder has none, its images as they are."""
    try:
        return find_real(source)
    except DatasetError:
        if plain := _plain_images(Path(source)):
            return plain
        raise


def _plain_images(source: Path) -> list[PairRef[Pair]]:
    files = sorted(source.rglob("*")) if source.is_dir() else [source]
    return [
        PairRef(path.stem, str(path), partial(_load_plain, path))
        for path in files
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    ]


def _load_plain(path: Path) -> Pair:
    image, _ = as_rgb(read_image(path))
    labels = np.zeros(image.shape[:2], np.int32)
    return Pair(Layout(labels), image, path.stem, provenance={"synthetic": False})
