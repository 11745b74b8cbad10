"""Where jobs run: a protocol, and the simplest executor of all."""

from __future__ import annotations

from typing import Protocol

from napari_nudiff.session.jobs import Job


class Executor(Protocol):
    """Iterates ``job.run()``, wherever it likes, and reports in the thread that called `run`."""

    def run(self, job: Job) -> None:
        """Start a job: call ``job.tell`` with each step, then ``job.end`` with the outcome."""


class InlineExecutor:
    """Runs a job to its end at once: for tests and scripts."""

    def run(self, job: Job) -> None:
        """Run a job; return when it is done."""
        steps = job.run()
        while not job.done:
            try:
                job.tell(next(steps))
            except StopIteration as stop:
                job.end(stop.value)
