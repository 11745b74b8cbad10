"""What is done on disk while the user goes on: one thing after another, none of them lost."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from threading import Lock
from typing import TYPE_CHECKING, cast

from napari_nudiff.session.jobs import Job, JobError, JobQueue, Work

if TYPE_CHECKING:
    from napari_nudiff.synthesis.progress import Progress

Then = Callable[[JobError | None], object]
"""Told in the thread that asked: why it failed, or None."""


class Disk:
    """Does things one after another in a queue's thread; what waits can be done at once.

    Parameters
    ----------
    queue : JobQueue
        Where they run. It must start them in the order in which they are added.
    """

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._waiting: deque[_Deed] = deque()

    def do(self, action: Callable[[], object], then: Then) -> None:
        """Do something as soon as all before it is done."""
        deed = _Deed(action, then)
        self._waiting.append(deed)
        job = Job(cast("Callable[[Job], Work]", deed.work), title="disk")
        job.ended.connect(lambda _: self._on_ended(deed))
        self._queue.add(job)

    def finish(self) -> None:
        """Return when everything is done and told: the program is about to end."""
        while self._waiting:
            deed = self._waiting[0]
            deed.run()
            self._on_ended(deed)

    def _on_ended(self, deed: _Deed) -> None:
        if deed in self._waiting:  # else `finish` was quicker
            self._waiting.remove(deed)
            deed.then(deed.error)


class _Deed:
    """Something that is done once, whoever comes first; the other waits for its end."""

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

    def work(self, _: Job) -> Generator[Progress, None, None]:
        """The same, as the work of a job."""
        yield from ()
        self.run()
