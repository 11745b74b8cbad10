"""Work that takes a while: one generator each, run one after another, cancelled between steps."""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing
from typing import TYPE_CHECKING, TypeAlias

from psygnal import Signal

from napari_nudiff import __version__
from napari_nudiff.errors import CancelledError, NudiffError, is_out_of_memory

if TYPE_CHECKING:
    from napari_nudiff.dataset.pair import Pair
    from napari_nudiff.dataset.pyramid import Pyramid
    from napari_nudiff.session.executor import Executor
    from napari_nudiff.synthesis.progress import Progress

Made: TypeAlias = "Pair | Pyramid"
"""What a job makes: a large image is on disk."""

Work = Generator["Progress", None, Made]
"""What a job runs: it yields its progress and returns what it made."""


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


class Job:
    """A piece of work and what became of it; its signals are for the thread that started it.

    Parameters
    ----------
    start : callable
        Given the job, makes the generator; called in the executor's thread.
    source : object
        Handed back with the result.
    title : str
        What it makes, for lists of jobs.
    """

    started = Signal(object)
    progressed = Signal(object, object)  # the job, a Progress
    ended = Signal(object)
    left = Signal(object)  # the device is free, whatever those did who heard that it ended

    def __init__(
        self, start: Callable[[Job], Work], source: object = None, title: str = ""
    ) -> None:
        self._start = start
        self.source = source
        self.title = title
        self.cancel_requested = False
        self.done = False
        self.outcome: Made | JobError | None = None  # None = cancelled, or not done

    def cancel(self) -> None:
        """End it before its next step."""
        self.cancel_requested = True

    def run(self) -> Generator[Progress, None, Made | JobError | None]:
        """Do the work; no exception leaves this generator, whatever happens in the work."""
        try:
            with closing(self._start(self)) as work:
                while not self.cancel_requested:
                    try:
                        progress = next(work)
                    except StopIteration as stop:
                        made: Made = stop.value
                        return made
                    yield progress
        except CancelledError:
            pass
        except Exception as error:
            return JobError.of(error)
        return None

    def tell(self, progress: Progress) -> None:
        """Pass on a step, unless the user no longer wants it."""
        if not (self.cancel_requested or self.done):
            self.progressed.emit(self, progress)

    def end(self, outcome: Made | JobError | None = None) -> None:
        """Settle what became of it; the first time counts."""
        if not self.done:
            self.done = True
            self.outcome = None if self.cancel_requested else outcome
            try:
                self.ended.emit(self)
            finally:
                self.left.emit(self)


class JobQueue:
    """One job at a time has the device; the others wait in line.

    Parameters
    ----------
    executor : Executor
        Where jobs run.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._waiting: deque[Job] = deque()
        self._active: Job | None = None

    def add(self, *jobs: Job, in_front: bool = False) -> None:
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

    def cancel(self, job: Job) -> None:
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

    def _on_left(self, job: Job) -> None:
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
