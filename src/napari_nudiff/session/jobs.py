"""Work that takes a while: one generator each, run one after another, cancelled between steps."""

from __future__ import annotations

import time
import traceback
from collections import deque
from contextlib import closing
from dataclasses import replace
from typing import Any, Generic, Protocol, TypeVar

from psygnal import Signal

from napari_nudiff import __version__
from napari_nudiff.errors import CancelledError, NudiffError, is_out_of_memory
from napari_nudiff.work import Progress, Work, run

T = TypeVar("T")

PREVIEW_INTERVAL_S = 0.1
"""Previews are computed this often at most."""


class JobError(NudiffError):
    """Why a job failed, for the user; never a RuntimeError, which Qt workers swallow.

    Parameters
    ----------
    message : str
        What happened, and what to do next.
    report : str
        Everything a developer would ask for.
    """

    def __init__(self, message: str, report: str = "") -> None:
        super().__init__(message)
        self.report = report or message

    @classmethod
    def of(cls, error: BaseException) -> JobError:
        """What an exception means for the user."""
        if isinstance(error, JobError):
            return error
        trace = "".join(traceback.format_exception(error))
        message = _explained(error)
        return cls(message, f"{message}\n\nnapari-nudiff {__version__}\n{trace}")


def _explained(error: BaseException) -> str:
    if isinstance(error, NudiffError):
        return str(error)
    if is_out_of_memory(error):
        return (
            "There is not enough memory for this. Your layers are as they were. Use a smaller "
            "layout, close other programs, or choose the CPU under Advanced."
        )
    return (
        f"Something went wrong that should not: {type(error).__name__}: {error}. Your layers are "
        "as they were. Try again; if it stays so, please copy this report and send it to us."
    )


class Job(Generic[T]):
    """A piece of work and what became of it; its signals are for the thread that started it.

    Parameters
    ----------
    work : generator
        Not begun: the executor's thread does that.
    source : object
        Handed back with the result.
    title : str
        What it makes, for lists of jobs.
    """

    started = Signal(object)
    progressed = Signal(object, object)  # the job, a Progress
    ended = Signal(object)
    left = Signal(object)  # the device is free, whatever those did who heard that it ended

    def __init__(self, work: Work[T], source: object = None, title: str = "") -> None:
        self._work = work
        self._next_preview_s = 0.0
        self.source = source
        self.title = title
        self.cancel_requested = False
        self.done = False
        self.outcome: T | JobError | None = None  # None = cancelled, or not done

    def cancel(self) -> None:
        """End it before its next step."""
        self.cancel_requested = True

    def run(self) -> Work[T | JobError | None]:
        """Do the work; no exception leaves this generator, whatever happens in the work."""
        try:
            with closing(self._work) as work:
                while not self.cancel_requested:
                    try:
                        progress = next(work)
                    except StopIteration as stop:
                        made: T = stop.value
                        return made
                    yield self._with_preview(progress)
        except CancelledError:
            pass
        except Exception as error:
            return JobError.of(error)
        return None

    def _with_preview(self, progress: Progress) -> Progress:
        """Compute the preview here, some times a second: a window must not wait for a GPU."""
        now_s = time.monotonic()
        if progress.preview is None or now_s < self._next_preview_s:
            return replace(progress, preview=None)
        self._next_preview_s = now_s + PREVIEW_INTERVAL_S
        image = progress.preview()
        return replace(progress, preview=lambda: image)

    def tell(self, progress: Progress) -> None:
        """Pass on a step, unless the user no longer wants it."""
        if not (self.cancel_requested or self.done):
            self.progressed.emit(self, progress)

    def end(self, outcome: T | JobError | None = None) -> None:
        """Settle what became of it; the first time counts."""
        if not self.done:
            self.done = True
            self.outcome = None if self.cancel_requested else outcome
            try:
                self.ended.emit(self)
            finally:
                self.left.emit(self)


class Executor(Protocol):
    """Iterates ``job.run()``, wherever it likes, and reports in the thread that called `run`."""

    def run(self, job: Job[Any]) -> None:
        """Start a job: call ``job.tell`` with each step, then ``job.end`` with the outcome."""


class InlineExecutor:
    """Runs a job to its end at once: for tests and scripts."""

    def run(self, job: Job[Any]) -> None:
        """Run a job; return when it is done."""
        job.end(run(job.run(), job.tell))


class JobQueue:
    """One job at a time has the device; the others wait in line.

    Parameters
    ----------
    executor : Executor
        Where jobs run.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._waiting: deque[Job[Any]] = deque()
        self._active: Job[Any] | None = None

    def add(self, *jobs: Job[Any], in_front: bool = False) -> None:
        """Run jobs now, or as soon as those before them are done.

        Parameters
        ----------
        jobs : Job
            In the order in which they shall run.
        in_front : bool
            Before those that wait, instead of after them.
        """
        for job in jobs:
            job.left.connect(self._on_left)
        if in_front:
            self._waiting.extendleft(reversed(jobs))
        else:
            self._waiting.extend(jobs)
        self._start_next()

    def cancel(self, job: Job[Any]) -> None:
        """End a job: within a step if it runs, at once if it waits."""
        job.cancel()
        if job in self._waiting:
            self._waiting.remove(job)
            job.end()

    def _start_next(self) -> None:
        if self._active is None and self._waiting:
            self._active = self._waiting.popleft()
            self._active.started.emit(self._active)
            self._executor.run(self._active)

    def _on_left(self, job: Job[Any]) -> None:
        if job is self._active:
            self._active = None
            self._start_next()


class Pace:
    """How long the rest will take, from the steps so far."""

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None

    def remaining_s(self, step: int, steps: int, now_s: float) -> float | None:
        """Seconds left after a step; None as long as nothing can be said.

        Parameters
        ----------
        step, steps : int
            Steps done, of how many.
        now_s : float
            Time of any clock.
        """
        if step < 1:
            return None
        if self._first is None or step <= self._first[0]:
            self._first = step, now_s  # what comes before, loading, is no step
            return None
        first, start_s = self._first
        return (now_s - start_s) / (step - first) * (steps - step)
