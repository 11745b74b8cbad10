"""How the next image is rendered."""

from __future__ import annotations

from qtpy.QtWidgets import QCheckBox, QSpinBox, QVBoxLayout, QWidget

from napari_nudiff.checkpoints import list_checkpoints
from napari_nudiff.session import Session
from napari_nudiff.session.settings import DEVICES, SAMPLERS, draw_seed
from napari_nudiff.ui.bind import bind
from napari_nudiff.ui.canvas import Canvas
from napari_nudiff.ui.widgets.caption import Caption
from napari_nudiff.ui.widgets.checkpoint_combo import CheckpointCombo
from napari_nudiff.ui.widgets.fields import Fields, choice, slider
from napari_nudiff.ui.widgets.layer_combo import LayerCombo
from napari_nudiff.ui.widgets.section import Section
from napari_nudiff.ui.widgets.seed_edit import SeedEdit
from napari_nudiff.ui.widgets.title import Title

_GUIDANCE = (
    "How strictly the image keeps to the layout. 1 = off: closest to real tissue, and faster; 1.2 "
    "keeps nuclei a little clearer; more bleaches the tissue between them."
)
_STAIN = "Take the stain of an RGB image, or leave it to the model: another with each seed."
_STEPS = "More steps: finer texture, and proportionally longer. 20 is a good start."


class RenderPanel(QWidget):
    """Model, seed, guidance, stain and steps of the next render.

    Parameters
    ----------
    session : Session
    canvas : Canvas
    """

    def __init__(self, session: Session, canvas: Canvas) -> None:
        super().__init__()
        self._session, self._canvas = session, canvas
        self.checkpoint = CheckpointCombo(list_checkpoints("image"))
        self.licence = Caption()
        self.seed, self.new_seed = SeedEdit(), QCheckBox("new for each render")
        self.guidance = slider(1, 4, 0.1, 1)
        self.stain = LayerCombo(nothing="as it comes")
        self.steps = QSpinBox(minimum=1, maximum=1000)
        self.sampler, self.device = choice(SAMPLERS), choice(DEVICES)
        self.advanced = Section("Advanced", QWidget())
        self._lay_out()
        self._connect()
        settings = session.rendering
        self._bindings = [
            bind(settings, "checkpoint", self.checkpoint),
            bind(settings, "seed", self.seed),
            bind(settings, "new_seed", self.new_seed),
            bind(settings, "guidance", self.guidance, to_field=lambda g: round(g, 1)),
            bind(settings, "steps", self.steps),
            bind(settings, "sampler", self.sampler),
            bind(settings, "device", self.device),
        ]
        settings.events.checkpoint.connect(self._on_checkpoint_changed)  # after its widget
        self._on_layers_changed()
        self._on_checkpoint_changed()

    def style(self) -> tuple[float, ...] | None:
        """The stain style to ask for; None = as it comes."""
        layer = self.stain.layer()
        return None if layer is None else self._canvas.style_of(layer)

    def _lay_out(self) -> None:
        self.new_seed.setToolTip("Draw another seed before each render.")
        fields = Fields()
        fields.add("Model", self.checkpoint, "The image model; ↓ = is fetched when first used.")
        fields.add_below(self.licence)
        fields.add("Seed", self.seed)
        fields.add_below(self.new_seed)
        fields.add("Guidance", self.guidance, _GUIDANCE)
        fields.add("Stain", self.stain, _STAIN)
        fields.add("Steps", self.steps, _STEPS)
        advanced = Fields()
        advanced.add("Sampler", self.sampler, "How the noise is removed step by step.")
        advanced.add("Device", self.device, "Where to compute.")
        self.advanced.content.setLayout(advanced)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(Title("Render"))
        layout.addLayout(fields)
        layout.addWidget(self.advanced)

    def _connect(self) -> None:
        self.seed.dice_requested.connect(self._on_dice)
        self._canvas.layers_changed.connect(self._on_layers_changed)

    def _on_dice(self) -> None:
        self._session.rendering.seed = draw_seed()

    def _on_layers_changed(self) -> None:
        self.stain.set_layers(self._canvas.references())

    def _on_checkpoint_changed(self, _: object = None) -> None:
        checkpoint = self.checkpoint.checkpoint()
        if checkpoint is None:
            self.licence.setText("your own file")
            return
        self.licence.setText(f"Weights: {checkpoint.licence}")
        self.licence.setToolTip(f"Trained on {checkpoint.training_data}.")
