"""How the next image is rendered."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QSpinBox, QVBoxLayout, QWidget

from napari_nudiff.checkpoints import list_checkpoints
from napari_nudiff.diffusion.names import SAMPLER_NAMES
from napari_nudiff.errors import NudiffError
from napari_nudiff.session import Session
from napari_nudiff.session.presets import Presets
from napari_nudiff.session.settings import DEVICES, SCOPES, draw_seed
from napari_nudiff.ui.bind import bind
from napari_nudiff.ui.canvas import Canvas
from napari_nudiff.ui.widgets.checkpoint_combo import CheckpointCombo
from napari_nudiff.ui.widgets.fields import Fields, choice, slider
from napari_nudiff.ui.widgets.layer_combo import LayerCombo
from napari_nudiff.ui.widgets.preset_edit import PresetEdit
from napari_nudiff.ui.widgets.section import Section
from napari_nudiff.ui.widgets.seed_edit import SeedEdit

_GUIDANCE = (
    "How strictly the image keeps to the layout. 1 = off: closest to real tissue, and faster; 1.2 "
    "keeps nuclei a little clearer; more bleaches the tissue between them."
)
_SCOPE = (
    "The whole layout gives a new image. After an edit, only the changed nuclei and a margin "
    "around them are rendered again: every other pixel stays exactly as it is."
)
_IMAGE = (
    "The image to change: what was rendered of this layout last, or any RGB layer of its size - a "
    "real one too, if the layout shows its nuclei."
)
_STRENGTH = (
    "100 % = filled anew; less = starts from what is there, and changes it less. 50 % keeps the "
    "colours and coarse texture."
)
_STEPS = "More steps: finer texture, and proportionally longer. 20 is a good start."


class RenderPanel(QWidget):
    """What the next render is of, its seed, preset and model.

    Parameters
    ----------
    session : Session
    canvas : Canvas
    region : QWidget
        The choice of a region; shown where a region is rendered.
    """

    image_chosen = Signal(object)  # Image layer, or None = what was rendered last
    failed = Signal(str)

    def __init__(self, session: Session, canvas: Canvas, region: QWidget) -> None:
        super().__init__()
        self._session, self._canvas, self.region = session, canvas, region
        self._presets = Presets()
        self.scope, self.image = choice(SCOPES), LayerCombo(nothing="its last render")
        self.strength = slider(5, 100, 1, 0)
        self.seed, self.new_seed = SeedEdit(), QCheckBox("new for each render")
        self.count = QSpinBox(minimum=1, maximum=64)
        self.preset = PresetEdit()
        self.checkpoint = CheckpointCombo(list_checkpoints("image"))
        self.guidance = slider(1, 4, 0.1, 1)
        self.steps, self.margin = QSpinBox(minimum=1, maximum=1000), QSpinBox(maximum=256)
        self.sampler, self.device = choice(SAMPLER_NAMES), choice(DEVICES)
        self.advanced = Section("Advanced", QWidget())
        self._fields = Fields()
        self._lay_out()
        self._bindings = self._bound()
        self._connect()
        self._on_layers_changed()
        self._on_scope_changed()
        self._on_values_changed()

    def _bound(self) -> list[object]:
        settings, editing = self._session.rendering, self._session.editing
        return [
            bind(settings, "checkpoint", self.checkpoint),
            bind(settings, "seed", self.seed),
            bind(settings, "new_seed", self.new_seed),
            bind(settings, "count", self.count),
            bind(settings, "guidance", self.guidance, to_field=lambda g: round(g, 1)),
            bind(settings, "steps", self.steps),
            bind(settings, "sampler", self.sampler),
            bind(settings, "device", self.device),
            bind(editing, "scope", self.scope),
            bind(editing, "strength", self.strength, _percent, lambda p: round(p) / 100),
            bind(editing, "margin_px", self.margin),
        ]

    def _lay_out(self) -> None:
        self.new_seed.setToolTip("Draw another seed before each render.")
        fields = self._fields
        fields.add("Render", self.scope, _SCOPE)
        fields.add("In", self.image, _IMAGE)
        fields.add("Region", self.region)
        fields.add("Strength, %", self.strength, _STRENGTH)
        fields.add("Seed", self.seed)
        fields.add_below(self.new_seed)
        fields.add("Images", self.count, "Variations: as many images, with seeds in a row.")
        fields.add("Preset", self.preset)
        advanced = Fields()
        advanced.add("Model", self.checkpoint, "The image model; ↓ = is fetched when first used.")
        advanced.add("Guidance", self.guidance, _GUIDANCE)
        advanced.add("Steps", self.steps, _STEPS)
        advanced.add("Sampler", self.sampler, "How the noise is removed step by step.")
        advanced.add("Margin, px", self.margin, "How far around changed nuclei pixels may change.")
        advanced.add("Device", self.device, "Where to compute.")
        self.advanced.content.setLayout(advanced)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(fields)
        layout.addWidget(self.advanced)

    def _connect(self) -> None:
        self.seed.dice_requested.connect(self.draw_seed)
        self.image.layer_changed.connect(self.image_chosen)
        self._canvas.layers_changed.connect(self._on_layers_changed)
        self._session.editing.events.scope.connect(self._on_scope_changed)
        self._session.rendering.events.connect(self._on_values_changed)
        self._presets.changed.connect(self._on_values_changed)
        self.preset.chosen.connect(self._on_preset_chosen)
        self.preset.save_requested.connect(self._on_save)
        self.preset.remove_requested.connect(self._on_remove)

    def draw_seed(self) -> None:
        """Draw another seed."""
        self._session.rendering.seed = draw_seed()

    def _on_layers_changed(self) -> None:
        self.image.set_layers(self._canvas.references())
        self.image.setEnabled(True)

    def _on_scope_changed(self, _: object = None) -> None:
        scope = self._session.editing.scope
        for control in (self.image, self.strength):
            self._fields.show(control, scope != "whole")
        self._fields.show(self.region, scope == "region")

    def _on_values_changed(self, _: object = None) -> None:
        name = self._presets.name_of(self._session.rendering)
        self.preset.show_presets(self._presets.names(), name, removable=self._presets.is_own(name))

    def _on_preset_chosen(self, name: str) -> None:
        self._presets.apply(name, self._session.rendering)

    def _on_save(self, name: str) -> None:
        self._attempt(lambda: self._presets.save(name, self._session.rendering))

    def _on_remove(self, name: str) -> None:
        self._attempt(lambda: self._presets.remove(name))

    def _attempt(self, deed: Callable[[], None]) -> None:
        try:
            deed()
        except NudiffError as error:
            self.failed.emit(str(error))


def _percent(strength: float) -> float:
    return 100 * strength
