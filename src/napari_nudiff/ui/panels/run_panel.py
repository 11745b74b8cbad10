"""Start, watch and cancel."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QMenu, QPushButton, QToolButton, QVBoxLayout, QWidget

from napari_nudiff.checkpoints import find_checkpoint
from napari_nudiff.errors import NudiffError
from napari_nudiff.session import Session
from napari_nudiff.session.jobs import Job, Pace
from napari_nudiff.synthesis.memory import estimate_bytes
from napari_nudiff.text import memory_text
from napari_nudiff.ui.widgets.caption import Caption
from napari_nudiff.ui.widgets.render_button import RenderButton
from napari_nudiff.ui.widgets.step_bar import StepBar

if TYPE_CHECKING:
    from napari_nudiff.work import Progress

_STAGES = {
    "fetch": "Fetching the model",
    "load": "Loading the model",
    "sample": "Drawing nuclei",
    "render": "Rendering",
}
_WORKS = {
    "layout": "a layout",
    "nuclei": "nuclei in a region",
    "image": "an image",
    "edit": "what changed",
}
_HEIGHT_PX = 34
_LIVE = (
    "Render while you paint: what changed, a moment after each stroke, with the seed as it is "
    "(Ctrl+L)."
)


class RunPanel(QWidget):
    """The Render, Live and Cancel buttons, what waits, and how far a job is.

    Parameters
    ----------
    session : Session
    """

    render_requested = Signal(str)  # where in line: see `session.Place`
    live_toggled = Signal(bool)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._pace, self._start_s = Pace(), 0.0
        self._size: tuple[int, int] | None = None
        self.render, self.more = RenderButton("Render"), QToolButton()
        self.live, self.cancel = QPushButton("Live"), QPushButton("Cancel")
        self.bar, self.status, self.licence = StepBar(), Caption(), Caption()
        self.waiting = QToolButton()
        self._lay_out()
        self._connect()
        self._on_needs_changed()
        self._on_jobs_changed()

    def _lay_out(self) -> None:
        self.render.setToolTip("Render the layout (Ctrl+Enter). Your layers stay as they are.")
        self.cancel.setToolTip("Stop after the step that is running (Shift+X).")
        self.cancel.hide()
        self.live.setCheckable(True)
        self.live.setToolTip(_LIVE)
        self._lay_out_menus()
        for button in (self.render, self.more, self.live, self.cancel):
            button.setFixedHeight(_HEIGHT_PX)
        self.status.setText("Ctrl+Enter renders.")
        row, below = QHBoxLayout(), QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.render, 1)
        for button in (self.more, self.live, self.cancel):
            row.addWidget(button)
        below.addWidget(self.status, 1)
        below.addWidget(self.waiting, 0, Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(row)
        layout.addWidget(self.bar)
        layout.addLayout(below)
        layout.addWidget(self.licence)

    def _lay_out_menus(self) -> None:
        self.more.setToolTip("Render before, or instead of, what waits.")
        menu = QMenu(self.more)
        menu.addAction("Render next\tCtrl+Shift+Enter", lambda: self._ask("front"))
        menu.addAction("Render instead of what runs and waits", lambda: self._ask("instead"))
        self.more.setMenu(menu)
        self.more.setArrowType(Qt.ArrowType.DownArrow)
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.more.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self.waiting.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.waiting.setToolTip("What waits for its turn.")
        self.waiting.setMenu(QMenu(self.waiting))
        self.waiting.menu().aboutToShow.connect(self._fill_waiting)

    def _connect(self) -> None:
        self.render.clicked.connect(lambda: self._ask("back"))
        self.live.toggled.connect(self.live_toggled)
        self.cancel.clicked.connect(self._on_cancel)
        session = self._session
        session.jobs_changed.connect(self._on_jobs_changed)
        session.busy_changed.connect(self._on_busy_changed)
        session.job_started.connect(self._on_started)
        session.progressed.connect(self._on_progressed)
        session.finished.connect(self._on_finished)
        session.failed.connect(self._on_failed)
        session.cancelled.connect(self._on_cancelled)
        session.rendering.events.connect(self._on_needs_changed)

    def show_layout(self, layer: Any) -> None:
        """Tell what rendering a Labels layer would take."""
        self._size = None if layer is None else layer.data.shape
        self._on_needs_changed()

    def _ask(self, place: str) -> None:
        self.render_requested.emit(place)

    def _fill_waiting(self) -> None:
        menu = self.waiting.menu()
        menu.clear()
        for job in self._session.waiting:
            text = f"Do not render {_WORKS.get(job.title, job.title)}"
            menu.addAction(text, lambda job=job: self._session.cancel_job(job))
        menu.addSeparator()
        menu.addAction("Cancel everything\tCtrl+Shift+X", self._session.cancel_all)

    def _on_cancel(self) -> None:
        self._session.cancel()
        if self._session.cancelling:
            self.cancel.setEnabled(False)
            self.status.setText("Cancelling…")

    def _on_jobs_changed(self) -> None:
        count = len(self._session.waiting)
        self.waiting.setText(f"{count} waiting")
        self.waiting.setVisible(count > 0)

    def _on_busy_changed(self, busy: bool) -> None:
        self.cancel.setVisible(busy)
        self.cancel.setEnabled(busy)
        if busy:
            self.bar.show_step(0, 0)
            self.status.setText("Waiting for another window…")
        else:
            self.bar.hide()

    def _on_started(self, job: Job[Any]) -> None:
        self._pace, self._start_s = Pace(), time.monotonic()
        self.cancel.setEnabled(True)
        self.status.setText("Starting…")

    def _on_progressed(self, progress: Progress) -> None:
        stage = _STAGES.get(progress.stage, progress.stage)
        if progress.done == 0:
            self.status.setText(f"{stage}…")
            return
        self.bar.show_step(progress.done, progress.total)
        left_s = self._pace.remaining_s(progress.done, progress.total, time.monotonic())
        left = "" if left_s is None else f" · {_duration(left_s)} left"
        self.status.setText(f"{stage} · {_done(progress)}{left}")

    def _on_finished(self) -> None:
        self.status.setText(f"Done in {_duration(time.monotonic() - self._start_s)}.")

    def _on_failed(self) -> None:
        self.status.setText("Failed; your layers are as they were.")

    def _on_cancelled(self) -> None:
        self.status.setText("Cancelled; your layers are as they were.")

    def _on_needs_changed(self, _: object = None) -> None:
        settings = self._session.rendering
        try:
            checkpoint = find_checkpoint(settings.model)
        except NudiffError:
            self.licence.setText("Weights: your own file")
            return
        parts = [f"Weights: {checkpoint.licence}"]
        if self._size is not None:
            needed = estimate_bytes(checkpoint, *self._size, guided=settings.guidance != 1)
            parts.append(f"{memory_text(needed)} of memory")
        self.licence.setText(" · ".join(parts))
        self.licence.setToolTip(f"{checkpoint.name}, trained on {checkpoint.training_data}.")


def _done(progress: Progress) -> str:
    if progress.stage != "fetch":
        return f"step {progress.done} of {progress.total}"
    done_mb, size_mb = progress.done / 1e6, progress.total / 1e6
    return f"{done_mb:.0f} of {size_mb:.0f} MB" if size_mb else f"{done_mb:.0f} MB"


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min" if minutes else f"{rest} s"
