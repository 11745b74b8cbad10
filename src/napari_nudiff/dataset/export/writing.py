"""Writing a set: in shards, beside its place, which it takes when it is complete.

Until then it lies in ``OUT.part``. Its journal names the shards that are done: whoever runs the
same export again goes on after them, and writes the shard anew that was being written.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import FileLock, Timeout

from napari_nudiff.dataset.export.content import content_of
from napari_nudiff.dataset.export.datasheet import DATASHEET, LICENCES, datasheet, licence_notes
from napari_nudiff.dataset.export.manifest import read_set_index, write_index, write_manifest
from napari_nudiff.dataset.export.plan import Plan, Row
from napari_nudiff.dataset.pair import Pair, PairRef
from napari_nudiff.dataset.writers import FORMATS, PART
from napari_nudiff.dataset.writers.member import Member, Shard, Whole
from napari_nudiff.errors import DatasetError
from napari_nudiff.files import parse_json, replace_folder
from napari_nudiff.work import Progress, Work

CHECKSUMS, PROVENANCE = "checksums.sha256", "provenance"
_JOURNAL = "journal.jsonl"
_MOST_MEMBERS, _MOST_PX = 256, 16_000_000  # of a shard: about 100 MB of memory
_FINISHED = "finished"


class _Part(NamedTuple):
    """Rows that are written together."""

    split: str
    number: int
    rows: tuple[Row, ...]

    @property
    def stem(self) -> str:
        return f"{self.split}-{self.number:06d}"


def check_out(out: Path, *, overwrite: bool = False) -> None:
    """Check, before anything is read, that a set may be written to a folder.

    Raises
    ------
    DatasetError
        Something else is there, it may not be overwritten, or nothing can be written there.
    """
    out = Path(out).absolute()
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        if not out.is_dir() or read_set_index(out) is None:
            raise DatasetError(
                f"{out} is there and is no exported set, so it is not replaced. Choose another "
                "name."
            )
        if not overwrite:
            raise DatasetError(
                f"{out} is an exported set already. --overwrite replaces it once the new one is "
                "complete; or choose another name."
            )
    with _told_well(out):
        part_of(out).mkdir(parents=True, exist_ok=True)
        if not any(part_of(out).iterdir()):
            part_of(out).rmdir()


def part_of(out: Path) -> Path:
    """Where a set lies until it is complete."""
    out = Path(out).absolute()
    return out.with_name(f"{out.name}.part")


def write_set(
    out: Path,
    candidates: Sequence[PairRef[Pair]],
    plan: Plan,
    *,
    overwrite: bool = False,
    restart: bool = False,
) -> Work[Path]:
    """Write a set, or go on with one that was interrupted.

    Parameters
    ----------
    out : Path
    candidates : sequence of PairRef
        Those that were planned with.
    plan : Plan
    overwrite : bool
        Replace an exported set.
    restart : bool
        Throw an unfinished export away that was made of other pairs or with other options.

    Yields
    ------
    Progress

    Returns
    -------
    Path
        Of the complete set.

    Raises
    ------
    DatasetError
        It cannot be written, another export is at work there, or an unfinished one is there; what
        is complete stays.
    """
    out, part = Path(out).absolute(), part_of(out)
    check_out(out, overwrite=overwrite)
    with _told_well(out), _alone(out):
        journal = _Journal(part, plan, restart)
        shards = _shards(plan)
        pairs = 0
        for shard in shards:
            yield Progress("write", pairs, len(plan.rows))
            if shard.stem not in journal.done:
                for share in _write_shard(part, shard, candidates, plan):
                    yield Progress("write", pairs + int(share * len(shard.rows)), len(plan.rows))
                journal.note(shard.stem)
            pairs += len(shard.rows)
        yield Progress("finish", 0, 1)
        _finish(part, plan, journal)
        yield from _write_checksums(part)
        journal.delete()
        _move(part, out)
    return out


class _Journal:
    """Which shards are complete; a line of it is whole or does not count."""

    def __init__(self, folder: Path, plan: Plan, restart: bool) -> None:
        self._path = folder / _JOURNAL
        lines = self._lines()
        if lines[:1] != [plan.sha256]:
            self._begin(folder, plan, bool(lines) and not restart)
            lines = [plan.sha256]
        self.done = set(lines[1:])

    def note(self, what: str) -> None:
        """Keep that something is complete, after it has reached the disk."""
        if hasattr(os, "sync"):
            os.sync()
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(what) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.done.add(what)

    def delete(self) -> None:
        self._path.unlink()

    def _lines(self) -> list[str]:
        if not self._path.is_file():
            return []
        text = self._path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:  # killed within a line
            self._path.write_text(whole, encoding="utf-8")
        return [parse_json(line) for line in whole.splitlines()]

    def _begin(self, folder: Path, plan: Plan, keep: bool) -> None:
        if keep:
            raise DatasetError(
                f"{folder} is an unfinished export of other pairs or with other options. Nothing "
                "was changed. Run that one again to go on, or throw it away with --restart."
            )
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        self.done = set[str]()
        self.note(plan.sha256)


def _shards(plan: Plan) -> list[_Part]:
    """The rows of each split, cut where a shard gets too large."""
    shards: list[_Part] = []
    for split in plan.counts:
        taken: list[Row] = []
        taken_px = number = 0
        for row in plan.in_split(split):
            row_px = row.height_px * row.width_px
            if taken and (len(taken) == _MOST_MEMBERS or taken_px + row_px > _MOST_PX):
                shards.append(_Part(split, number, tuple(taken)))
                taken, taken_px, number = [], 0, number + 1
            taken.append(row)
            taken_px += row_px
        shards.append(_Part(split, number, tuple(taken)))
    return shards


def _write_shard(
    folder: Path, part: _Part, candidates: Sequence[PairRef[Pair]], plan: Plan
) -> Iterator[float]:
    """Yields the share that is done."""
    members = tuple(_member(candidates[row.index], row, plan) for row in part.rows)
    shard = Shard(part.split, part.number, members, plan.class_names)
    for number, name in enumerate(plan.options.formats):
        yield number / len(plan.options.formats)
        (folder / name).mkdir(exist_ok=True)
        FORMATS[name].write(folder / name, shard)
    (folder / PROVENANCE).mkdir(exist_ok=True)
    with (folder / PROVENANCE / f"{part.stem}.jsonl").open("w", encoding="utf-8") as file:
        for member in members:
            file.write(json.dumps({"name": member.name, "provenance": member.provenance}) + "\n")


def _member(candidate: PairRef[Pair], row: Row, plan: Plan) -> Member:
    pair = candidate.load()
    content, _ = content_of(pair, plan.options)
    if (content.pixels_sha256(), content.layout.nuclei_sha256()) != (
        row.image_sha256,
        row.nuclei_sha256,
    ):
        raise DatasetError(
            f"{candidate.source} changed while the set was written. Export again; what is "
            "complete is kept where its pairs are the same."
        )
    numbers = {name: number for number, name in enumerate(plan.class_names, start=1)}
    classes = np.array([numbers[name] for name in content.classes.values()], np.int64)
    provenance = {"synthetic": row.synthetic, **pair.provenance}
    labels = content.labels.astype(np.uint16, copy=False)
    return Member(row.name, content.pixels, labels, classes, row.um_per_px, provenance)


def _finish(folder: Path, plan: Plan, journal: _Journal) -> None:
    """What stands at the end of a set; done again after an interruption."""
    whole = Whole(plan.options.title, plan.counts, plan.class_names, _licence(plan), plan.sha256)
    if _FINISHED not in journal.done:
        for name in plan.options.formats:
            FORMATS[name].finish(folder / name, whole)
        journal.note(_FINISHED)
    for part in folder.rglob(f"*{PART}*"):
        part.unlink()
    write_manifest(folder, plan)
    write_index(folder, plan)
    (folder / DATASHEET).write_text(datasheet(plan), encoding="utf-8")
    (folder / LICENCES).write_text(licence_notes(plan), encoding="utf-8")


def _licence(plan: Plan) -> str:
    licences = {about["licence"]: None for about in plan.models.values()}
    if any(not row.synthetic for row in plan.rows):
        licences[plan.options.licence] = None
    return "; ".join(licences) or "unknown"


def _write_checksums(folder: Path) -> Work[None]:
    """``checksums.sha256``, as sha256sum reads it."""
    paths = files_of_set(folder)
    with (folder / CHECKSUMS).open("w", encoding="utf-8", newline="\n") as file:
        for number, path in enumerate(paths):
            if number % _MOST_MEMBERS == 0:
                yield Progress("checksums", number, len(paths))
            file.write(f"{sha256_of(folder / path)}  {path}\n")


def files_of_set(folder: Path) -> list[str]:
    """Files that have a checksum, below the folder, sorted."""
    inside = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in inside if path not in {CHECKSUMS, _JOURNAL})


def sha256_of(path: Path) -> str:
    """Fingerprint of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _move(part: Path, out: Path) -> None:
    """Put the set in its place; one that is there gives way only then."""
    old = out.with_name(f"{out.name}.old")
    if out.exists():
        shutil.rmtree(old, ignore_errors=True)  # of a run that was killed here
    replace_folder(out, part, old)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    lock = FileLock(out.with_name(f"{out.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise DatasetError(
            f"Another export is writing {out}. Wait for it, or choose another name."
        ) from error
    try:
        yield
    finally:
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


@contextmanager
def _told_well(out: Path) -> Iterator[None]:
    """Errors of the disk as ours."""
    try:
        yield
    except OSError as error:
        kept = f" What is complete is kept in {part_of(out)}; run the same export again to go on."
        raise DatasetError(
            f"Cannot write {out}: {error}.{kept if part_of(out).exists() else ''} Nothing else was "
            "changed. Make room, or choose a folder that you may write to."
        ) from error
