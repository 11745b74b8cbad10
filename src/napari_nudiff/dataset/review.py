"""What reviewers said of images: files that only grow, merged into one grade an image.

Each reviewer writes a file of their own, ``reviews-<reviewer>.jsonl``: a line whenever something
changed, which tells all that the reviewer now says of an image. Of a reviewer and an image the
latest line counts. Images are known by their pixels (`pair.pixels_sha256`), so that files may be
moved, renamed and put together.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from napari_nudiff.errors import DatasetError
from napari_nudiff.files import parse_json

SCHEMA = 1
GRADES = range(1, 6)
"""1 = poor, 5 = like real tissue, or without a fault."""

REASONS = ("chromatin", "cytoplasm", "border", "artefact", "stain")
"""What a grade is for."""

ANSWERS = ("", "real", "synthetic")
_FILES = "reviews*.jsonl"
_MOST_CHARACTERS = 40  # of the name of a reviewer, which becomes part of that of a file


@dataclass(frozen=True)
class Review:
    """What one reviewer says of one image.

    Attributes
    ----------
    reviewer : str
    image : str
        Fingerprint of its pixels.
    layout : str
        Fingerprint of its labels, whose correctness and nuclei are meant.
    name : str
        What the image is called; for tables.
    synthetic : bool
        What the image is, whatever the reviewer was told.
    realism, correctness : int or None
        Of the image and of its labels, 1 to 5.
    reasons : tuple of str
        Of `REASONS`.
    flagged : tuple of int
        Ids of nuclei, ascending.
    comment : str
    answer : str
        In a reader study: "real" or "synthetic"; "" = none.
    confidence : int or None
        Of the answer, 1 to 5.
    at : str
        When it was said, UTC, ISO 8601.
    """

    reviewer: str
    image: str
    layout: str = ""
    name: str = ""
    synthetic: bool = True
    realism: int | None = None
    correctness: int | None = None
    reasons: tuple[str, ...] = ()
    flagged: tuple[int, ...] = ()
    comment: str = ""
    answer: str = ""
    confidence: int | None = None
    at: str = ""

    def __post_init__(self) -> None:
        """Refuse what no key can say.

        Raises
        ------
        DatasetError
            A grade, a reason or an answer is none.
        """
        for name in ("realism", "correctness", "confidence"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value not in GRADES):
                raise DatasetError(f"{name} is {value!r}; a whole number from 1 to 5 was expected.")
        if unknown := set(self.reasons) - set(REASONS):
            known = ", ".join(REASONS)
            raise DatasetError(f"{', '.join(sorted(unknown))} is no reason; there are {known}.")
        if any(type(nucleus_id) is not int for nucleus_id in self.flagged):
            raise DatasetError(f"{self.flagged!r} was flagged; ids of nuclei were expected.")
        if self.answer not in ANSWERS:
            raise DatasetError(f"{self.answer!r} is no answer; “real” or “synthetic” was expected.")

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said."""
        return not (self.is_graded or self.reasons or self.comment or self.answer)

    @property
    def is_graded(self) -> bool:
        """Whether it counts for a grade of the image."""
        return self.realism is not None or self.correctness is not None or bool(self.flagged)


@dataclass(frozen=True)
class Grade:
    """What all reviewers say of an image.

    Attributes
    ----------
    realism, correctness : float or None
        Means over those who graded it; None = nobody did.
    flagged : frozenset of int
        Nuclei that anybody flagged.
    reviewers : int
    """

    realism: float | None
    correctness: float | None
    flagged: frozenset[int]
    reviewers: int


@dataclass(frozen=True)
class Order:
    """In which order a reviewer of a reader study saw the images.

    Attributes
    ----------
    reviewer : str
    seed : int
    images : tuple of str
        Fingerprints.
    at : str
    """

    reviewer: str
    seed: int
    images: tuple[str, ...]
    at: str = ""


@dataclass
class Reviews:
    """Everything that was read.

    Attributes
    ----------
    latest : dict
        The review that counts, by (reviewer, image).
    orders : list of Order
        The earliest first.
    dropped : list of str
        Lines that could not be read, and why.
    """

    latest: dict[tuple[str, str], Review] = field(default_factory=dict)
    orders: list[Order] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)

    def of(self, reviewer: str, image: str) -> Review | None:
        """What a reviewer says of an image."""
        return self.latest.get((reviewer, image))


_KINDS = {
    kind: {one.name: str(one.type).split("[")[0] for one in fields(kind)}
    for kind in (Review, Order)
}
"""The types of their fields; JSON knows no tuples, and anything may stand in a file."""


# Writing


class ReviewFile:
    """The file of one reviewer: each line is on the disk before the next key is heard.

    Parameters
    ----------
    folder : Path
    reviewer : str

    Raises
    ------
    DatasetError
        The reviewer's name cannot be part of a file's name.
    """

    def __init__(self, folder: Path, reviewer: str) -> None:
        self.reviewer = checked_reviewer(reviewer)
        self.path = Path(folder) / f"reviews-{self.reviewer}.jsonl"

    def append(self, entry: Review | Order) -> Review | Order:
        """Add a line with the time.

        Returns
        -------
        Review or Order
            As it was written.

        Raises
        ------
        DatasetError
            It cannot be written; what was written before stays.
        """
        stamped = replace(entry, at=datetime.now(UTC).isoformat(timespec="milliseconds"))
        kind = "order" if isinstance(stamped, Order) else "review"
        line = json.dumps({"schema": SCHEMA, "kind": kind, **asdict(stamped)}, ensure_ascii=False)
        try:
            _append_line(self.path, line.encode())
        except OSError as error:
            raise DatasetError(
                f"Cannot write {self.path}: {error}. What you said last was not kept; everything "
                "before it is. Make room, or let the folder be written to, and press the key again."
            ) from error
        return stamped


def checked_reviewer(reviewer: str) -> str:
    """The name of a reviewer, if a file can be called after it.

    Raises
    ------
    DatasetError
        It is empty, long, or has characters that a file's name should not have.
    """
    name = reviewer.strip()
    if not 0 < len(name) <= _MOST_CHARACTERS or not all(c.isalnum() or c in "-_" for c in name):
        raise DatasetError(
            f"{reviewer!r} cannot be the name of a reviewer: it becomes part of the name of a "
            f"file. Use up to {_MOST_CHARACTERS} letters, digits, - and _; initials are enough."
        )
    return name


def _append_line(path: Path, line: bytes) -> None:
    """Add a line and wait until it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    with path.open("ab+", buffering=0) as file:
        written = file.write(_line_end(file) + line + b"\n")
        os.fsync(file.fileno())
    if written is None or written <= len(line):
        raise OSError("the disk took only part of it")
    if is_new:
        _sync_folder(path.parent)


def _line_end(file: Any) -> bytes:
    """What ends a line that was torn by a crash, so that it spoils no other."""
    if file.seek(0, os.SEEK_END) == 0:
        return b""
    file.seek(-1, os.SEEK_END)
    return b"" if file.read(1) == b"\n" else b"\n"


def _sync_folder(folder: Path) -> None:
    """Keep a new file's name through a power cut; Windows does so by itself."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# Reading


def read_reviews(source: Path | Iterable[Path]) -> Reviews:
    """Read and merge what reviewers wrote.

    Parameters
    ----------
    source : Path, or iterable of Path
        A folder with ``reviews*.jsonl``, or such files, or both kinds. A folder without any has
        no reviews.

    Raises
    ------
    DatasetError
        A file cannot be read at all.
    """
    merged = Reviews()
    for path in _files_of(source):
        for entry in _entries(path, merged.dropped):
            if isinstance(entry, Order):
                merged.orders.append(entry)
                continue
            key = entry.reviewer, entry.image
            if key not in merged.latest or merged.latest[key].at <= entry.at:
                merged.latest[key] = entry
    merged.orders.sort(key=lambda order: order.at)
    return merged


def grades_in(source: Path | Iterable[Path]) -> dict[str, Grade]:
    """What reviewers say of images, merged.

    Parameters
    ----------
    source : Path, or iterable of Path
        As of `read_reviews`.

    Returns
    -------
    dict
        Grades by the images' fingerprints (`pair.pixels_sha256`); answers of a reader study are
        no grades.
    """
    by_image: defaultdict[str, list[Review]] = defaultdict(list)
    for review in read_reviews(source).latest.values():
        if review.is_graded:
            by_image[review.image].append(review)
    return {image: _grade(reviews) for image, reviews in by_image.items()}


def grade_lines(reviews: Iterable[Review]) -> list[str]:
    """What each reviewer graded, in a line each."""
    by_reviewer: defaultdict[str, list[Review]] = defaultdict(list)
    for review in reviews:
        if review.is_graded:
            by_reviewer[review.reviewer].append(review)
    return [_grade_line(name, said) for name, said in sorted(by_reviewer.items())]


def _grade_line(name: str, reviews: list[Review]) -> str:
    grade, flags = _grade(reviews), sum(len(review.flagged) for review in reviews)
    parts = [f"{name}: {len(reviews)} graded"]
    for what, mean in (("realism", grade.realism), ("labels", grade.correctness)):
        parts += [] if mean is None else [f"{what} {mean:.1f}"]
    return ", ".join([*parts, f"{flags} flagged"])


def _grade(reviews: list[Review]) -> Grade:
    flagged = frozenset(nucleus for review in reviews for nucleus in review.flagged)
    return Grade(
        _mean(review.realism for review in reviews),
        _mean(review.correctness for review in reviews),
        flagged,
        len(reviews),
    )


def _mean(values: Iterable[int | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _files_of(source: Path | Iterable[Path]) -> list[Path]:
    sources = [source] if isinstance(source, (str, Path)) else list(source)
    found: dict[Path, None] = {}  # each once, in order
    for one in map(Path, sources):
        found |= dict.fromkeys(sorted(one.glob(_FILES)) if one.is_dir() else [one])
    return list(found)


def _entries(path: Path, dropped: list[str]) -> Iterator[Review | Order]:
    """The lines of a file that can be read; a later line is never older than one before it."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise DatasetError(f"Cannot read {path}: {error}") from error
    latest = ""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = _entry(parse_json(line))
        except (ValueError, TypeError, DatasetError) as error:
            torn = number == len(lines)
            why = "it ends in the middle, as after a crash" if torn else str(error)
            dropped.append(f"{path.name}, line {number}: {why}")
            continue
        latest = max(latest, entry.at)  # clocks are set back, files are not
        yield entry if entry.at == latest else replace(entry, at=latest)


def _entry(told: Any) -> Review | Order:
    if not isinstance(told, Mapping) or not isinstance(told.get("schema"), int):
        raise DatasetError("it is none of ours")
    if told["schema"] > SCHEMA:
        raise DatasetError(f"it has schema {told['schema']}; this version reads {SCHEMA}")
    kind: type[Review | Order] = Order if told.get("kind") == "order" else Review
    kinds = _KINDS[kind]
    values = {name: value for name, value in told.items() if name in kinds}
    for name, value in values.items():
        if kinds[name] == "str" and not isinstance(value, str):
            raise DatasetError(f"its {name} is {value!r}; text was expected")
        if kinds[name] == "tuple":
            values[name] = tuple(value)
    if missing := [name for name in ("reviewer", "at") if not values.get(name)]:
        raise DatasetError(f"its {' and '.join(missing)} is missing")
    return kind(**values)
