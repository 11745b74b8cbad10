"""How well readers tell synthetic images from real ones, and how far they agree."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binomtest

from napari_nudiff.dataset.images import write_text
from napari_nudiff.dataset.review import Review
from napari_nudiff.errors import DatasetError

CONFIDENCE_LEVEL = 0.95
_ANSWERS = "reviewer", "image", "name", "truth", "answer", "correct", "confidence", "reasons", "at"


class Share(NamedTuple):
    """A share of answers with its confidence interval (Wilson, 95 %).

    Attributes
    ----------
    right, total : int
    value, low, high : float
        NaN where there is no answer.
    """

    right: int
    total: int
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """The share and its interval, in per cent."""
        if not self.total:
            return "–"
        low, high = (f"{100 * bound:.0f}" for bound in (self.low, self.high))
        return f"{100 * self.value:.0f} % ({low}–{high} %)"


@dataclass(frozen=True)
class Reader:
    """How one reader did.

    Attributes
    ----------
    name : str
    accuracy : Share
        Right answers; half are right by chance where half of the images are real.
    sensitivity : Share
        Of the synthetic images those that were called synthetic.
    specificity : Share
        Of the real images those that were called real.
    confidence : float or None
        Mean, 1 to 5.
    """

    name: str
    accuracy: Share
    sensitivity: Share
    specificity: Share
    confidence: float | None


@dataclass(frozen=True)
class ReaderStudy:
    """A study with its readers.

    Attributes
    ----------
    readers : tuple of Reader
        By name.
    kappas : dict
        Cohen's, for each two readers, over the images that both answered.
    fleiss : float or None
        Of three readers or more, over the images that all answered.
    shared : int
        Images that all answered.
    answers : tuple of Review
        That were counted.
    """

    readers: tuple[Reader, ...]
    kappas: dict[tuple[str, str], float]
    fleiss: float | None
    shared: int
    answers: tuple[Review, ...]


def share(right: int, total: int) -> Share:
    """A share with its interval.

    Notes
    -----
    Wilson, Probable inference, the law of succession, and statistical inference, 1927.
    """
    if not total:
        return Share(0, 0, float("nan"), float("nan"), float("nan"))
    found = binomtest(right, total).proportion_ci(CONFIDENCE_LEVEL, method="wilson")
    return Share(right, total, right / total, float(found.low), float(found.high))


def cohens_kappa(first: Sequence[str], second: Sequence[str]) -> float:
    """Agreement of two readers beyond chance; NaN where chance alone explains everything.

    Parameters
    ----------
    first, second : sequence of str
        Their answers to the same images.

    Notes
    -----
    Cohen, A coefficient of agreement for nominal scales, 1960.
    """
    a, b = np.asarray(first), np.asarray(second)
    if a.shape != b.shape or not a.size:
        return float("nan")
    observed = float((a == b).mean())
    by_chance = sum(float((a == one).mean() * (b == one).mean()) for one in {*first, *second})
    return _kappa(observed, by_chance)


def fleiss_kappa(counts: ArrayLike) -> float:
    """Agreement of several readers beyond chance; NaN where chance alone explains everything.

    Parameters
    ----------
    counts : array_like, (N, K)
        How many readers gave each of K answers to each of N images; the same number of readers
        for each image.

    Notes
    -----
    Fleiss, Measuring nominal scale agreement among many raters, 1971.
    """
    table = np.asarray(counts, dtype=float)
    readers = table.sum(axis=1)
    if not table.size or (readers != readers[0]).any() or readers[0] < 2:
        return float("nan")
    n = readers[0]
    observed = (((table**2).sum(axis=1) - n) / (n * (n - 1))).mean()
    by_chance = ((table.sum(axis=0) / table.sum()) ** 2).sum()
    return _kappa(float(observed), float(by_chance))


def reader_study(reviews: Iterable[Review]) -> ReaderStudy:
    """Count the answers of a study.

    Parameters
    ----------
    reviews : iterable of Review
        The latest of each reader and image; those without an answer are passed over.
    """
    answers = tuple(
        sorted((r for r in reviews if r.answer), key=lambda r: (r.reviewer.casefold(), r.at))
    )
    by_reader: defaultdict[str, dict[str, Review]] = defaultdict(dict)
    for review in answers:
        by_reader[review.reviewer][review.image] = review
    readers = tuple(_reader(name, list(said.values())) for name, said in by_reader.items())
    kappas = {(a, b): _kappa_of(by_reader[a], by_reader[b]) for a, b in combinations(by_reader, 2)}
    shared = set.intersection(*map(set, by_reader.values())) if by_reader else set()
    fleiss = _fleiss_of(list(by_reader.values()), shared) if len(by_reader) > 2 else None
    return ReaderStudy(readers, kappas, fleiss, len(shared), answers)


def study_text(study: ReaderStudy) -> str:
    """A study as text to read."""
    rows: list[tuple[str, ...]] = [
        ("reader", "images", "accuracy (95 %)", "sensitivity", "specificity")
    ]
    for one in study.readers:
        shares = map(str, (one.accuracy, one.sensitivity, one.specificity))
        rows.append((one.name, str(one.accuracy.total), *shares))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, "", *agreement_lines(study)]).rstrip() + "\n"


def agreement_lines(study: ReaderStudy) -> list[str]:
    """How far the readers agree, a line for each two and one for all."""
    lines = [
        f"Cohen’s kappa, {a} and {b}: {_number(kappa)}" for (a, b), kappa in study.kappas.items()
    ]
    if study.fleiss is not None:
        lines.append(
            f"Fleiss’ kappa, {len(study.readers)} readers, {study.shared} images: "
            f"{_number(study.fleiss)}"
        )
    return lines


def write_study(path: Path, study: ReaderStudy) -> list[Path]:
    """Write a study: a line a reader, and beside it every answer, and the text.

    Parameters
    ----------
    path : Path
        Of the table, ``X.csv``; ``X_answers.csv`` and ``X.txt`` lie beside it.
    study : ReaderStudy

    Raises
    ------
    DatasetError
        There is no answer yet, or a file cannot be written.
    """
    if not study.answers:
        raise DatasetError("There is no answer to write yet. Nothing was written.")
    path = Path(path)
    paths = [path, path.with_name(f"{path.stem}_answers.csv"), path.with_suffix(".txt")]
    texts = [_readers_csv(study), _answers_csv(study), study_text(study)]
    for target, text in zip(paths, texts, strict=True):
        write_text(target, text)
    return paths


def _reader(name: str, reviews: list[Review]) -> Reader:
    made = [r for r in reviews if r.synthetic]
    real = [r for r in reviews if not r.synthetic]
    confidences = [r.confidence for r in reviews if r.confidence is not None]
    return Reader(
        name,
        _share_right(reviews),
        _share_right(made),
        _share_right(real),
        float(np.mean(confidences)) if confidences else None,
    )


def _share_right(reviews: Sequence[Review]) -> Share:
    return share(sum(map(is_right, reviews)), len(reviews))


def is_right(review: Review) -> bool:
    """Whether an answer is the truth."""
    return review.answer == truth(review)


def truth(review: Review) -> str:
    """What the image of a review is."""
    return "synthetic" if review.synthetic else "real"


def _kappa(observed: float, by_chance: float) -> float:
    return float("nan") if by_chance >= 1 else (observed - by_chance) / (1 - by_chance)


def _kappa_of(first: dict[str, Review], second: dict[str, Review]) -> float:
    both = sorted(first.keys() & second.keys())
    return cohens_kappa([first[i].answer for i in both], [second[i].answer for i in both])


def _fleiss_of(readers: list[dict[str, Review]], shared: set[str]) -> float:
    counts = []
    for image in sorted(shared):
        said = [reader[image].answer for reader in readers]
        counts.append([said.count("real"), said.count("synthetic")])
    return fleiss_kappa(counts) if counts else float("nan")


def _number(kappa: float) -> str:
    return f"{kappa:.2f}" if np.isfinite(kappa) else "cannot be told from these answers"


def _readers_csv(study: ReaderStudy) -> str:
    shares = "accuracy", "sensitivity", "specificity"
    columns = ["reviewer", "images", "confidence"]
    columns += [f"{name}{end}" for name in shares for end in ("", "_low", "_high", "_images")]
    rows = []
    for one in study.readers:
        row = [one.name, one.accuracy.total, _known(one.confidence)]
        for name in shares:
            found: Share = getattr(one, name)
            numbers = (found.value, found.low, found.high) if found.total else ("", "", "")
            row += [*map(_known, numbers), found.total]
        rows.append(row)
    return _csv(columns, rows)


def _answers_csv(study: ReaderStudy) -> str:
    rows = [
        [
            r.reviewer,
            r.image,
            r.name,
            truth(r),
            r.answer,
            int(is_right(r)),
            "" if r.confidence is None else r.confidence,
            " ".join(r.reasons),
            r.at,
        ]
        for r in study.answers
    ]
    return _csv(_ANSWERS, rows)


def _known(value: float | str | None) -> str:
    return f"{value:.4f}" if isinstance(value, float) else ""


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    made = io.StringIO()
    writer = csv.writer(made, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return made.getvalue()
