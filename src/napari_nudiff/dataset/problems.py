"""What is wrong with data, told all at once."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from itertools import groupby

LEVELS = ("error", "warning", "note")
"""Errors stop the writing; warnings should be looked at; notes tell what was done."""

_LISTED = 3  # images that the table names where many have the same
_DETAIL_CHARACTERS = 150


@dataclass(frozen=True)
class Problem:
    """One thing about one image.

    Attributes
    ----------
    level : str
        One of `LEVELS`.
    name : str
        Of the image, or of the source.
    what : str
        The kind of problem: a few words, always the same.
    detail : str
        With values.
    """

    level: str
    name: str
    what: str
    detail: str


def is_error(problem: Problem) -> bool:
    """Whether it stops the writing."""
    return problem.level == "error"


def problem_table(problems: Sequence[Problem]) -> str:
    """A table for people: every error, and warnings and notes of one kind in one row."""
    rows = [("level", "image", "what", "detail")]
    for level in LEVELS:
        of_level = sorted((p for p in problems if p.level == level), key=lambda p: p.what)
        for _, same in groupby(of_level, key=lambda p: p.what):
            rows += _rows(list(same))
    if len(rows) == 1:
        return "No problems."
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = ("  ".join([*map(str.ljust, row[:3], widths), row[3]]) for row in rows)
    return "\n".join(lines)


def problem_csv(problems: Sequence[Problem]) -> str:
    """Every problem in its own row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(Problem))
    writer.writerows(map(astuple, problems))
    return text.getvalue()


def _rows(same: list[Problem]) -> list[tuple[str, str, str, str]]:
    if is_error(same[0]) or len(same) <= _LISTED:
        return [(p.level, p.name, p.what, _short(p.detail)) for p in same]
    first = same[0]
    names = ", ".join(p.name for p in same[1:_LISTED])
    more = len(same) - _LISTED
    detail = f"{first.name}: {first.detail}; so also {names}" + (
        f" and {more} more" if more else ""
    )
    return [(first.level, f"{len(same)} images", first.what, _short(detail))]


def _short(detail: str) -> str:
    text = " ".join(detail.split())
    return text if len(text) <= _DETAIL_CHARACTERS else text[: _DETAIL_CHARACTERS - 3] + "..."
