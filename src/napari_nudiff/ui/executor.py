"""The only module that knows threads: runs jobs in a worker of napari's kind."""

from __future__ import annotations

from functools import cache

from superqt.utils import GeneratorWorker

from napari_nudiff.session.jobs import Job, JobError, JobQueue


class ThreadExecutor:
    """Runs a job in a thread of Qt's pool and reports in the thread that called `run`.

    superqt's worker swallows a RuntimeError (torch's out-of-memory is one) and closes its
    generator late: `Job.run` lets no exception out and closes its work itself. napari asks all
    such workers to quit, and waits for them, when it ends.
    """

    def run(self, job: Job) -> None:
        """Start a job."""
        worker = GeneratorWorker(job.run)
        worker.yielded.connect(job.tell)
        worker.returned.connect(job.end)
        worker.errored.connect(lambda error: job.end(JobError.of(error)))
        worker.finished.connect(job.end)  # nothing was returned: napari told the worker to quit
        worker.start()


@cache
def device_queue() -> JobQueue:
    """The queue of this process: all windows share one device."""
    return JobQueue(ThreadExecutor())
