"""Writes in the background: in order, and none is lost when the program ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Lock

from napari_nudiff.session.jobs import Job, JobError, JobQueue
from napari_nudiff.work import Work

Then = Callable[[JobError | None], object]
"""Called in the thread that asked: with why it failed, or None."""


class Disk:
    """Does things one after another in a queue's thread; what waits can be done at once.

    Parameters
    ----------
    queue : JobQueue
        Where they run. It must start them in the order in which they are added.
    """

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._waiting: deque[_Write] = deque()

    def do(self, action: Callable[[], object], then: Then) -> None:
        """Do something as soon as all before it is done."""
        write = _Write(action, then)
        self._waiting.append(write)
        job = Job(write.work(), title="disk")
        job.ended.connect(lambda _: self._on_ended(write))
        self._queue.add(job)

    def finish(self) -> None:
        """Return when everything is done and reported: the program is about to end."""
        while self._waiting:
            write = self._waiting[0]
            write.run()
            self._on_ended(write)

    def _on_ended(self, write: _Write) -> None:
        if write in self._waiting:  # else `finish` was quicker
            self._waiting.remove(write)
            write.then(write.error)


class _Write:
    """A write that runs exactly once, in the worker or at shutdown; the other waits for it."""

    def __init__(self, action: Callable[[], object], then: Then) -> None:
        self._action, self.then = action, then
        self._lock, self._done = Lock(), False
        self.error: JobError | None = None

    def run(self) -> None:
        with self._lock:
            if self._done:
                return
            self._done = True
            try:
                self._action()
            except Exception as error:
                self.error = JobError.of(error)

    def work(self) -> Work[None]:
        """The same, as the work of a job."""
        yield from ()
        self.run()
