"""The Synthesise dock: create, lay out, connect."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_nudiff.session import Session
from napari_nudiff.session.jobs import JobError
from napari_nudiff.ui.canvas import Canvas, Frame
from napari_nudiff.ui.executor import device_queue
from napari_nudiff.ui.keys import CANCEL_KEY, RENDER_KEY, Keys
from napari_nudiff.ui.panels.layout_panel import LayoutPanel
from napari_nudiff.ui.panels.render_panel import RenderPanel
from napari_nudiff.ui.panels.run_panel import RunPanel
from napari_nudiff.ui.preferences import Preferences
from napari_nudiff.ui.widgets.message_area import MessageArea

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_nudiff.dataset.sample import Sample
    from napari_nudiff.synthesis.progress import Progress

MIN_WIDTH_PX = 320


class SynthesisDock(QWidget):
    """From a layout of nuclei to an H&E image, with a person in between.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        # napari hands plugins a proxy, whose layers are never identical to those of an event.
        viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.session = Session(device_queue())
        self.canvas = Canvas(viewer)
        self.message = MessageArea()
        self.layout_panel = LayoutPanel(self.session, self.canvas)
        self.render_panel = RenderPanel(self.session, self.canvas)
        self.run_panel = RunPanel(self.session)
        self.preferences = Preferences(self.session.rendering, self.message.show_error)
        keys = {RENDER_KEY: self.render, CANCEL_KEY: self.run_panel.cancel.click}
        self.keys = Keys(viewer, self, keys)
        self._lay_out()
        self._connect()

    def render(self) -> None:
        """Render the chosen layout."""
        layer = self.layout_panel.layer.layer()
        if layer is None:
            self.message.show_hint("There is no layout to render yet. Press New or Sample first.")
        elif not self.session.busy:
            self.message.clear()
            self._start(layer)

    def new_layout(self) -> None:
        """Add an empty layout and hand the user the brush."""
        settings = self.session.layout
        empty = np.zeros((settings.height_px, settings.width_px), dtype=np.int32)
        layer = self.canvas.add_layout(empty, self.canvas.new_frame("layout"))
        self.canvas.start_painting(layer)
        self.layout_panel.layer.choose(layer)

    def sample_layout(self) -> None:
        """Sample a layout."""
        self.message.clear()
        self.session.sample(source=self.canvas.new_frame("layout"))

    def shut_down(self) -> None:
        """Cancel what runs and let go of the viewer; a second time does nothing."""
        _close(self.session, self.keys, self.preferences, self.canvas)

    def event(self, event: QEvent) -> bool:
        """Notice that napari closes the dock: it takes the widget out of its parent."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.shut_down()
        return bool(super().event(event))

    def closeEvent(self, event: QCloseEvent) -> None:
        """Shut down with the window."""
        self.shut_down()
        super().closeEvent(event)

    def _lay_out(self) -> None:
        content = QWidget()
        inner = QVBoxLayout(content)
        inner.setContentsMargins(0, 0, 6, 0)
        inner.setSpacing(16)
        inner.addWidget(self.layout_panel)
        inner.addWidget(self.render_panel)
        inner.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidget(content)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 2, 8)
        layout.setSpacing(8)
        layout.addWidget(scroll, 1)
        bottom = QVBoxLayout()
        bottom.setContentsMargins(0, 0, 6, 0)
        bottom.setSpacing(8)
        bottom.addWidget(self.message)
        bottom.addWidget(self.run_panel)
        layout.addLayout(bottom)
        self.setMinimumWidth(MIN_WIDTH_PX)

    def _connect(self) -> None:
        self.layout_panel.new_requested.connect(self.new_layout)
        self.layout_panel.sample_requested.connect(self.sample_layout)
        self.run_panel.render_requested.connect(self.render)
        self.session.busy_changed.connect(self.layout_panel.set_busy)
        self.session.progressed.connect(self._on_progressed)
        self.session.finished.connect(self._on_finished)
        self.session.failed.connect(self._on_failed)
        self.session.cancelled.connect(self.canvas.clear_preview)
        parts = self.session, self.keys, self.preferences, self.canvas
        self.destroyed.connect(partial(_close, *parts))  # the viewer's window was closed

    def _start(self, layer: Labels) -> None:
        try:
            labels, style = self.canvas.copy_of(layer), self.render_panel.style()
        except Exception as error:  # a layer may be read from a disk, lazily
            self._on_failed(JobError.of(error))
        else:
            self.session.render(labels, style=style, source=Frame.of(layer))

    def _on_progressed(self, progress: Progress, frame: Frame) -> None:
        if progress.preview is not None:
            self.canvas.show_preview(progress.preview, frame)

    def _on_finished(self, sample: Sample, frame: Frame) -> None:
        if sample.image is not None:
            self.canvas.add_pair(sample, frame)
        else:
            self.layout_panel.layer.choose(self.canvas.add_sampled(sample, frame))
        self.canvas.clear_preview()

    def _on_failed(self, error: JobError) -> None:
        self.canvas.clear_preview()
        self.message.show_error(str(error), error.report)


def _close(*parts: Any) -> None:
    for part in parts:
        part.close()
