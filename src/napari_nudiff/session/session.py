"""The verbs: sample a layout, render an image or a part of one, cancel."""

from __future__ import annotations

import time
from dataclasses import Field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_nudiff.checkpoints.cache import cache_folder
from napari_nudiff.errors import RequestError
from napari_nudiff.session.appearance import AppearanceSettings, Reference, takes
from napari_nudiff.session.downloads import fetching
from napari_nudiff.session.jobs import Job, JobError, JobQueue
from napari_nudiff.session.settings import (
    EditSettings,
    LayoutSettings,
    RenderSettings,
    Request,
    draw_seed,
)
from napari_nudiff.session.stain import StainSettings
from napari_nudiff.synthesis.request import EditRequest, LayoutRequest, RenderRequest
from napari_nudiff.work import Progress, Work

if TYPE_CHECKING:
    from napari_nudiff.dataset.pair import Pair
    from napari_nudiff.dataset.pyramid import Pyramid

Place = Literal["back", "front", "instead"]
"""Where new jobs stand in line: last, next, or instead of all jobs of this session."""


class Session:
    """What one user is doing: settings, and the jobs that run and wait.

    Parameters
    ----------
    queue : JobQueue
        Shared by all sessions of a process: they share the device.

    Attributes
    ----------
    layout : LayoutSettings
    rendering : RenderSettings
    editing : EditSettings
    stain : StainSettings
    appearance : AppearanceSettings
    """

    job_started = Signal(object)  # Job
    progressed = Signal(object, object)  # Progress, source
    finished = Signal(object, object)  # Pair, or Pyramid where it is large, and source
    failed = Signal(object, object)  # JobError, source
    cancelled = Signal(object)  # source
    jobs_changed = Signal()
    busy_changed = Signal(bool)

    def __init__(self, queue: JobQueue) -> None:
        self.layout = LayoutSettings()
        self.rendering = RenderSettings()
        self.editing = EditSettings()
        self.stain = StainSettings()
        self.appearance = AppearanceSettings()
        self._queue = queue
        self._jobs: list[Job[Any]] = []
        self._active: Job[Any] | None = None

    @property
    def busy(self) -> bool:
        """Whether a job runs or waits."""
        return bool(self._jobs)

    @property
    def active(self) -> Job[Any] | None:
        """The job that runs."""
        return self._active

    @property
    def waiting(self) -> list[Job[Any]]:
        """The jobs that wait, the next one first."""
        return [job for job in self._jobs if job is not self._active]

    @property
    def cancelling(self) -> bool:
        """Whether the job that runs was cancelled and its last step still runs."""
        return self._active is not None and self._active.cancel_requested

    def sample(self, source: object = None) -> None:
        """Sample a layout with a new seed.

        Parameters
        ----------
        source : object
            Handed back with the result.

        Raises
        ------
        RequestError
            A setting is out of range. All verbs raise it, before anything is begun.
        """
        self._begin("back", Job(_sampling(self._layout_request()), source, "layout"))

    def sample_inside(
        self,
        labels: NDArray[Any],
        mask: NDArray[np.bool_],
        source: object = None,
        um_per_px: float | None = None,
    ) -> None:
        """Sample nuclei in a region of a layout, in keeping with those around it.

        Parameters
        ----------
        labels : ndarray, (H, W), integer
            The layout; it must not change while the job runs.
        mask : ndarray, (H, W), bool
        source : object
            Handed back with the result.
        um_per_px : float, optional
            Side of a pixel, for models that take it.
        """
        request = self._request_around(um_per_px)
        job = Job(_sampling_inside(labels, mask, request), source, "nuclei")
        self._begin("back", job)

    def extend(
        self,
        labels: NDArray[Any],
        sides: tuple[int, int, int, int],
        source: object = None,
        um_per_px: float | None = None,
    ) -> None:
        """Extend the canvas of a layout and sample nuclei in the new part.

        Parameters
        ----------
        labels : ndarray, (H, W), integer
        sides : (int, int, int, int)
            Pixels to add at the top, right, bottom and left.
        source : object
            Handed back with the result.
        um_per_px : float, optional
            Side of a pixel, for models that take it.
        """
        request = self._request_around(um_per_px)
        job = Job(_extending(labels, sides, request), source, "layout")
        self._begin("back", job)

    def render(
        self,
        labels: NDArray[Any],
        *,
        source: object = None,
        place: Place = "back",
        **overrides: Any,
    ) -> None:
        """Render images that fit a layout: as many as the settings say, with seeds in a row.

        Parameters
        ----------
        labels : ndarray, (H, W), integer
            The layout; it must not change while the jobs run. What is no layout ends in `failed`.
        source : object
            Handed back with each result.
        place : {"back", "front", "instead"}
            Where the jobs stand in line.
        **overrides
            Values that go before those of the settings, for this time; ``count=1`` for one image,
            ``um_per_px`` for the scale of the layout, which goes to models that take it.
        """
        model = overrides.get("checkpoint", self.rendering.model)
        code, reference = self.appearance.code_for(model), self.appearance.reference_for(model)
        requests = [
            replace(request, style=self.stain.style(request.seed), appearance=code)
            for request in self._requests(RenderRequest, overrides)
        ]
        works = (_rendering(labels, request, reference) for request in requests)
        self._begin(place, *(Job(work, source, "image") for work in works))

    def rerender(
        self,
        base: Pair,
        labels: NDArray[Any],
        *,
        region: NDArray[np.bool_] | None = None,
        source: object = None,
        place: Place = "back",
        **overrides: Any,
    ) -> None:
        """Render the changed nuclei of an image and their surroundings again, and nothing else.

        Parameters
        ----------
        base : Pair
            The image as it is, with the layout that it fits.
        labels : ndarray, (H, W), integer
            The layout that it shall fit; it must not change while the jobs run.
        region : ndarray, (H, W), bool, optional
            Pixels to render again even where the layout is as it was.
        source, place, **overrides
            As of `render`.
        """
        if base.image is None:
            raise RequestError("There is no image to change yet. Render the whole layout first.")
        edit = {"strength": self.editing.strength, "margin_px": self.editing.margin_px}
        requests = self._requests(EditRequest, edit | overrides)
        works = (_rerendering(base, base.image, labels, region, request) for request in requests)
        self._begin(place, *(Job(work, source, "edit") for work in works))

    def recall(self, request: dict[str, Any], *, only_seed: bool = False) -> None:
        """Set the settings to those of a stored request.

        Parameters
        ----------
        request : dict
            As in a sample's provenance.
        only_seed : bool
            Leave all others as they are.
        """
        self.rendering.seed = request["seed"]
        self.rendering.new_seed = False
        if only_seed:
            return
        for field in ("checkpoint", "steps", "guidance", "sampler"):
            setattr(self.rendering, field, request[field])
        self.stain.recall(request.get("style"))
        self.appearance.recall(request)
        for field in ("strength", "margin_px"):
            setattr(self.editing, field, request.get(field, getattr(self.editing, field)))

    def values(self) -> dict[str, Any]:
        """All settings as JSON values, for `apply_values`."""
        return {name: _stored(group) for name, group in self._groups().items()}

    def apply_values(self, values: dict[str, Any]) -> None:
        """Set the settings to stored ones; what this version cannot take is left out."""
        for name, group in self._groups().items():
            defaults = {f.name: f.default for f in _stored_fields(group)}
            for key, value in values.get(name, {}).items():
                value = tuple(value) if isinstance(value, list) else value
                if key in defaults and _is_like(value, defaults[key]):
                    setattr(group, key, value)

    def _groups(self) -> dict[str, Any]:
        return {
            "layout": self.layout,
            "rendering": self.rendering,
            "editing": self.editing,
            "stain": self.stain,
            "appearance": self.appearance,
        }

    def cancel(self) -> None:
        """End the job that runs before its next step; if none of ours does, the next in line."""
        job = self._active or next(iter(self._jobs), None)
        if job is not None:
            self._queue.cancel(job)

    def cancel_all(self) -> None:
        """End the job that runs, and those that wait."""
        for job in [*self.waiting, *([self._active] if self._active else [])]:
            self._queue.cancel(job)

    def cancel_job(self, job: Job[Any]) -> None:
        """End one job."""
        self._queue.cancel(job)

    def close(self) -> None:
        """End the jobs and tell nobody anything any more."""
        signals = (self.job_started, self.progressed, self.finished, self.failed)
        for signal in (*signals, self.cancelled, self.jobs_changed, self.busy_changed):
            signal.disconnect()
        self.cancel_all()

    def _layout_request(self) -> LayoutRequest:
        self.layout.seed = draw_seed()
        return self.layout.request(self.rendering.device)

    def _request_around(self, um_per_px: float | None) -> LayoutRequest:
        """A request for nuclei among those that are there, and as dense."""
        request = self._layout_request()
        scale = um_per_px if takes(request.checkpoint, "resolution") else None
        return replace(request, density=None, mean_area_px=None, um_per_px=scale)

    def _requests(self, kind: type[Request], changes: dict[str, Any]) -> list[Request]:
        """As many requests as the settings say, with seeds in a row."""
        count = changes.pop("count", self.rendering.count)
        if self.rendering.new_seed and "seed" not in changes:
            self.rendering.seed = draw_seed()
        first = self.rendering.request(kind, **changes)
        if not takes(first.checkpoint, "resolution"):
            first = replace(first, um_per_px=None)
        return [replace(first, seed=first.seed + number) for number in range(count)]

    def _begin(self, place: Place, *jobs: Job[Any]) -> None:
        if place == "instead":
            self.cancel_all()
        for job in jobs:
            job.started.connect(self._on_started)
            job.progressed.connect(self._on_progressed)
            job.ended.connect(self._on_ended)
        was_busy = self.busy
        self._jobs = self._in_line(list(jobs), place)
        if not was_busy:
            self.busy_changed.emit(True)
        self.jobs_changed.emit()
        self._queue.add(*jobs, in_front=place != "back")

    def _in_line(self, jobs: list[Job[Any]], place: Place) -> list[Job[Any]]:
        active = [] if self._active is None else [self._active]
        return active + ([*self.waiting, *jobs] if place == "back" else [*jobs, *self.waiting])

    def _on_started(self, job: Job[Any]) -> None:
        self._active = job
        self.job_started.emit(job)
        self.jobs_changed.emit()

    def _on_progressed(self, job: Job[Any], progress: Progress) -> None:
        self.progressed.emit(progress, job.source)

    def _on_ended(self, job: Job[Any]) -> None:
        self._jobs.remove(job)
        if job is self._active:
            self._active = None
        try:
            self._report(job)
        finally:  # whatever a listener does, nobody stays busy
            self.jobs_changed.emit()
            if not self._jobs:
                self.busy_changed.emit(False)

    def _report(self, job: Job[Any]) -> None:
        if job.outcome is None:
            self.cancelled.emit(job.source)
        elif isinstance(job.outcome, JobError):
            self.failed.emit(job.outcome, job.source)
        else:
            self.finished.emit(job.outcome, job.source)


def _stored(group: Any) -> dict[str, Any]:
    """The settings of a group that are stored."""
    return {f.name: getattr(group, f.name) for f in _stored_fields(group)}


def _stored_fields(group: Any) -> list[Field[Any]]:
    return [f for f in fields(group) if f.metadata.get("stored", True)]


def _is_like(value: object, default: object) -> bool:
    """Whether a value is of the type of a setting, as far as its default says."""
    if default is None:
        return value is None or isinstance(value, tuple)
    return isinstance(value, (int, float) if isinstance(default, float) else type(default))


def _sampling(request: LayoutRequest) -> Work[Pair]:
    from napari_nudiff.synthesis.pipeline import sample_layout

    yield from fetching(request.checkpoint)
    return (yield from sample_layout(request))


def _sampling_inside(
    labels: NDArray[Any], mask: NDArray[np.bool_], request: LayoutRequest
) -> Work[Pair]:
    from napari_nudiff.synthesis.local import sample_layout_inside

    yield from fetching(request.checkpoint)
    return (yield from sample_layout_inside(labels, mask, request))


def _extending(
    labels: NDArray[Any], sides: tuple[int, int, int, int], request: LayoutRequest
) -> Work[Pair]:
    from napari_nudiff.synthesis.local import Sides, extend_layout

    yield from fetching(request.checkpoint)
    return (yield from extend_layout(labels, Sides(*sides), request))


def _rendering(
    labels: NDArray[Any], request: RenderRequest, reference: Reference | None
) -> Work[Pair | Pyramid]:
    from napari_nudiff.synthesis.appearance import appearance_of_image
    from napari_nudiff.synthesis.large import is_large, render_large
    from napari_nudiff.synthesis.pipeline import render

    yield from fetching(request.checkpoint)
    if reference is not None:
        code = appearance_of_image(request.checkpoint, reference.image, reference.um_per_px)
        request = replace(request, appearance=code)
    if is_large(labels.shape):
        return (yield from render_large(labels, request, _large_folder(request.seed)))
    return (yield from render(np.asarray(labels), request))


def _large_folder(seed: int) -> Path:
    """Where a large image goes; only the user deletes it."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    return cache_folder() / "large" / f"{stamp}-s{seed}.zarr"


def _rerendering(
    base: Pair,
    image: NDArray[np.uint8],
    labels: NDArray[Any],
    region: NDArray[np.bool_] | None,
    request: EditRequest,
) -> Work[Pair]:
    from napari_nudiff.synthesis.local import rerender

    yield from fetching(request.checkpoint)
    parent = base.provenance or None
    after = np.asarray(labels)
    return (yield from rerender(image, base.labels, after, request, region=region, parent=parent))
