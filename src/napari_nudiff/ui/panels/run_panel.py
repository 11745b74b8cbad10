"""Start, watch and cancel."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_nudiff.session import Session
from napari_nudiff.session.jobs import Pace
from napari_nudiff.ui.widgets.caption import Caption
from napari_nudiff.ui.widgets.render_button import RenderButton
from napari_nudiff.ui.widgets.step_bar import StepBar

if TYPE_CHECKING:
    from napari_nudiff.synthesis.progress import Progress

_STAGES = {
    "fetch": "Fetching the model",
    "load": "Loading the model",
    "sample": "Drawing nuclei",
    "render": "Rendering",
}


class RunPanel(QWidget):
    """The Render and Cancel buttons and how far a job is.

    Parameters
    ----------
    session : Session
    """

    render_requested = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._pace, self._start_s = Pace(), 0.0
        self.render, self.cancel = RenderButton("Render"), QPushButton("Cancel")
        self.bar, self.status = StepBar(), Caption()
        self._lay_out()
        self.render.clicked.connect(self.render_requested)
        self.cancel.clicked.connect(self._on_cancel)
        session.busy_changed.connect(self._on_busy_changed)
        session.job_started.connect(self._on_started)
        session.progressed.connect(self._on_progressed)
        session.finished.connect(self._on_finished)
        session.failed.connect(self._on_failed)
        session.cancelled.connect(self._on_cancelled)

    def _lay_out(self) -> None:
        self.render.setToolTip("Render the layout (Ctrl+Enter). Your layers stay as they are.")
        self.cancel.setToolTip("Stop after the step that is running (Shift+X).")
        self.cancel.setFixedHeight(34)
        self.cancel.setMinimumWidth(76)
        self.cancel.hide()
        self.status.setText("Ctrl+Enter renders.")
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self.render, 1)
        row.addWidget(self.cancel)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(row)
        layout.addWidget(self.bar)
        layout.addWidget(self.status)

    def _on_cancel(self) -> None:
        self._session.cancel()
        if self._session.cancelling:
            self.cancel.setEnabled(False)
            self.status.setText("Cancelling…")

    def _on_busy_changed(self, busy: bool) -> None:
        self.render.setEnabled(not busy)
        self.cancel.setVisible(busy)
        self.cancel.setEnabled(busy)
        if busy:
            self.bar.show_step(0, 0)
            self.status.setText("Waiting for another window…")
        else:
            self.bar.hide()

    def _on_started(self) -> None:
        self._pace, self._start_s = Pace(), time.monotonic()
        self.status.setText("Starting…")

    def _on_progressed(self, progress: Progress) -> None:
        stage = _STAGES.get(progress.stage, progress.stage)
        if progress.step == 0:
            self.status.setText(f"{stage}…")
            return
        self.bar.show_step(progress.step, progress.steps)
        left_s = self._pace.remaining_s(progress.step, progress.steps, time.monotonic())
        left = "" if left_s is None else f" · {_duration(left_s)} left"
        self.status.setText(f"{stage} · step {progress.step} of {progress.steps}{left}")

    def _on_finished(self, sample: object, source: object) -> None:
        self.status.setText(f"Done in {_duration(time.monotonic() - self._start_s)}.")

    def _on_failed(self, error: object) -> None:
        self.status.setText("Failed; your layers are as they were.")

    def _on_cancelled(self) -> None:
        self.status.setText("Cancelled; your layers are as they were.")


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min" if minutes else f"{rest} s"
