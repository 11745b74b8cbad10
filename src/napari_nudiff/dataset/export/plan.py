"""What a set will hold: every pair is read once, judged, and given its split and its name."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.dataset.export.content import content_of
from napari_nudiff.dataset.export.lineage import families, given_layout, roots_of
from napari_nudiff.dataset.export.options import ExportOptions
from napari_nudiff.dataset.export.split import split_families
from napari_nudiff.dataset.groups import matches
from napari_nudiff.dataset.pair import Pair, PairRef
from napari_nudiff.dataset.review import Grade
from napari_nudiff.dataset.writers.member import TEST, TRAIN, VAL
from napari_nudiff.errors import DatasetError, NudiffError, RequestError
from napari_nudiff.work import Progress, Work

_MISLEADING_ENDINGS = ("_masks", "_mask", "_labels", "_label", "_instances", "_img", "_flows")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])", re.IGNORECASE)  # on Windows
_LONGEST_NAME = 100
_NAMED = 5  # complaints in a message


@dataclass(frozen=True)
class Row:
    """One pair of a set, as the manifest tells of it.

    Attributes
    ----------
    index : int
        Place among the candidates.
    name : str
        Of its files, without ending.
    split : str
    synthetic : bool
    source : str
        Name of the file that it came from.
    lineage : int
        Pairs with the same number come from one layout or patient.
    group : str
        Patient or slide of a real one.
    height_px, width_px : int
    um_per_px : float or None
    nuclei : int
    dropped : int
        Nuclei that the options left out.
    class_counts : dict of str to int
    seed : int or None
    guidance : float or None
    checkpoint, checkpoint_sha256, checkpoint_licence : str
    request_sha256 : str
        Equal for equal requests.
    layout_sha256, image_sha256, nuclei_sha256 : str
        Of the labels as they were, of the pixels, and of the nuclei as exported.
    realism, correctness : float or None
        Mean grades.
    """

    index: int
    name: str
    split: str
    synthetic: bool
    source: str
    lineage: int
    group: str
    height_px: int
    width_px: int
    um_per_px: float | None
    nuclei: int
    dropped: int
    class_counts: dict[str, int]
    seed: int | None
    guidance: float | None
    checkpoint: str
    checkpoint_sha256: str
    checkpoint_licence: str
    request_sha256: str
    layout_sha256: str
    image_sha256: str
    nuclei_sha256: str
    realism: float | None
    correctness: float | None


@dataclass(frozen=True)
class Plan:
    """What a set will hold.

    Attributes
    ----------
    options : ExportOptions
    rows : tuple of Row
    class_names : tuple of str
        Of class 1, 2, ...
    left_out : dict of str to int
        How many pairs, by the reason.
    models : dict of str to dict
        By the sha256 of a checkpoint: name, licence, training data.
    warnings : tuple of str
        What may be wrong with the set, a sentence or two each.
    """

    options: ExportOptions
    rows: tuple[Row, ...]
    class_names: tuple[str, ...]
    left_out: dict[str, int] = field(default_factory=dict)
    models: dict[str, dict[str, str]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @cached_property
    def sha256(self) -> str:
        """Fingerprint: equal plans make equal sets."""
        content = [self.options.to_dict(), [asdict(row) for row in self.rows], self.class_names]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def in_split(self, split: str) -> list[Row]:
        """The pairs of a split."""
        return [row for row in self.rows if row.split == split]

    @property
    def counts(self) -> dict[str, int]:
        """Pairs in each split that has any."""
        found = {split: len(self.in_split(split)) for split in (TRAIN, VAL, TEST)}
        return {split: count for split, count in found.items() if count}


def plan_set(
    candidates: Sequence[PairRef[Pair]],
    options: ExportOptions,
    grades: Mapping[str, Grade] | None = None,
    *,
    skip_bad: bool = False,
) -> Work[Plan]:
    """Read every pair once and decide what becomes of it.

    Parameters
    ----------
    candidates : sequence of PairRef
    options : ExportOptions
    grades : mapping, optional
        By the `pixels_sha256` of an image.
    skip_bad : bool
        Leave pairs out that cannot be read, instead of stopping.

    Yields
    ------
    Progress

    Returns
    -------
    Plan

    Raises
    ------
    DatasetError
        Pairs cannot be read, or none is left.
    RequestError
        The options do not suit the pairs, such as a pattern of patients that matches none.
    """
    _check_patterns(candidates, options)
    judge = _Judge(options, grades or {})
    for number, candidate in enumerate(candidates):
        yield Progress("read", number, len(candidates))
        judge.look_at(number, candidate)
    judge.stop_on_complaints(skip_bad)
    return judge.plan()


class _Seen(NamedTuple):
    """A pair that was read, without its pixels.

    A real one that is left out is here too: pairs that were made from its layout are still of its
    patient.
    """

    row: Row
    keys: set[str]
    nuclei: NDArray[np.uint64]
    told: str
    given: str | None
    left_out: bool


class _Judge:
    """Looks at one pair after another."""

    def __init__(self, options: ExportOptions, grades: Mapping[str, Grade]) -> None:
        self.options, self.grades = options, grades
        self.seen: list[_Seen] = []
        self.images: set[str] = set()
        self.left_out: Counter[str] = Counter()
        self.models: dict[str, dict[str, str]] = {}
        self.complaints: list[str] = []
        self.warnings: list[str] = []

    def look_at(self, number: int, candidate: PairRef[Pair]) -> None:
        if reason := self._session_reason(candidate):
            self.left_out[reason] += 1
            return
        try:
            pair = candidate.load()
            content, dropped = content_of(pair, self.options)
        except NudiffError as error:
            self.complaints.append(f"{candidate.source}: {error}")
            return
        image_sha256 = content.pixels_sha256()
        grade = self.grades.get(image_sha256)
        if reason := self._reason(candidate, content, image_sha256, grade):
            self.left_out[reason] += 1
            if candidate.synthetic:
                return
        row = _row(number, candidate, pair, content, dropped, image_sha256, grade)
        provenance = pair.provenance
        if not reason:
            self.images.add(image_sha256)
            self._note_model(row, provenance)
        keys = roots_of(provenance) | pair.layout.keys()
        keys |= {f"group {candidate.group}"} if candidate.group else set()
        fingerprints = content.nuclei_fingerprints()
        told, given = self._told(candidate), given_layout(provenance)
        self.seen.append(_Seen(row, keys, fingerprints, told, given, bool(reason)))

    def _session_reason(self, candidate: PairRef[Pair]) -> str:
        """Why a pair is left out, as far as its session tells; empty if it is not."""
        gate = self.options.gate
        if not candidate.synthetic or not (gate.starred or gate.applied):
            return ""
        wanted = (gate.starred and candidate.starred) or (gate.applied and candidate.applied)
        asked = [name for name in ("starred", "applied") if getattr(gate, name)]
        return "" if wanted else f"not {' or '.join(asked)}"

    def _reason(
        self, candidate: PairRef[Pair], content: Pair, image_sha256: str, grade: Grade | None
    ) -> str:
        """Why a pair is left out; empty if it is not."""
        gate = self.options.gate
        if image_sha256 in self.images:
            return "the same image again"
        if len(content.classes) < gate.min_nuclei:
            return f"fewer than {gate.min_nuclei} nuclei"
        if not candidate.synthetic:
            return ""
        if gate.without_flags and grade is not None and grade.flagged:
            return "flagged nuclei"
        if not gate.asks_for_review:
            return ""
        for name in ("realism", "correctness"):
            least, mean = getattr(gate, f"min_{name}"), getattr(grade, name, None)
            if least and mean is None:
                return f"{name} not graded"
            if least and mean < least:
                return f"{name} below {least:g}"
        return ""

    def _told(self, candidate: PairRef[Pair]) -> str:
        """The split that somebody decided for a real image."""
        if candidate.synthetic:
            return ""
        for split, patterns in ((TEST, self.options.test_groups), (VAL, self.options.val_groups)):
            if any(matches(candidate.name, candidate.group, pattern) for pattern in patterns):
                return split
        return TEST if candidate.held_out else ""

    def _note_model(self, row: Row, provenance: Mapping[str, Any]) -> None:
        if row.checkpoint_sha256:
            about = provenance.get("checkpoint", {})
            self.models[row.checkpoint_sha256] = {
                key: str(about.get(key, "unknown")) for key in ("name", "licence", "training_data")
            }

    def stop_on_complaints(self, skip_bad: bool) -> None:
        if not self.complaints:
            return
        if skip_bad:
            self.left_out["cannot be read"] = len(self.complaints)
            return
        more = len(self.complaints) - _NAMED
        listed = " ".join(self.complaints[:_NAMED]) + (f" And {more} more." if more > 0 else "")
        raise DatasetError(
            f"{len(self.complaints)} pairs cannot be used. {listed} Nothing was written. Mend "
            "them, or leave them out (--skip-bad)."
        )

    def plan(self) -> Plan:
        rows = self._split()
        if not rows:
            reasons = "; ".join(f"{count}: {reason}" for reason, count in self.left_out.items())
            raise DatasetError(f"No pair is left to export ({reasons or 'there were none'}).")
        named = _named(rows, self.options)
        order = tuple(_class_names(named, self.options))
        left_out, warnings = dict(self.left_out), tuple(self.warnings)
        return Plan(self.options, tuple(named), order, left_out, self.models, warnings)

    def _split(self) -> list[Row]:
        """Rows with lineage and split; synthetic ones that may not be where their family is go."""
        if not self.seen:
            return []
        found = families([s.keys for s in self.seen], [s.nuclei for s in self.seen]).tolist()
        rows = [replace(s.row, lineage=f) for s, f in zip(self.seen, found, strict=True)]
        train_only = self.options.synthetic_in_train_only
        if train_only is None:
            train_only = any(not (s.row.synthetic or s.left_out) for s in self.seen)
        told = [seen.told for seen in self.seen]
        shares = {
            split: 0 if split in told else getattr(self.options, split) for split in (VAL, TEST)
        }
        counts = [not (s.left_out or (train_only and s.row.synthetic)) for s in self.seen]
        told = [
            split or ("" if count else TRAIN) for split, count in zip(told, counts, strict=True)
        ]
        splits = split_families(found, told, counts, **shares, seed=self.options.seed)
        rows = [
            replace(row, split=split)
            for row, split, seen in zip(rows, splits, self.seen, strict=True)
            if not seen.left_out
        ]
        kept = [r for r in rows if r.split == TRAIN or not (train_only and r.synthetic)]
        if left := len(rows) - len(kept):
            self.left_out["synthetic, of a layout that is held out"] = left
        self._look_for_unknown_layouts(kept, found)
        return kept

    def _look_for_unknown_layouts(self, rows: Sequence[Row], found: Sequence[int]) -> None:
        """Warn of given layouts that no real image has: their patients may be held out."""
        real = {f for f, seen in zip(found, self.seen, strict=True) if not seen.row.synthetic}
        given = {seen.row.index: seen.given for seen in self.seen}
        unknown: dict[str, list[str]] = defaultdict(list)
        for row in rows:
            file = given[row.index]
            if row.synthetic and file is not None and row.lineage not in real:
                unknown[file].append(row.name)
        if real:
            self.warnings += [_of_unknown_layout(file, unknown[file]) for file in sorted(unknown)]


def _of_unknown_layout(file: str, pairs: Sequence[str]) -> str:
    more = f" and {len(pairs) - _NAMED} more" if len(pairs) > _NAMED else ""
    return (
        f"{', '.join(pairs[:_NAMED])}{more} ({len(pairs)} pairs) were made from the given layout "
        f"{file or 'of unknown name'}, which no real image of this set has. If it is of a patient "
        "who is held out, they are in the wrong split. Add the image that the layout belongs to "
        "(--real), as it was before it was cut or edited, or leave these pairs out."
    )


def _check_patterns(candidates: Sequence[PairRef[Pair]], options: ExportOptions) -> None:
    """A patient misspelt would be trained on, and nobody would know."""
    real = [candidate for candidate in candidates if not candidate.synthetic]
    for split, patterns in ((TEST, options.test_groups), (VAL, options.val_groups)):
        for pattern in patterns:
            if not any(matches(candidate.name, candidate.group, pattern) for candidate in real):
                groups = ", ".join(sorted({candidate.group for candidate in real})) or "none"
                raise RequestError(
                    f"--{split}-groups {pattern} matches no patient and no name of a real image. "
                    f"Nothing was written. The patients are {groups}; names can be given as "
                    "patterns, such as 'slide_1*'."
                )


def _row(
    number: int,
    candidate: PairRef[Pair],
    pair: Pair,
    content: Pair,
    dropped: int,
    image_sha256: str,
    grade: Grade | None,
) -> Row:
    provenance = pair.provenance
    request = provenance.get("request", {})
    checkpoint = provenance.get("checkpoint", {})
    height, width = content.labels.shape
    return Row(
        index=number,
        name=candidate.name,
        split="",
        synthetic=candidate.synthetic,
        source=Path(candidate.source).name,
        lineage=-1,
        group=candidate.group,
        height_px=height,
        width_px=width,
        um_per_px=pair.um_per_px,
        nuclei=len(content.classes),
        dropped=dropped,
        class_counts=dict(sorted(Counter(content.classes.values()).items())),
        seed=request.get("seed"),
        guidance=request.get("guidance"),
        checkpoint=str(checkpoint.get("name", "")),
        checkpoint_sha256=str(request.get("checkpoint_sha256", "")),
        checkpoint_licence=str(checkpoint.get("licence", "")),
        request_sha256=_request_sha256(request),
        layout_sha256=pair.layout.sha256(),
        image_sha256=image_sha256,
        nuclei_sha256=content.layout.nuclei_sha256(),
        realism=getattr(grade, "realism", None),
        correctness=getattr(grade, "correctness", None),
    )


def _request_sha256(request: Mapping[str, Any]) -> str:
    if not request:
        return ""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


def _class_names(rows: Sequence[Row], options: ExportOptions) -> list[str]:
    """Those of the class map in its order, then others by name."""
    found = {name for row in rows for name in row.class_counts}
    mapped = [name for name in dict.fromkeys(options.classes.values()) if name in found]
    return mapped + sorted(found - set(mapped)) or [options.default_class]


# Names


def _named(rows: Sequence[Row], options: ExportOptions) -> list[Row]:
    """Rows with names that are unique, also where capital letters do not count."""
    named = [replace(row, name=_name(row, place, options.names)) for place, row in enumerate(rows)]
    counts = Counter(row.name.lower() for row in named)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise RequestError(
            f"The template of names {options.names!r} names {counts[twice[0]]} images {twice[0]}. "
            "Put {index} in it."
        )
    return named


def _name(row: Row, place: int, template: str) -> str:
    """A file name on every system, that no reader takes for that of a mask."""
    kind = "synthetic" if row.synthetic else "real"
    seed = "" if row.seed is None else row.seed
    told = template.format(index=place, kind=kind, name=row.name, split=row.split, seed=seed)
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", told).strip("-")[:_LONGEST_NAME] or "pair"
    if name.lower().endswith(_MISLEADING_ENDINGS) or _RESERVED.fullmatch(name):
        name += "-"
    return name
