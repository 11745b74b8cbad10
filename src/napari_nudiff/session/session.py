"""The verbs: sample a layout, render an image, cancel."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_nudiff.checkpoints import fetch_checkpoint, find_checkpoint, local_path
from napari_nudiff.errors import CancelledError
from napari_nudiff.session.jobs import Job, JobError, JobQueue, Work
from napari_nudiff.session.settings import (
    LayoutSettings,
    RenderSettings,
    draw_seed,
    layout_request,
    render_request,
)

if TYPE_CHECKING:
    from napari_nudiff.synthesis.progress import Progress

Style = tuple[float, ...]


class Session:
    """What one user is doing: settings, and at most one job at a time.

    Parameters
    ----------
    queue : JobQueue
        Shared by all sessions of a process: they share the device.

    Attributes
    ----------
    layout : LayoutSettings
    rendering : RenderSettings
    """

    job_started = Signal()
    progressed = Signal(object, object)  # Progress, source
    finished = Signal(object, object)  # Sample, source
    failed = Signal(object)  # JobError
    cancelled = Signal()
    busy_changed = Signal(bool)

    def __init__(self, queue: JobQueue) -> None:
        self.layout = LayoutSettings()
        self.rendering = RenderSettings()
        self._queue = queue
        self._job: Job | None = None

    @property
    def busy(self) -> bool:
        """Whether a job runs or waits."""
        return self._job is not None

    @property
    def cancelling(self) -> bool:
        """Whether the job was cancelled and its last step still runs."""
        return self._job is not None and self._job.cancel_requested

    def sample(self, source: object = None) -> bool:
        """Sample a layout with a new seed.

        Parameters
        ----------
        source : object
            Handed back with the result.

        Returns
        -------
        bool
            Whether it was accepted: a session does one thing at a time.
        """
        if self.busy:
            return False
        self.layout.seed = draw_seed()
        values = self.layout.values() | {"device": self.rendering.device}
        return self._begin(lambda job: _sampling(values, job), source)

    def render(
        self, labels: NDArray[Any], *, style: Style | None = None, source: object = None
    ) -> bool:
        """Render an image that fits a layout.

        Parameters
        ----------
        labels : ndarray
            The layout; it must not change while the job runs. What is no layout ends in `failed`.
        style : tuple of float, optional
            Stain style, see `napari_nudiff.nuclei.descriptors.stain_style`.
        source : object
            Handed back with the result.

        Returns
        -------
        bool
            Whether it was accepted: a session does one thing at a time.
        """
        if self.busy:
            return False
        if self.rendering.new_seed:
            self.rendering.seed = draw_seed()
        values = self.rendering.values() | {"style": style}
        return self._begin(lambda job: _rendering(labels, values, job), source)

    def cancel(self) -> None:
        """End the job, if any, before its next step."""
        if self._job is not None:
            self._queue.cancel(self._job)

    def close(self) -> None:
        """End the job and tell nobody anything any more."""
        self.cancel()
        signals = (self.job_started, self.progressed, self.finished, self.failed)
        for signal in (*signals, self.cancelled, self.busy_changed):
            signal.disconnect()

    def _begin(self, work: Callable[[Job], Work], source: object) -> bool:
        job = Job(work, source)
        job.started.connect(self._on_started)
        job.progressed.connect(self._on_progressed)
        job.ended.connect(self._on_ended)
        self._job = job
        self.busy_changed.emit(True)
        self._queue.add(job)
        return True

    def _on_started(self, job: Job) -> None:
        self.job_started.emit()

    def _on_progressed(self, job: Job, progress: object) -> None:
        self.progressed.emit(progress, job.source)

    def _on_ended(self, job: Job) -> None:
        self._job = None
        try:
            self._report(job)
        finally:  # whatever a listener does, nobody stays busy
            self.busy_changed.emit(False)

    def _report(self, job: Job) -> None:
        if job.outcome is None:
            self.cancelled.emit()
        elif isinstance(job.outcome, JobError):
            self.failed.emit(job.outcome)
        else:
            self.finished.emit(job.outcome, job.source)


def _sampling(values: dict[str, Any], job: Job) -> Work:
    from napari_nudiff.synthesis.pipeline import sample_layout

    yield from _fetching(values["checkpoint"], job)
    return (yield from sample_layout(layout_request(values)))


def _rendering(labels: NDArray[Any], values: dict[str, Any], job: Job) -> Work:
    from napari_nudiff.synthesis.pipeline import render

    yield from _fetching(values["checkpoint"], job)
    return (yield from render(np.asarray(labels), render_request(values)))


def _fetching(name: str, job: Job) -> Generator[Progress, None, None]:
    """Get a checkpoint that is not on this machine yet."""
    from napari_nudiff.synthesis.progress import Progress

    checkpoint = find_checkpoint(name)
    if local_path(checkpoint) is None:
        yield Progress("fetch", 0, 0)
        fetch_checkpoint(checkpoint, _CancelBar(job))


class _CancelBar:
    """A download's progress bar that shows nothing and ends it when its job is cancelled."""

    total = 0

    def __init__(self, job: Job) -> None:
        self._job = job

    def update(self, n: int, /) -> None:
        if self._job.cancel_requested:
            raise CancelledError("Cancelled.")

    def reset(self) -> None: ...

    def close(self) -> None: ...
