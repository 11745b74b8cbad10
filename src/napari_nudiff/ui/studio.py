"""What the buttons and keys do: between the session, which renders, and the viewer's layers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal
from qtpy.QtWidgets import QApplication

from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.dataset.sample import unpack_layout
from napari_nudiff.errors import NudiffError, RequestError
from napari_nudiff.nuclei.editing import extend_canvas
from napari_nudiff.session import Session
from napari_nudiff.session.jobs import JobError
from napari_nudiff.session.results import Results
from napari_nudiff.session.session import Place
from napari_nudiff.ui.canvas import Canvas
from napari_nudiff.ui.frame import Frame, scale_of
from napari_nudiff.ui.widgets.extend_form import Extension

if TYPE_CHECKING:
    from napari.layers import Image, Labels

    from napari_nudiff.dataset.pyramid import Pyramid
    from napari_nudiff.work import Progress

Kind = Literal["layout", "inside", "extended", "image", "live"]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Task:
    """What a job is for; the session hands it back with what the job made.

    Attributes
    ----------
    kind : str
    frame : Frame
        Where its result goes.
    layer : Labels, optional
        The layout that it was made of, or for.
    labels : ndarray, optional
        Of that layout, as they were then.
    classes : mapping of int to str
        Of its nuclei by their ids.
    single : bool
        Whether it is the only one that was asked for.
    """

    kind: Kind
    frame: Frame
    layer: Labels | None = None
    labels: Any = None
    classes: Mapping[int, str] = field(default_factory=dict)
    single: bool = True

    @property
    def um_per_px(self) -> float | None:
        """Scale of the layout."""
        return None if self.layer is None else scale_of(self.layer).um_per_px


class Studio:
    """The deeds of the Synthesise dock.

    Parameters
    ----------
    session : Session
    canvas : Canvas
    results : Results

    Attributes
    ----------
    layer : Labels or None
        The layout that is chosen.
    image : Image or None
        The image to render changes into; None = what was rendered of the layout last.
    apply_at_once : bool
        Whether a single render becomes layers as soon as it is done.
    """

    hinted = Signal(str)
    failed = Signal(object)  # JobError
    layout_added = Signal(object)  # Labels
    shown = Signal(object)  # id of the result that is previewed, or None
    live_ended = Signal(bool)  # whether it ran to its end
    layout_chosen = Signal(object)  # Labels, or None

    def __init__(self, session: Session, canvas: Canvas, results: Results) -> None:
        self.session, self.canvas, self.results = session, canvas, results
        self.layer: Labels | None = None
        self.image: Image | None = None
        self.apply_at_once = True
        self._last: WeakKeyDictionary[Labels, Pair] = WeakKeyDictionary()
        self._layer_of: dict[str, Labels | None] = {}
        self._shown: str | None = None
        self._live: tuple[Task, Pair] | None = None
        results.removed.connect(self._on_removed)
        session.progressed.connect(self._on_progressed)
        session.finished.connect(self._on_finished)
        session.failed.connect(self._on_failed)
        session.cancelled.connect(self._on_cancelled)

    # Layouts

    def choose_image(self, image: Image | None) -> None:
        """Make a layer the image that changes are rendered into; None = the last render."""
        self.image = image

    def choose_layout(self, layer: Labels | None) -> None:
        """Make a layer the layout that is rendered."""
        self.layer = layer
        self.layout_chosen.emit(layer)

    def new_layout(self) -> None:
        """Add an empty layout and hand the user the brush."""
        settings = self.session.layout
        empty = np.zeros((settings.height_px, settings.width_px), dtype=np.int32)
        layer = self.canvas.add_layout(Layout(empty), self._new_frame())
        self.canvas.start_painting(layer)
        self.layout_added.emit(layer)

    def sample_layout(self) -> None:
        """Sample a layout."""
        self._ask(self.session.sample, Task("layout", self._new_frame()))

    def _new_frame(self) -> Frame:
        return self.canvas.new_frame("layout", self.session.layout.um_per_px)

    def sample_inside(self, mask: Mask) -> None:
        """Sample nuclei in a region of the layout; they replace those there, as one edit."""
        task = self._task("inside")
        if task is not None:
            self._ask(self.session.sample_inside, task.labels, mask, task, task.um_per_px)

    def extend(self, extension: Extension) -> None:
        """Extend the canvas, as another layer; the model continues the nuclei if it shall."""
        task = self._task("extended")
        if task is None:
            return
        top, right, bottom, left, continued = extension
        task = replace(task, frame=task.frame.shifted(-top, -left))
        if continued:
            sides = top, right, bottom, left
            self._ask(self.session.extend, task.labels, sides, task, task.um_per_px)
        else:
            extended = extend_canvas(task.labels, top, right, bottom, left)
            layout = Layout(extended, task.classes)
            self.layout_added.emit(self.canvas.add_layout(layout, task.frame))

    # Images

    def render(self, place: Place = "back", region: Mask | None = None) -> None:
        """Render what the settings say: the whole layout, what changed of it, or a region.

        Parameters
        ----------
        place : {"back", "front", "instead"}
            Where it stands in line.
        region : ndarray, (H, W), bool, optional
            Which region, where the settings say so.
        """
        task = self._task("image")
        if task is None:
            return
        task = replace(task, single=self.session.rendering.count == 1)
        if self.session.editing.scope == "whole":
            how = {"source": task, "place": place, "um_per_px": task.um_per_px}
            self._ask(self.session.render, task.labels, **how)
        else:
            self._rerender(task, place, region)

    def _rerender(self, task: Task, place: Place, region: Mask | None) -> None:
        assert task.layer is not None
        try:
            base = self._base(task.layer)
        except Exception as error:  # a layer may be read from a disk, lazily
            self._on_failed(JobError.of(error))
            return
        only_changes = self.session.editing.scope == "changes"
        if only_changes and np.array_equal(base.labels, task.labels):
            self.hinted.emit(
                "Nothing changed since the image was made. Edit the layout first, or choose a "
                "region to render again."
            )
            return
        region = None if only_changes else region
        how = {"source": task, "place": place, "um_per_px": task.um_per_px}
        self._ask(self.session.rerender, base, task.labels, region=region, **how)

    def _base(self, layer: Labels) -> Pair:
        """The image to change, with the layout that it fits."""
        if self.image is not None:
            return self._sample_of(self.image, layer)
        if layer not in self._last:
            raise RequestError(
                "Nothing was rendered of this layout yet. Render the whole layout first, or choose "
                "the image that it belongs to."
            )
        return self._last[layer]

    def _sample_of(self, image: Image, layer: Labels) -> Pair:
        provenance = image.metadata.get("nudiff", {})
        packed = provenance.get("layout")
        before = self.canvas.original_of(layer) if packed is None else unpack_layout(packed)
        if before is None:
            raise RequestError(
                "This layout is too large to remember how it was. Choose a region instead."
            )
        return Pair(Layout(before), self.canvas.pixels_of(image), provenance=provenance)

    # Live

    @property
    def has_live_image(self) -> bool:
        """Whether there is a live image that is not kept yet."""
        return self._live is not None

    def render_live(self, *, afresh: bool, **overrides: Any) -> bool:
        """Render what changed since the last live image, in front of all that waits.

        Parameters
        ----------
        afresh : bool
            Render the whole layout: there is no live image yet, or the settings changed.
        **overrides
            Values that go before those of the settings.

        Returns
        -------
        bool
            Whether a job was started.
        """
        task = self._task("live")
        if task is None:
            return False
        overrides |= {"source": task, "place": "front", "count": 1, "um_per_px": task.um_per_px}
        same = self._live is not None and self._live[0].layer is task.layer
        base = self._live[1] if self._live is not None and same and not afresh else None
        if base is None or base.labels.shape != task.labels.shape:
            return self._ask(self.session.render, task.labels, **overrides)
        if np.array_equal(base.labels, task.labels):
            return False
        return self._ask(self.session.rerender, base, task.labels, **overrides)

    def end_live(self) -> None:
        """Keep the live image, if there is one, among the results."""
        if self._live is not None:
            (task, sample), self._live = self._live, None
            self._keep(replace(task, single=False), sample)

    # Results

    def preview(self, result_id: str | None) -> None:
        """Show a result above the layers; None = show none."""
        self._shown = result_id
        if result_id is None:
            self.canvas.clear_preview()
        else:
            self._attempt(self._show, result_id)
        self.shown.emit(result_id)

    def apply(self, result_id: str) -> None:
        """Make a result layers of the viewer."""
        self._attempt(self._apply, result_id)

    def apply_shown(self) -> None:
        """Make the result that is shown layers; a live image too."""
        if self._live is not None:
            self.end_live()
        if self._shown is None:
            self.hinted.emit("No result is shown. Click one in the list first.")
        else:
            self.apply(self._shown)

    def show_image(self, image: NDArray[np.uint8], result_id: str) -> None:
        """Show any image where a result lies: a comparison."""
        self.canvas.show_result(image, self._frame_of(result_id))

    def recall(self, result_id: str, what: str) -> None:
        """Set the settings to those of a result: "all", or only its "seed"."""
        request = self.results.find(result_id).provenance["request"]
        self.session.recall(request, only_seed=what == "seed")

    def copy_request(self, result_id: str) -> None:
        """Put what made a result on the clipboard, as JSON."""
        request = self.results.find(result_id).provenance.get("request", {})
        QApplication.clipboard().setText(json.dumps(request, indent=1))

    def _attempt(self, deed: Any, result_id: str) -> None:
        try:
            deed(result_id)
        except NudiffError as error:  # its file is damaged, or gone
            self._on_failed(JobError.of(error))

    def _show(self, result_id: str) -> None:
        image = self.results.sample(result_id).image
        assert image is not None
        self.canvas.show_result(image, self._frame_of(result_id))

    def _apply(self, result_id: str) -> None:
        sample = self.results.sample(result_id)
        self.canvas.add_pair(sample, self._frame_of(result_id))
        layer = self._layer_of.get(result_id)
        if layer is not None:
            self._last[layer] = sample
        self.results.mark_applied(result_id)
        self._shown = None
        self.shown.emit(None)

    def _frame_of(self, result_id: str) -> Frame:
        result = self.results.find(result_id)
        return Frame(result.name, result.spatial)

    # What becomes of jobs

    def _task(self, kind: Kind) -> Task | None:
        """A task for the layout that is chosen, as it is now; None if there is none."""
        if self.layer is None:
            self.hinted.emit("There is no layout to render yet. Press New or Sample first.")
            return None
        try:
            layout = self.canvas.copy_of(self.layer)
            return Task(kind, Frame.of(self.layer), self.layer, layout.labels, layout.classes)
        except Exception as error:  # a layer may be read from a disk, lazily
            self._on_failed(JobError.of(error))
            return None

    def _ask(self, verb: Callable[..., None], *args: Any, **how: Any) -> bool:
        """Ask the session for something; whether it was begun."""
        try:
            verb(*args, **how)
        except NudiffError as error:  # a setting is out of range
            self._on_failed(JobError.of(error))
            return False
        return True

    def _on_progressed(self, progress: Progress, task: Task) -> None:
        if progress.preview is not None and task.kind != "inside":
            image = progress.preview()
            self.canvas.show_preview(image, _frame_of_preview(image, task))
        if progress.note:
            self.hinted.emit(progress.note)

    def _on_finished(self, sample: Pair | Pyramid, task: Task) -> None:
        if not isinstance(sample, Pair):
            self._add_pyramid(sample._replace(classes=task.classes), task)
            return
        # Models know no classes: the nuclei that one was given keep theirs, by their ids.
        sample = replace(sample, layout=replace(sample.layout, classes=task.classes))
        if task.kind in {"layout", "extended"}:
            self.canvas.clear_preview()
            self.layout_added.emit(self.canvas.add_sampled(sample, task.frame))
        elif task.kind == "inside":
            self._change_layout(sample, task)
        elif task.kind == "live":
            self._on_live(sample, task)
        else:
            self._keep(task, sample)

    def _add_pyramid(self, pyramid: Pyramid, task: Task) -> None:
        """Large images are on disk already: they become layers, and no results."""
        self.canvas.clear_preview()
        self.canvas.add_pyramid(pyramid, task.frame)
        self.hinted.emit(
            f"The image lies in {pyramid.path}. Its layers read from there: keep that folder as "
            "long as you need them."
        )

    def _on_live(self, sample: Pair, task: Task) -> None:
        self._live = task, sample
        assert sample.image is not None
        self.canvas.show_result(sample.image, task.frame)
        self.live_ended.emit(True)

    def _keep(self, task: Task, sample: Pair) -> None:
        result = self.results.add(sample, task.frame.name, task.frame.spatial)
        self._layer_of[result.id] = task.layer
        if task.layer is not None:
            self._last[task.layer] = sample
        if task.single and self.apply_at_once:
            self.apply(result.id)
        else:
            self.preview(result.id)

    def _change_layout(self, sample: Pair, task: Task) -> None:
        assert task.layer is not None
        if not self.canvas.change_layout(task.layer, task.labels, sample.labels):
            self.layout_added.emit(self.canvas.add_sampled(sample, task.frame))
            self.hinted.emit(
                "You went on editing the layout while nuclei were drawn, so they are in a layer "
                "of their own."
            )

    def _on_removed(self, result_id: str) -> None:
        self._layer_of.pop(result_id, None)

    def _on_failed(self, error: JobError) -> None:
        self.canvas.clear_preview()
        self.live_ended.emit(False)
        self.failed.emit(error)

    def _on_cancelled(self, task: Task) -> None:
        self.canvas.clear_preview()
        if task.kind == "live":
            self.live_ended.emit(False)


def _frame_of_preview(preview: NDArray[np.uint8], task: Task) -> Frame:
    """Where a preview lies: that of a large canvas has fewer pixels."""
    if task.labels is None or preview.shape[0] >= task.labels.shape[0]:
        return task.frame
    return task.frame.enlarged(task.labels.shape[0] / preview.shape[0])
