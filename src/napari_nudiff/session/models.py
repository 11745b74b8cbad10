"""The verbs of the Models dock: fetch, verify, delete, look into and add files."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_nudiff.checkpoints import (
    add_checkpoint,
    describe_file,
    find_checkpoint,
    is_official,
    remove_checkpoint,
    verify_checkpoint,
)
from napari_nudiff.errors import CheckpointError
from napari_nudiff.session.catalogue import catalogue
from napari_nudiff.session.downloads import fetching
from napari_nudiff.session.jobs import Job, JobError, JobQueue
from napari_nudiff.work import Work

if TYPE_CHECKING:
    from napari_nudiff.checkpoints import Checkpoint

HEAD_CHANNELS = 64
"""Width of an attention head in the published configuration."""


@dataclass(frozen=True)
class FileToAdd:
    """What a file says of itself, and what only the user knows.

    Attributes
    ----------
    path : Path
    role : str
        "structure" or "image".
    name : str
        To know it by.
    licence : str
        Of the weights; "unknown" = what the file says.
    official : bool
        It is one of the authors' ``.pt`` files.
    head_channels : int
        Width of an attention head, which is not in an official file.
    """

    path: Path
    role: str
    name: str
    licence: str = "unknown"
    official: bool = False
    head_channels: int = HEAD_CHANNELS


class Models:
    """What is being done with the files of checkpoints; all windows share one.

    Parameters
    ----------
    downloads : JobQueue
        Waits for the network.
    files : JobQueue
        Reads and writes files: no other job of it runs at the same time.
    """

    started = Signal(str, str)  # verb, name
    progressed = Signal(str, object)  # name, Progress
    finished = Signal(str, str)  # verb, name
    failed = Signal(str, str, object)  # verb, name, JobError
    cancelled = Signal(str, str)  # verb, name
    inspected = Signal(object)  # FileToAdd
    fetches_changed = Signal()  # which run or wait

    def __init__(self, downloads: JobQueue, files: JobQueue) -> None:
        self._downloads, self._files = downloads, files
        self._fetches: dict[str, Job[object]] = {}

    def is_fetching(self, name: str) -> bool:
        """Whether a download of a checkpoint runs or waits."""
        return name in self._fetches

    def fetch(self, name: str) -> None:
        """Download a checkpoint; once is enough."""
        if name in self._fetches:
            return
        job = self._job("fetch", name, _fetch(name))
        self._fetches[name] = job
        self._downloads.add(job)
        self.fetches_changed.emit()

    def cancel(self, name: str) -> None:
        """End the download of a checkpoint; nothing of it stays."""
        if name in self._fetches:
            self._downloads.cancel(self._fetches[name])

    def verify(self, name: str) -> None:
        """Compare a checkpoint with its fingerprint, byte by byte."""
        self._files.add(self._job("verify", name, _at_once(_verify, name)))

    def remove(self, name: str) -> None:
        """Delete an own file, or a fetched one."""
        self._files.add(self._job("remove", name, _at_once(_remove, name)))

    def inspect(self, path: Path) -> None:
        """Look into a file that may be added; `inspected` emits what it is."""
        self._files.add(self._job("inspect", path.name, _at_once(_inspected, path)))

    def add(self, file: FileToAdd) -> None:
        """Copy a file into the cache, to be known by a name."""
        self._files.add(self._job("add", file.name, _at_once(_add, file)))

    def _job(self, verb: str, name: str, work: Work[object]) -> Job[object]:
        job = Job(work, name, verb)
        job.started.connect(lambda _: self.started.emit(verb, name))
        job.progressed.connect(lambda _, progress: self.progressed.emit(name, progress))
        job.ended.connect(self._on_ended)
        return job

    def _on_ended(self, job: Job[object]) -> None:
        verb, name = job.title, str(job.source)
        outcome = job.outcome
        if verb == "fetch":
            del self._fetches[name]
            self.fetches_changed.emit()
        if outcome is None:
            self.cancelled.emit(verb, name)
        elif isinstance(outcome, JobError):
            self.failed.emit(verb, name, outcome)
        else:
            if isinstance(outcome, FileToAdd):
                self.inspected.emit(outcome)
            self.finished.emit(verb, name)


def _at_once(verb: Callable[..., object], *args: object) -> Work[object]:
    """Work of a single step."""
    yield from ()
    return verb(*args)


def _fetch(name: str) -> Work[object]:
    yield from fetching(name)
    return find_checkpoint(name)


def _verify(name: str) -> Path:
    try:
        path = verify_checkpoint(find_checkpoint(name))
    except CheckpointError:
        catalogue.mark(name, damaged=True)
        raise
    catalogue.mark(name, damaged=False)
    return path


def _remove(name: str) -> str:
    remove_checkpoint(name)
    catalogue.mark(name, damaged=False)
    return name


def _inspected(path: Path) -> FileToAdd:
    found = describe_file(path)
    return FileToAdd(path, found.role, _name_of(path), found.licence, is_official(path))


def _name_of(path: Path) -> str:
    """A name that a checkpoint may have, from that of its file."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._") or "model"


def _add(file: FileToAdd) -> Checkpoint:
    added = add_checkpoint(
        file.path, file.name, file.role, file.licence, head_channels=file.head_channels
    )
    catalogue.refresh()
    return added
