"""The Synthesise dock: create, lay out, connect."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QSplitter, QWidget

from napari_nudiff.errors import NudiffError
from napari_nudiff.session import Session
from napari_nudiff.session.jobs import JobError
from napari_nudiff.ui import keys
from napari_nudiff.ui.activity import Activity
from napari_nudiff.ui.canvas import Canvas
from napari_nudiff.ui.executor import device_queue
from napari_nudiff.ui.keeping import Keeping
from napari_nudiff.ui.live import LiveMode
from napari_nudiff.ui.open_results import open_results
from napari_nudiff.ui.panels.appearance_panel import AppearancePanel
from napari_nudiff.ui.panels.layout_panel import LayoutPanel
from napari_nudiff.ui.panels.nuclei_panel import NucleiPanel
from napari_nudiff.ui.panels.render_panel import RenderPanel
from napari_nudiff.ui.panels.results_panel import ResultsPanel
from napari_nudiff.ui.panels.run_panel import RunPanel
from napari_nudiff.ui.panels.stain_panel import StainPanel
from napari_nudiff.ui.preferences import Preferences
from napari_nudiff.ui.regions import RegionCombo
from napari_nudiff.ui.studio import Studio
from napari_nudiff.ui.widgets.dock_content import DockContent, scrolled_parts
from napari_nudiff.ui.widgets.key_list import KeyList
from napari_nudiff.ui.widgets.message_area import MessageArea
from napari_nudiff.ui.widgets.part import Part
from napari_nudiff.ui.widgets.section import Section

if TYPE_CHECKING:
    from napari_nudiff.session.session import Place


class SynthesisDock(DockContent):
    """From a layout of nuclei to an H&E image, with a person in between.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        # napari hands plugins a proxy, whose layers are never identical to those of an event.
        viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self._viewer = viewer
        self.session = Session(device_queue())
        self.canvas = Canvas(viewer)
        self.message = MessageArea()
        self.preferences = Preferences(self.session.rendering, self.message.show_error)
        self.keeping = Keeping(self.session, self.canvas, self.preferences)
        self.results = self.keeping.results
        self.studio = Studio(self.session, self.canvas, self.results)
        self.live = LiveMode(self.studio)
        self.studio.apply_at_once = self.preferences.apply_renders
        self.live.max_px = self.preferences.live_max_px
        self.activity = Activity(self.session)
        self._create_panels(viewer)
        self._actions = self._actions_by_key()
        self.keys = keys.Keys(viewer, self, self._actions)
        self._lay_out()
        self._connect()
        open_results.add(viewer, self.results)
        self.keeping.offer_recovery(self.message)

    def shut_down(self) -> None:
        """Cancel what runs and let go of the viewer; a second time does nothing."""
        _call(*self._closers())

    def _create_panels(self, viewer: Any) -> None:
        self.layout_panel = LayoutPanel(self.session, self.canvas)
        self.nuclei_panel = NucleiPanel(self.session, self.canvas)
        self.region = RegionCombo(viewer, lambda: self.nuclei_panel.editor.ids)
        self.render_panel = RenderPanel(self.session, self.canvas, self.region)
        self.stain_region = RegionCombo(viewer)
        self.stain_panel = StainPanel(self.session.stain, self.stain_region)
        self.appearance_region = RegionCombo(viewer)
        self.appearance_panel = AppearancePanel(self.session, self.appearance_region)
        self.results_panel = ResultsPanel(self.results)
        self.run_panel = RunPanel(self.session)

    def _actions_by_key(self) -> dict[keys.Key, Any]:
        return {
            keys.RENDER: partial(self._render, "back"),
            keys.RENDER_NEXT: partial(self._render, "front"),
            keys.CANCEL: self.run_panel.cancel.click,
            keys.CANCEL_ALL: self.session.cancel_all,
            keys.LIVE: self.run_panel.live.click,
            keys.NEXT: partial(self.results_panel.step, 1),
            keys.PREVIOUS: partial(self.results_panel.step, -1),
            keys.APPLY: self.studio.apply_shown,
            keys.SEED: self.render_panel.draw_seed,
        }

    def _lay_out(self) -> None:
        # The results stay in sight, below whatever part is worked on.
        self.splitter = QSplitter(Qt.Orientation.Vertical)
        self.splitter.addWidget(scrolled_parts(self._parts()))
        self.splitter.addWidget(self.results_panel)
        self.splitter.setStretchFactor(0, 1)
        self.splitter.setStretchFactor(1, 0)
        self.splitter.setChildrenCollapsible(False)
        self.fill(self.splitter, (self.message, self.run_panel))

    def _parts(self) -> list[QWidget]:
        keys_ = KeyList((key.qt, key.does) for key in self._actions)
        return [
            Part("Layout", self.layout_panel),
            Part("Nuclei", self.nuclei_panel),
            Part("Render", self.render_panel),
            Part("Stain", self.stain_panel),
            Part("Appearance", self.appearance_panel),
            Section("Keys", keys_),
        ]

    def _connect(self) -> None:
        self._connect_layouts()
        self._connect_results()
        studio, session, message = self.studio, self.session, self.message
        self.render_panel.image_chosen.connect(studio.choose_image)
        self.render_panel.failed.connect(message.show_error)
        self.run_panel.render_requested.connect(self._render)
        self.run_panel.live_toggled.connect(self.live.toggle)
        self.live.toggled.connect(self._on_live)
        studio.hinted.connect(message.show_hint)
        studio.failed.connect(self._on_failed)
        session.job_started.connect(message.clear)
        closers = self._closers()
        self.destroyed.connect(lambda _: _call(*closers))  # the viewer's window was closed

    def _connect_layouts(self) -> None:
        layouts, nuclei, studio = self.layout_panel, self.nuclei_panel, self.studio
        layouts.new_requested.connect(studio.new_layout)
        layouts.sample_requested.connect(studio.sample_layout)
        layouts.layer.layer_changed.connect(studio.choose_layout)
        studio.layout_chosen.connect(nuclei.set_layer)
        studio.layout_chosen.connect(self.run_panel.show_layout)
        studio.layout_added.connect(layouts.layer.choose)
        nuclei.sample_inside_requested.connect(studio.sample_inside)
        nuclei.extend_requested.connect(studio.extend)
        nuclei.message_requested.connect(self.message.show_hint)
        layouts.message_requested.connect(self.message.show_hint)
        layouts.nucleus_show_requested.connect(nuclei.show_nuclei)
        self.canvas.layers_changed.connect(self._on_layers_changed)
        self.stain_panel.reference_requested.connect(self._on_reference)
        self.appearance_panel.reference_requested.connect(self._on_appearance)
        self._on_layers_changed()
        studio.choose_layout(layouts.layer.layer())

    def _connect_results(self) -> None:
        panel, studio, keeping = self.results_panel, self.studio, self.keeping
        panel.preview_requested.connect(studio.preview)
        panel.apply_requested.connect(studio.apply)
        panel.recall_requested.connect(studio.recall)
        panel.save_session_requested.connect(keeping.save_session)
        panel.open_session_requested.connect(keeping.open_session)
        panel.save_requested.connect(keeping.save)
        panel.copy_requested.connect(studio.copy_request)
        panel.comparison_moved.connect(studio.show_image)
        panel.failed.connect(self.message.show_error)
        keeping.failed.connect(self.message.show_error)
        studio.shown.connect(panel.select)

    def _render(self, place: Place) -> None:
        try:
            self.studio.render(place, self._region())
        except NudiffError as error:
            self.message.show_hint(str(error))

    def _region(self) -> Any:
        """The region to render, where one is asked for."""
        layer = self.studio.layer
        if layer is None or self.session.editing.scope != "region":
            return None
        return self.region.mask_in(layer)

    def _on_layers_changed(self) -> None:
        references = self.canvas.references()
        self.stain_panel.set_layers(references)
        self.appearance_panel.set_layers(references)

    def _on_reference(self, _: object = None) -> None:
        layer = self.stain_panel.reference.layer()
        try:
            style = None if layer is None else self.canvas.style_of(layer, self.stain_region)
        except NudiffError as error:
            self.message.show_hint(str(error))
        else:
            self.session.stain.reference = style

    def _on_appearance(self, layer: Any) -> None:
        region = self.appearance_region
        try:
            reference = None if layer is None else self.canvas.reference_of(layer, region)
        except NudiffError as error:
            self.message.show_hint(str(error))
        else:
            self.session.appearance.choose(reference)

    def _on_live(self, on: bool) -> None:
        self.run_panel.live.setChecked(on)

    def _on_failed(self, error: JobError) -> None:
        self.message.show_error(str(error), error.report)

    def _closers(self) -> tuple[Callable[[], object], ...]:
        parts = self.live, self.session, self.activity, self.keys, self.preferences
        panels = self.layout_panel.close, self.nuclei_panel.close
        regions = (self.region, self.stain_region, self.appearance_region)
        last = *(region.release for region in regions), self.keeping.close, self.canvas.close
        hidden = partial(open_results.discard, self._viewer, self.results)
        return hidden, *(part.close for part in parts), *panels, *last


def _call(*deeds: Callable[[], object]) -> None:
    for deed in deeds:
        deed()
