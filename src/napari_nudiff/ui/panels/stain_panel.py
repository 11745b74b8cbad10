"""The stain of the next render."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_nudiff.nuclei.stain import AXES, PRESETS, colours_of
from napari_nudiff.session.stain import StainSettings
from napari_nudiff.ui.bind import bind
from napari_nudiff.ui.widgets.fields import Fields, slider
from napari_nudiff.ui.widgets.layer_combo import LayerCombo
from napari_nudiff.ui.widgets.section import Section
from napari_nudiff.ui.widgets.swatches import Swatch, Swatches

_LIKE = "Take the stain of an RGB image, or of a region of it: another slide, another lab."
_TOOLTIPS = {
    "lightness": "Lighter or darker, as between thin and thick, or weak and strong, sections.",
    "contrast": "How clearly nuclei and gaps stand out from the tissue.",
    "redness": "More eosin (pink) or more haematoxylin (violet).",
}
_SPREAD = "How far: 1 = as real slides differ from each other."


class StainPanel(QWidget):
    """Where the stain of the next render comes from, and how it is changed.

    Parameters
    ----------
    settings : StainSettings
    region : QWidget
        The choice of a part of the reference; shown where there is a reference.
    """

    reference_requested = Signal(object)  # RGB layer, or None

    def __init__(self, settings: StainSettings, region: QWidget) -> None:
        super().__init__()
        self._settings = settings
        presets = {"": None} | {name: colours_of(style) for name, style in PRESETS.items()}
        self.presets = Swatches(presets)
        self.reference, self.region = LayerCombo(nothing="no image"), region
        self.sliders = {name: slider(-2.5, 2.5, 0.1, 1) for name in AXES}
        self.vary, self.spread = QCheckBox("another with each seed"), slider(0.1, 1.5, 0.1, 1)
        self.result = Swatch()
        self.adjust = Section("Adjust", QWidget())
        self._fields = Fields()
        self._lay_out()
        self._bindings = [
            bind(settings, "preset", self.presets),
            bind(settings, "vary", self.vary),
            bind(settings, "spread", self.spread, to_field=lambda value: round(value, 1)),
            *(
                bind(settings, name, control, to_field=lambda value: round(value, 1))
                for name, control in self.sliders.items()
            ),
        ]
        self.reference.layer_changed.connect(self._on_reference)
        self.presets.valueChanged.connect(self._on_preset_chosen)
        settings.events.connect(self._on_changed)
        self._on_changed()

    def set_layers(self, layers: Sequence[Any]) -> None:
        """Offer these images as references."""
        self.reference.set_layers(layers)
        self.reference.setEnabled(True)

    def _lay_out(self) -> None:
        fields = self._fields
        fields.add("Like", self.reference, _LIKE)
        fields.add("Part", self.region, "The part of that image whose stain is taken.")
        adjust = Fields()
        for name, control in self.sliders.items():
            adjust.add(name.capitalize(), control, _TOOLTIPS[name])
        adjust.add("Vary", self.vary, "Augmentation: stains as of other slides.")
        adjust.add("Spread", self.spread, _SPREAD)
        row = QHBoxLayout()
        row.addWidget(self.result)
        row.addWidget(QLabel("what is asked for"), 1)
        content = QVBoxLayout(self.adjust.content)
        content.setContentsMargins(0, 0, 0, 0)
        content.addLayout(adjust)
        content.addLayout(row)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.presets)
        layout.addLayout(fields)
        layout.addWidget(self.adjust)

    def _on_reference(self, layer: Any) -> None:
        if layer is not None:
            self._settings.preset = ""
        self.reference_requested.emit(layer)

    def _on_preset_chosen(self, _: str) -> None:
        """One or the other: a preset, or the stain of an image."""
        self.reference.setCurrentIndex(0)

    def _on_changed(self, _: object = None) -> None:
        base = self._settings.base()
        self.result.show_colours(None if base is None else colours_of(base))
        self._fields.show(self.region, self.reference.layer() is not None)
