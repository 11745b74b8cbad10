"""Which layout to render, and how to get one."""

from __future__ import annotations

import math
from typing import Any

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_nudiff.checkpoints import list_checkpoints
from napari_nudiff.session import Session
from napari_nudiff.session.settings import UM_PER_PX
from napari_nudiff.ui.bind import bind
from napari_nudiff.ui.canvas import Canvas
from napari_nudiff.ui.widgets.caption import Caption
from napari_nudiff.ui.widgets.checkpoint_combo import CheckpointCombo
from napari_nudiff.ui.widgets.fields import Fields, slider
from napari_nudiff.ui.widgets.layer_combo import LayerCombo
from napari_nudiff.ui.widgets.section import Section
from napari_nudiff.ui.widgets.size_edit import SizeEdit
from napari_nudiff.ui.widgets.title import Title

_COUNT_DELAY_MS = 250  # after a stroke of the brush
_NO_LAYOUT = "Press New and paint nuclei, or Sample to have them drawn."
_EMPTY = "Empty so far. Paint nuclei with the brush, each with its own number: M picks the next."


class LayoutPanel(QWidget):
    """Choose a Labels layer, make an empty one, or sample one.

    Parameters
    ----------
    session : Session
    canvas : Canvas
    """

    new_requested = Signal()
    sample_requested = Signal()

    def __init__(self, session: Session, canvas: Canvas) -> None:
        super().__init__()
        self._canvas = canvas
        self.layer = LayerCombo(placeholder="No layout yet")
        self.layer.setToolTip("The Labels layer whose nuclei are rendered: one number a nucleus.")
        self.summary = Caption()
        self.new, self.sample = QPushButton("New"), QPushButton("Sample")
        self.size = SizeEdit()
        self.density, self.diameter = slider(5, 60, 1, 0), slider(3, 15, 0.1, 1)
        self.checkpoint = CheckpointCombo(list_checkpoints("structure"))
        self.options = Section("Size and nuclei of new layouts", QWidget())
        self._timer = QTimer(self, singleShot=True, interval=_COUNT_DELAY_MS)
        self._lay_out()
        self._connect()
        settings = session.layout
        self._bindings = [
            bind(settings, "height_px", self.size.height_px),
            bind(settings, "width_px", self.size.width_px),
            bind(settings, "density", self.density, lambda d: 100 * d, lambda p: round(p) / 100),
            bind(settings, "mean_area_px", self.diameter, _diameter_um, _area_px),
            bind(settings, "checkpoint", self.checkpoint),
        ]
        self._on_layers_changed()

    def set_busy(self, busy: bool) -> None:
        """A busy session samples nothing."""
        self.sample.setEnabled(not busy)

    def _lay_out(self) -> None:
        self.new.setToolTip("An empty Labels layer to paint nuclei into.")
        self.sample.setToolTip("Have nuclei drawn by the structure model, others each time.")
        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        buttons.addWidget(self.new, 1)
        buttons.addWidget(self.sample, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        for widget in (Title("Layout"), self.layer, self.summary):
            layout.addWidget(widget)
        layout.addLayout(buttons)
        layout.addWidget(self.options)
        self._lay_out_options()

    def _lay_out_options(self) -> None:
        fields = Fields()
        fields.add("Size, px", self.size, "Height and width of a new layout.")
        fields.add("Density, %", self.density, "Sample: how much of the area nuclei cover.")
        fields.add("Nuclei, µm", self.diameter, "Sample: mean diameter of the nuclei.")
        fields.add("Model", self.checkpoint, "Sample: the structure model that draws the nuclei.")
        self.options.content.setLayout(fields)

    def _connect(self) -> None:
        self.new.clicked.connect(self.new_requested)
        self.sample.clicked.connect(self.sample_requested)
        self.layer.layer_changed.connect(self._on_layer_changed)
        self._timer.timeout.connect(self._on_layer_changed)
        self._canvas.layers_changed.connect(self._on_layers_changed)
        self._canvas.layout_edited.connect(self._on_layout_edited)

    def _on_layers_changed(self) -> None:
        self.layer.set_layers(self._canvas.layouts())
        self._on_layer_changed()

    def _on_layout_edited(self, layer: Any) -> None:
        if layer is self.layer.layer():
            self._timer.start()

    def _on_layer_changed(self, _: object = None) -> None:
        layer = self.layer.layer()
        if layer is None:
            self.summary.setText(f"{self._canvas.reason_against()} {_NO_LAYOUT}".strip())
            return
        height, width = layer.data.shape
        count = self._canvas.nuclei_in(layer)
        counted = "" if count is None else f"{count} nucle{'us' if count == 1 else 'i'} · "
        self.summary.setText(_EMPTY if count == 0 else f"{counted}{height} × {width} px")


def _diameter_um(area_px: float) -> float:
    return 2 * math.sqrt(area_px / math.pi) * UM_PER_PX


def _area_px(diameter_um: float) -> float:
    return round(math.pi * (round(diameter_um, 1) / UM_PER_PX / 2) ** 2, 1)
