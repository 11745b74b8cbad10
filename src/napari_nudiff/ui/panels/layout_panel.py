"""Which layout to render, how to get one, and what should be looked at in it."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_nudiff.checkpoints import find_checkpoint, list_checkpoints
from napari_nudiff.errors import NudiffError
from napari_nudiff.nuclei.descriptors import LEARNED_UM_PER_PX
from napari_nudiff.nuclei.inspection import Finding, fix
from napari_nudiff.session import Session
from napari_nudiff.session.appearance import takes
from napari_nudiff.synthesis.memory import window_count
from napari_nudiff.ui.bind import bind
from napari_nudiff.ui.canvas import Canvas
from napari_nudiff.ui.diameter import area_px, diameter_um
from napari_nudiff.ui.frame import Scale, scale_of
from napari_nudiff.ui.layout_check import LayoutCheck
from napari_nudiff.ui.tools.editor import apply_edit
from napari_nudiff.ui.widgets.caption import Caption
from napari_nudiff.ui.widgets.checkpoint_combo import CheckpointCombo
from napari_nudiff.ui.widgets.fields import Fields, choice, slider
from napari_nudiff.ui.widgets.findings_list import FindingRow, FindingsList
from napari_nudiff.ui.widgets.layer_combo import LayerCombo
from napari_nudiff.ui.widgets.section import Section
from napari_nudiff.ui.widgets.size_edit import SizeEdit

_NO_LAYOUT = "Press New and paint nuclei, or Sample to have them drawn."
_EMPTY = "Empty so far. Paint nuclei with the brush, each with its own number: M picks the next."
_SCALE = "Side of a pixel of a new layout: 0.25 µm as scanned at 40×, 0.5 µm at 20×."
_SCALES = {0.25: "0.25 µm per px (40×)", 0.5: "0.5 µm per px (20×)"}
_NO_SCALE = "No scale in µm"
_HOW_TO_SCALE = (
    "Give the layer its scale in napari's console, for example: layer.scale = 0.5, 0.5; "
    'layer.units = "um"'
)
_FIXES = {
    "speck": "Delete them: they are too small to be drawn.",
    "disconnected": "Give each part its own number; crumbs disappear.",
    "hole": "Fill the holes.",
    "oversized": "Split them where they have necks.",
}


class LayoutPanel(QWidget):
    """Choose a Labels layer, make an empty one, or sample one; see what is wrong with it.

    Parameters
    ----------
    session : Session
    canvas : Canvas
    """

    new_requested = Signal()
    sample_requested = Signal()
    nucleus_show_requested = Signal(object)  # its label
    message_requested = Signal(str)

    def __init__(self, session: Session, canvas: Canvas) -> None:
        super().__init__()
        self._session, self._canvas = session, canvas
        self._followed: Any = None
        self.layer = LayerCombo(placeholder="No layout yet")
        self.layer.setToolTip("The Labels layer whose nuclei are rendered: one number a nucleus.")
        self.check = LayoutCheck()
        self.summary, self.scale, self.findings = Caption(), Caption(), FindingsList()
        self.check_now = QPushButton("Check")
        self.new, self.sample = QPushButton("New"), QPushButton("Sample")
        self.size, self.um_per_px = SizeEdit(), choice(_SCALES)
        self.scale_of_model = Caption()
        self.density, self.diameter = slider(5, 60, 1, 0), slider(3, 15, 0.1, 1)
        self.checkpoint = CheckpointCombo(list_checkpoints("structure"))
        self.options = Section("Size and nuclei of new layouts", QWidget())
        self._turns: dict[str, Any] = {}  # which of a kind's nuclei to show next
        self._lay_out()
        self._connect()
        settings = session.layout
        self._bindings = [
            bind(settings, "height_px", self.size.height_px),
            bind(settings, "width_px", self.size.width_px),
            bind(settings, "um_per_px", self.um_per_px),
            bind(settings, "density", self.density, lambda d: 100 * d, lambda p: round(p) / 100),
            bind(settings, "mean_area_px", self.diameter, diameter_um, area_px),
            bind(settings, "checkpoint", self.checkpoint),
        ]
        self._on_layers_changed()
        self._on_options_changed()

    def close(self) -> bool:
        """Let go of the layers; the widget itself goes with its dock, and may be gone already."""
        self.check.close()
        self._canvas.layers_changed.disconnect(self._on_layers_changed, missing_ok=True)
        self._follow(None)
        return True

    def _lay_out(self) -> None:
        self.new.setToolTip("An empty Labels layer to paint nuclei into.")
        self.sample.setToolTip("Have nuclei drawn by the structure model, others each time.")
        self.check_now.setToolTip("Look for specks, holes and nuclei in several parts.")
        self.check_now.setStyleSheet("font-size: 8pt; padding: 2px 8px;")
        summary, buttons = QHBoxLayout(), QHBoxLayout()
        summary.addWidget(self.summary, 1)
        summary.addWidget(self.check_now)
        for row in (summary, buttons):
            row.setSpacing(6)
        buttons.addWidget(self.new, 1)
        buttons.addWidget(self.sample, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.layer)
        layout.addLayout(summary)
        layout.addWidget(self.scale)
        layout.addWidget(self.findings)
        layout.addLayout(buttons)
        layout.addWidget(self.options)
        self._lay_out_options()

    def _lay_out_options(self) -> None:
        fields = Fields()
        fields.add("Size, px", self.size, "Height and width of a new layout.")
        fields.add("Scale", self.um_per_px, _SCALE)
        fields.add_below(self.scale_of_model)
        fields.add("Density, %", self.density, "Sample: how much of the area nuclei cover.")
        fields.add("Nuclei, µm", self.diameter, "Sample: mean diameter of the nuclei.")
        fields.add("Model", self.checkpoint, "Sample: the structure model that draws the nuclei.")
        self.options.content.setLayout(fields)

    def _connect(self) -> None:
        self.new.clicked.connect(self.new_requested)
        self.sample.clicked.connect(self.sample_requested)
        self.check_now.clicked.connect(self.check.run)
        self.check.checked.connect(self._on_checked)
        self.findings.show_requested.connect(self._on_show)
        self.findings.fix_requested.connect(self._on_fix)
        self.layer.layer_changed.connect(self._on_layer_changed)
        self._canvas.layers_changed.connect(self._on_layers_changed)
        self.destroyed.connect(self.check.close)
        self._session.rendering.events.checkpoint.connect(self._on_scale_changed)
        self._session.layout.events.connect(self._on_options_changed)

    def _on_layers_changed(self) -> None:
        self.layer.set_layers(self._canvas.layouts())
        self._on_layer_changed()

    def _on_layer_changed(self, _: object = None) -> None:
        layer = self.layer.layer()
        self.check.set_layer(layer)
        self._follow(layer)
        if layer is None:
            self._on_checked()
        self._on_scale_changed()

    def _follow(self, layer: Any) -> None:
        """Hear when the scale of a layer changes, and of no other."""
        if layer is self._followed:
            return
        before, self._followed = self._followed, layer
        for event in _scale_events(before):
            event.disconnect(self._on_scale_changed)
        for event in _scale_events(layer):
            event.connect(self._on_scale_changed)

    def _on_options_changed(self, _: object = None) -> None:
        settings = self._session.layout
        only = _only(settings.model, settings.um_per_px)
        self.scale_of_model.setText(f"Sample: {only}." if only else "")
        self.scale_of_model.setVisible(bool(only))

    def _on_scale_changed(self, _: object = None) -> None:
        layer, checkpoint = self.layer.layer(), self._session.rendering.model
        note = "" if layer is None else scale_note(scale_of(layer), checkpoint)
        self.scale.setText(note)
        self.scale.setToolTip(_HOW_TO_SCALE if note.startswith(_NO_SCALE) else "")
        self.scale.setVisible(bool(note))
        self.summary.setText(self._summary(layer))

    def _on_checked(self) -> None:
        layer, report = self.layer.layer(), self.check.report
        self.summary.setText(self._summary(layer))
        self.check_now.setVisible(layer is not None and not self.check.is_current)
        self.findings.set_rows([] if report is None else [_row(f) for f in report.issues])
        self._turns = {}

    def _summary(self, layer: Any) -> str:
        if layer is None:
            return f"{self._canvas.reason_against()} {_NO_LAYOUT}".strip()
        height, width = layer.data.shape
        windows, report = window_count(height, width), self.check.report
        size = f"{height} × {width} px" + (f" · {windows} windows" if windows > 1 else "")
        scale = scale_of(layer)
        if scale.sides_um is not None:
            size += f" · {scale.um_per_px:.3g} µm/px"
        if report is None:
            return size
        if not report.count:
            return _EMPTY
        return f"{report.count} nucle{'us' if report.count == 1 else 'i'} · {size}"

    def _finding(self, kind: str) -> Finding | None:
        """What is found now: the brush may have been there since."""
        if not self.check.is_current:
            self.check.run()
        issues = [] if self.check.report is None else self.check.report.issues
        return next((finding for finding in issues if finding.kind == kind), None)

    def _on_show(self, kind: str) -> None:
        finding = self._finding(kind)
        if finding is not None:
            turn = self._turns.setdefault(kind, cycle(finding.ids))
            self.nucleus_show_requested.emit(next(turn))

    def _on_fix(self, kind: str) -> None:
        finding, layer = self._finding(kind), self.layer.layer()
        if finding is None or layer is None:
            return
        try:
            apply_edit(layer, fix(np.asarray(layer.data), finding))
        except NudiffError as error:
            self.message_requested.emit(str(error))


def scale_note(scale: Scale, checkpoint: str) -> str:
    """What should be known of the scale that a layout is rendered at; "" = nothing."""
    um_per_px = scale.um_per_px
    notes = []
    if scale.sides_um is None:
        notes.append(f"{_NO_SCALE}: taken as {um_per_px:g} µm per px.")
    elif not scale.is_even:
        height, width = scale.sides_um
        notes.append(
            f"Pixels of {height:.3g} × {width:.3g} µm: taken as {um_per_px:.3g} µm per px."
        )
    finest, coarsest = LEARNED_UM_PER_PX
    only = _only(checkpoint, um_per_px)
    if only:
        notes.append(f"{only}: nuclei are drawn as if the layout had that.")
    elif takes(checkpoint, "resolution") and not finest / 1.1 < um_per_px < coarsest * 1.1:
        notes.append(
            f"{um_per_px:.3g} µm per px is beyond what the model has learned, {finest:g} to "
            f"{coarsest:g}."
        )
    return " ".join(notes)


def _only(checkpoint: str, um_per_px: float) -> str:
    """That a model does not make a resolution; "" = it does, or there is no such model."""
    try:
        model = find_checkpoint(checkpoint)
    except NudiffError:  # its job says so in full
        return ""
    if model.makes(um_per_px):
        return ""
    return f"{Path(model.name).name} makes {model.um_per_px:g} µm per px only"


def _scale_events(layer: Any) -> tuple[Any, ...]:
    """What changes the scale of a layer, where there is one."""
    if layer is None:
        return ()
    events = layer.events
    return events.scale, events.units, events.affine, events.rotate, events.shear


def _row(finding: Finding) -> FindingRow:
    text = finding.message[:1].upper() + finding.message[1:]
    return FindingRow(finding.kind, text, _FIXES.get(finding.kind, ""), bool(finding.ids))
