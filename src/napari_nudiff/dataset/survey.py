"""What there is to prepare: found, checked, grouped and split, before anything is written."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from napari_nudiff.dataset.checks import DROP, KEEP, NO_SEGMENTER, Rules, check_image
from napari_nudiff.dataset.groups import (
    HELD_OUT,
    TRAIN,
    group_of,
    hold_out_fraction,
    hold_out_groups,
    name_pattern,
)
from napari_nudiff.dataset.labelling import Foreground
from napari_nudiff.dataset.problems import Problem, is_error
from napari_nudiff.dataset.readers import LAYOUTS, LabelledImage, find_images
from napari_nudiff.dataset.subset import SELECTIONS
from napari_nudiff.errors import DatasetError, RequestError

Watch = Callable[[Sequence[Any]], Iterable[Any]]
"""Passes things on one by one and may show how far it is, as tqdm does."""


@dataclass(frozen=True)
class PrepareConfig:
    """Everything that determines a prepared set.

    Attributes
    ----------
    sources : tuple of Path
        Folders, or files of annotations.
    kind : str or None
        One of `readers.READERS`; found out by default. Of "layouts" no images are read.
    rules : Rules
        How images are checked and mended.
    skip_bad : bool
        Leave images with errors out.
    group_by : str or None
        Regular expression whose first group is the group of a name.
    held_out : float
        Fraction of the nuclei to hold out, in whole groups.
    held_out_groups : tuple of str
        Or shell patterns of groups or names.
    subset_percent : float or None
        Cut training images into patches and keep those with this share of the nuclei.
    selection : str
        One of `subset.SELECTIONS`.
    patch_px, stride_px : int
    features : Path or None
        Features of the patches, from elsewhere.
    seed : int
    segmenter : Path or None
        File of what finds the nuclei of points, kept with the set by its name and its digest.
    licence, citation : str
        Of the data.
    """

    sources: tuple[Path, ...]
    kind: str | None = None
    rules: Rules = field(default_factory=Rules)
    skip_bad: bool = False
    group_by: str | None = None
    held_out: float = 0.0
    held_out_groups: tuple[str, ...] = ()
    subset_percent: float | None = None
    selection: str = "official"
    patch_px: int = 256
    stride_px: int = 128
    features: Path | None = None
    seed: int = 0
    segmenter: Path | None = None
    licence: str = "unknown"
    citation: str = ""

    def __post_init__(self) -> None:
        sizes = (self.rules.um_per_px, self.rules.target_um_per_px)
        _require(all(s is None or 0.01 <= s <= 100 for s in sizes), "um per px", "0.01 to 100")
        _require(0 <= self.held_out < 1, "--held-out", "a fraction from 0 to below 1")
        _require(
            not (self.held_out and self.held_out_groups),
            "what is held out",
            "given by --held-out or by --held-out-groups, not both",
        )
        percent = self.subset_percent
        _require(percent is None or 0 < percent <= 100, "--subset", "above 0 and up to 100 percent")
        _require(percent is not None or self.features is None, "--features", "used with --subset")
        _require(self.selection in SELECTIONS, "--selection", f"one of {', '.join(SELECTIONS)}")
        _require(self.patch_px >= 16 and self.stride_px >= 1, "--patch", "16 or more, --stride 1")
        _require(self.seed >= 0, "--seed", "0 or more")
        rules = self.rules
        _require(0.5 <= rules.point_reach_um <= 100, "--point-reach-um", "0.5 to 100 um")
        for name, value in (("--disagreeing", rules.disagreeing), ("--unmarked", rules.unmarked)):
            _require(value in (KEEP, DROP), name, f"{KEEP} or {DROP}")
        _require(percent is None or self.kind != LAYOUTS, "--subset", "left out for layouts")


@dataclass(frozen=True)
class Record:
    """An image that was found and is in order.

    Attributes
    ----------
    found : LabelledImage
        Under its unique name.
    group, split : str
    nuclei : int
    source_sha256 : str
        Fingerprint of the image before it was resampled.
    has_image : bool
    class_names : frozenset of str
        Classes of its nuclei.
    """

    found: LabelledImage
    group: str
    split: str
    nuclei: int
    source_sha256: str
    has_image: bool = True
    class_names: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Survey:
    """What there is to prepare, and what is wrong with it.

    Attributes
    ----------
    records : tuple of Record
        Images without errors.
    problems : tuple of Problem
    found : int
        Images in all.
    """

    records: tuple[Record, ...]
    problems: tuple[Problem, ...]
    found: int


def survey(
    config: PrepareConfig, watch: Watch = iter, foreground: Foreground | None = None
) -> Survey:
    """Look at every image of the sources: read it, check it, give it a group and a split.

    Parameters
    ----------
    config : PrepareConfig
    watch : callable, optional
        Shows progress.
    foreground : callable, optional
        Finds out where nuclei are; points need it.

    Returns
    -------
    Survey

    Raises
    ------
    RequestError
        A value makes no sense, such as a split that would tear groups apart.
    """
    images, problems = _find(config)
    pattern = name_pattern(config.group_by) if config.group_by else None
    records = []
    for found, first_name in watch(images):
        record, told = _look_at(found, first_name, config, pattern, foreground)
        problems += told
        records += [record] if record else []
    problems = _said_once(problems, NO_SEGMENTER)
    unlike = _without_image(records)
    problems += unlike
    try:
        records = _split(records, config)
    except RequestError:
        if config.skip_bad or not any(map(is_error, problems)):
            raise
        # Images with errors may be all that a group has: those are to be told first.
    doubles = _doubles(records)
    bad = {p.name for p in unlike + doubles if is_error(p)}
    kept = [r for r in records if r.found.name not in bad]
    clean = [_without_folders(p, config.sources) for p in problems + doubles]
    return Survey(tuple(kept), tuple(clean), len(images))


def _said_once(problems: list[Problem], what: str) -> list[Problem]:
    """Of one kind of problem, which has one remedy for all images, only the first."""
    same = [p for p in problems if p.what == what]
    if len(same) < 2:
        return problems
    first = replace(same[0], detail=f"{same[0].detail} (so also {len(same) - 1} more images)")
    return [first if p is same[0] else p for p in problems if p is same[0] or p.what != what]


def _without_image(records: list[Record]) -> list[Problem]:
    """A set has images, or it has none."""
    without = [r.found.name for r in records if not r.has_image]
    if len(without) in (0, len(records)):
        return []
    detail = f"has no image and others have; --kind {LAYOUTS} makes a set of layouts of them all"
    return [Problem("error", name, "no image", detail) for name in without]


def stop_on_errors(problems: Sequence[Problem]) -> None:
    """Raise if there are errors.

    Raises
    ------
    DatasetError
        It lists all of them.
    """
    errors = [p for p in problems if is_error(p)]
    if errors:
        count = f"{len(errors)} errors" if len(errors) > 1 else "1 error"
        listed = "; ".join(f"{p.name}: {p.what}: {p.detail.rstrip('.')}" for p in errors)
        raise DatasetError(
            f"{count}, so nothing was written: {listed}. Mend them, or leave those images out "
            "with --skip-bad."
        )


def _find(config: PrepareConfig) -> tuple[list[tuple[LabelledImage, str]], list[Problem]]:
    """Images under unique names, each with the name it had."""
    images: list[LabelledImage] = []
    problems: list[Problem] = []
    for source in config.sources:
        try:
            found, told = find_images(source, config.kind)
        except DatasetError as error:
            problems.append(Problem("error", Path(source).resolve().name, "source", str(error)))
        else:
            images += found
            problems += told
    names = _unique([_file_name(image.name) for image in images])
    return [
        (replace(image, name=name), image.name) for image, name in zip(images, names, strict=True)
    ], problems


def _without_folders(problem: Problem, sources: Sequence[Path]) -> Problem:
    """The problem without paths of this machine: it is kept with the set."""
    detail = problem.detail
    for folder in (Path(source).resolve().parent for source in sources):
        if folder != folder.parent:
            detail = detail.replace(f"{folder}{os.sep}", "")
    return replace(problem, detail=detail)


def _look_at(
    found: LabelledImage,
    first_name: str,
    config: PrepareConfig,
    pattern: re.Pattern[str] | None,
    foreground: Foreground | None,
) -> tuple[Record | None, list[Problem]]:
    pair, problems = check_image(found, config.rules, foreground)
    try:
        group = group_of(first_name, found.group, pattern)
    except DatasetError as error:
        return None, [*problems, Problem("error", found.name, "group", str(error))]
    if pair is None:
        return None, problems
    nuclei = int(pair.labels.max(initial=0))
    names = frozenset(pair.classes.values())
    has_image = pair.image is not None
    record = Record(found, group, TRAIN, nuclei, pair.source_sha256(), has_image, names)
    return record, problems


def _split(records: list[Record], config: PrepareConfig) -> list[Record]:
    if not records:
        return []
    if config.held_out_groups:
        groups = {record.found.name: record.group for record in records}
        chosen = hold_out_groups(groups, config.held_out_groups)
    else:
        nuclei: Counter[str] = Counter()
        for record in records:
            nuclei[record.group] += record.nuclei
        chosen = hold_out_fraction(nuclei, config.held_out, config.seed)
    return [replace(r, split=HELD_OUT if r.group in chosen else TRAIN) for r in records]


def _doubles(records: list[Record]) -> list[Problem]:
    """Images that are there twice: an error where one is trained on and the other held out."""
    same = defaultdict(list)
    for record in records:
        same[record.source_sha256].append(record)
    problems = []
    for first, *others in (sorted(r, key=lambda r: r.split) for r in same.values()):
        for other in others:  # held out comes first
            apart = other.split != first.split
            level, what = (
                ("error", "duplicate across splits") if apart else ("warning", "duplicate")
            )
            detail = f"the same image as {first.found.name} ({first.split}, group {first.group})"
            problems.append(Problem(level, other.found.name, what, detail))
    return problems


def _unique(names: list[str]) -> list[str]:
    """Names that differ on every file system: the second X is X-2."""
    taken: set[str] = set()
    unique = []
    for name in names:
        candidate, number = name, 1
        while candidate.lower() in taken:
            number += 1
            candidate = f"{name}-{number}"
        taken.add(candidate.lower())
        unique.append(candidate)
    return unique


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name).lstrip(".") or "image"


def _require(condition: bool, name: str, expected: str) -> None:
    if not condition:
        raise RequestError(f"{name} must be {expected}.")
