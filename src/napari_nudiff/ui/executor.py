"""Runs jobs in a worker thread, as napari's own are run."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QCoreApplication, QObject, QTimer
from superqt.utils import GeneratorWorker

from napari_nudiff.session.jobs import Job, JobError, JobQueue
from napari_nudiff.session.models import Models

if TYPE_CHECKING:
    from napari_nudiff.work import Progress

# The threads of a render must not spin for a core that the window, or another program, is on: with
# all cores busy a render took ten times as long and more. This many turns, instead of 300,000, cost
# an eighth of the speed on an idle machine. GNU's OpenMP, torch's on Linux, reads it when torch is
# loaded, which no window does.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")


class ThreadExecutor:
    """Runs a job in a thread of Qt's pool and reports in the thread that called `run`.

    superqt's worker swallows a RuntimeError (torch's out-of-memory is one) and closes its
    generator late: `Job.run` lets no exception out and closes its work itself. napari asks all
    such workers to quit, and waits for them, when it ends.
    """

    def __init__(self) -> None:
        self._inbox = Inbox()

    def run(self, job: Job[Any]) -> None:
        """Start a job."""
        worker = GeneratorWorker(job.run)
        reporter = _Reporter(job, self._inbox, worker)
        worker.yielded.connect(reporter.on_yielded)
        worker.returned.connect(reporter.on_returned)
        worker.errored.connect(reporter.on_errored)
        worker.finished.connect(reporter.on_finished)
        worker.start()


class _Reporter(QObject):
    """Hears a worker in the thread that made it; it lives until it was told that it finished."""

    def __init__(self, job: Job[Any], inbox: Inbox, worker: GeneratorWorker) -> None:
        super().__init__(QCoreApplication.instance())
        self._job, self._inbox, self._worker = job, inbox, worker

    def on_yielded(self, progress: Progress) -> None:
        self._inbox.deliver(partial(self._job.tell, progress))

    def on_returned(self, outcome: Any) -> None:
        self._inbox.deliver(partial(self._job.end, outcome))

    def on_errored(self, error: BaseException) -> None:
        self._inbox.deliver(partial(self._job.end, JobError.of(error)))

    def on_finished(self) -> None:
        """If nothing was returned, napari told the worker to quit."""
        self._inbox.deliver(self._job.end)
        self._inbox.deliver(self._leave)

    def _leave(self) -> None:
        """Go, with the worker: not in the middle of what one of them has just told."""
        self.deleteLater()


class Inbox:
    """Runs callbacks in FIFO order; those that arrive while one runs are queued.

    napari lets Qt handle events while it adds a layer: a job's next step would be told in the
    middle of the step before, and its end before both.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_open = False

    def deliver(self, news: Callable[[], None]) -> None:
        """Deliver now, or after what is being delivered."""
        self._waiting.append(news)
        if not self._is_open:
            self._is_open = True
            try:
                while self._waiting:
                    self._waiting.popleft()()
            finally:
                self._is_open = False
                if self._waiting:  # a listener failed: the others still want their news
                    QTimer.singleShot(0, lambda: self.deliver(lambda: None))


@cache
def device_queue() -> JobQueue:
    """The queue of this process: all windows share one device."""
    return JobQueue(ThreadExecutor())


@cache
def models() -> Models:
    """What this process does with checkpoint files; nothing of it waits for the device."""
    return Models(downloads=download_queue(), files=JobQueue(ThreadExecutor()))


@cache
def download_queue() -> JobQueue:
    """The queue of downloads."""
    return JobQueue(ThreadExecutor())
