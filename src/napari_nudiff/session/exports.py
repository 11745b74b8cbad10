"""The verbs of the Export dock: count what a set would hold, and write it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from psygnal import Signal

from napari_nudiff.dataset.candidates import (
    candidate_of,
    candidate_of_file,
    find_candidates,
    find_real,
)
from napari_nudiff.dataset.export.options import ExportOptions
from napari_nudiff.dataset.export.plan import Plan, plan_set
from napari_nudiff.dataset.export.writing import check_out, write_set
from napari_nudiff.dataset.pair import Pair, PairRef
from napari_nudiff.dataset.review import grades_in
from napari_nudiff.session.jobs import Job, JobError, JobQueue
from napari_nudiff.session.review import folder_beside
from napari_nudiff.work import Progress, Work

if TYPE_CHECKING:
    from napari_nudiff.session.results import Results

Which = Literal["starred", "applied", "dear", "all", "none"]
"""Results of a session; "dear" are those that are starred or applied."""


@dataclass(frozen=True)
class Sources:
    """Where the pairs of a set come from.

    Attributes
    ----------
    results : tuple of PairRef
        Of open sessions, see `results_of`.
    folders : tuple of Path
        Of synthetic pairs, with the reviews that lie in them.
    real : tuple of Path
        Of labelled real images.
    """

    results: tuple[PairRef[Pair], ...] = ()
    folders: tuple[Path, ...] = ()
    real: tuple[Path, ...] = ()

    def candidates(self) -> list[PairRef[Pair]]:
        """List all pairs; the pixels are read later.

        Raises
        ------
        DatasetError
            A folder is gone, or holds none.
        """
        found = list(self.results)
        found += [candidate for folder in self.folders for candidate in find_candidates(folder)]
        return found + [candidate for folder in self.real for candidate in find_real(folder)]

    def grades(self) -> Mapping[str, Any]:
        """What reviewers said, by the fingerprint of the image."""
        folders = {folder_beside(folder): None for folder in self.folders}
        return {key: grade for folder in folders for key, grade in grades_in(folder).items()}


@dataclass(frozen=True)
class Counted:
    """What a set would hold, and of what it was counted."""

    sources: Sources
    candidates: list[PairRef[Pair]] = field(compare=False)
    plan: Plan = field(compare=False)


def results_of(results: Results, which: Which) -> list[PairRef[Pair]]:
    """Results of an open session as they are now.

    Parameters
    ----------
    results : Results
    which : str
    """
    stored = results.stored()
    wanted = {
        "starred": lambda result: result.starred,
        "applied": lambda result: result.applied,
        "dear": lambda result: result.is_dear,
        "all": lambda result: True,
        "none": lambda result: False,
    }[which]
    return [
        _candidate(stored[result.id], result.starred, result.applied)
        for result in filter(wanted, results.all())
    ]


def _candidate(where: Pair | Path, starred: bool, applied: bool) -> PairRef[Pair]:
    if isinstance(where, Path):
        return candidate_of_file(where, starred=starred, applied=applied)
    return candidate_of(where, starred=starred, applied=applied)


class Exports:
    """Counting and writing of sets; one thing at a time.

    Parameters
    ----------
    queue : JobQueue
    """

    counted = Signal(object)  # Plan
    progressed = Signal(object)  # Progress
    written = Signal(object)  # Path
    failed = Signal(object)  # JobError
    cancelled = Signal(str)  # "count" or "write"
    busy_changed = Signal()

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._job: Job[Any] | None = None
        self._counted: Counted | None = None

    @property
    def doing(self) -> str:
        """What is at work: "count", "write" or nothing."""
        return "" if self._job is None else self._job.title

    def count(self, sources: Sources, options: ExportOptions) -> None:
        """Tell what a set would hold; a count that runs is given up."""
        if self.doing == "write":
            return
        self.cancel()
        self._start("count", _counting(sources, options))

    def write(self, sources: Sources, options: ExportOptions, out: Path) -> None:
        """Write a set, or go on with an interrupted one; one that is there is not replaced."""
        if self.doing == "write":
            return
        self.cancel()
        known = self._counted
        is_known = known is not None and known.sources == sources and known.plan.options == options
        self._start("write", _writing(sources, options, out, known if is_known else None))

    def cancel(self) -> None:
        """End what is at work; of a set what is complete stays, and is gone on with."""
        job, self._job = self._job, None
        if job is not None:
            self._queue.cancel(job)
            self.cancelled.emit(job.title)
            self.busy_changed.emit()

    def _start(self, title: str, work: Work[Any]) -> None:
        job = Job(work, title=title)
        job.progressed.connect(self._on_progressed)
        job.ended.connect(self._on_ended)
        self._job = job
        self.busy_changed.emit()
        self._queue.add(job)

    def _on_progressed(self, job: Job[Any], progress: Progress) -> None:
        if job is self._job:
            self.progressed.emit(progress)

    def _on_ended(self, job: Job[Any]) -> None:
        if job is not self._job:
            return  # it was cancelled, and that was told
        self._job = None
        self.busy_changed.emit()
        match job.outcome:
            case JobError() as error:
                self.failed.emit(error)
            case Counted() as counted:
                self._counted = counted
                self.counted.emit(counted.plan)
            case Path() as out:
                self.written.emit(out)


def _counting(sources: Sources, options: ExportOptions) -> Work[Counted]:
    candidates = sources.candidates()
    plan = yield from plan_set(candidates, options, sources.grades())
    return Counted(sources, candidates, plan)


def _writing(
    sources: Sources, options: ExportOptions, out: Path, known: Counted | None
) -> Work[Path]:
    check_out(out)
    counted = known or (yield from _counting(sources, options))
    return (yield from write_set(out, counted.candidates, counted.plan))
