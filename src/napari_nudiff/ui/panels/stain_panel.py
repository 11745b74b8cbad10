"""The stain of the next render."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_nudiff.nuclei.stain import AXES, PRESETS, colours_of, offsets_of
from napari_nudiff.session.stain import StainSettings
from napari_nudiff.ui.bind import bind
from napari_nudiff.ui.widgets.caption import Caption
from napari_nudiff.ui.widgets.fields import Fields, slider
from napari_nudiff.ui.widgets.layer_combo import LayerCombo
from napari_nudiff.ui.widgets.section import Section
from napari_nudiff.ui.widgets.swatches import Swatch, Swatches

if TYPE_CHECKING:
    from napari_nudiff.ui.regions import RegionCombo

TAKEN = "taken from an image"
"""The last of the swatches; there only where it is the chosen one."""

_LIKE = "Take the stain of an RGB image, or of a part of it: another slide, another lab."
_PART = (
    "The part of that image whose stain is taken: a piece of tissue with nuclei in it, as large as "
    "a field of view. Choose it again after moving it."
)
_TOOLTIPS = {
    "lightness": "Lighter or darker, as between thin and thick, or weak and strong, sections.",
    "contrast": "How clearly nuclei and gaps stand out from the tissue.",
    "redness": "More eosin (pink) or more haematoxylin (violet).",
}
_VARY = "Augmentation: each image of a batch in another stain, as if of another slide."
_SPREAD = "How far: 1 = as real slides differ from each other."
_EXAMPLES = 6


class StainPanel(QWidget):
    """Where the stain of the next render comes from, and how it is changed.

    Parameters
    ----------
    settings : StainSettings
    region : RegionCombo
        The choice of a part of the reference; shown where there is a reference.
    """

    reference_requested = Signal(object)  # RGB layer, or None

    def __init__(self, settings: StainSettings, region: RegionCombo) -> None:
        super().__init__()
        self._settings = settings
        stains = {name: colours_of(style) for name, style in PRESETS.items()}
        self.presets = Swatches({"": None} | stains | {TAKEN: None})
        self.reference, self.region = LayerCombo(nothing="no image"), region
        self.vary, self.spread = QCheckBox("another with each seed"), slider(0.1, 1.5, 0.1, 1)
        self.examples = [Swatch() for _ in range(_EXAMPLES)]
        self.adjust = Section("Adjust", QWidget())
        self.sliders = {name: slider(-2.5, 2.5, 0.1, 1) for name in AXES}
        self.result, self.numbers = Swatch(), Caption()
        self.reset = QPushButton("Reset")
        self._fields, self._asking = Fields(), False
        self._lay_out()
        self._bindings = self._bound()
        self._connect()
        self._on_changed()

    def set_layers(self, layers: Sequence[Any]) -> None:
        """Offer these images as references."""
        self.reference.set_layers(layers)
        self.reference.setEnabled(True)

    def _bound(self) -> list[object]:
        settings = self._settings
        bindings = [
            bind(settings, name, control, to_field=lambda value: round(value, 1))
            for name, control in {**self.sliders, "spread": self.spread}.items()
        ]
        return [*bindings, bind(settings, "vary", self.vary)]

    def _connect(self) -> None:
        self.presets.valueChanged.connect(self._on_swatch_clicked)
        self.reference.layer_changed.connect(self._on_reference_chosen)
        self.region.region_changed.connect(self._on_region_chosen)
        # Also where the same one is chosen again: it may have moved.
        self.region.activated.connect(self._on_region_chosen)
        self.reset.clicked.connect(self._settings.reset)
        self._settings.events.reference.connect(self._on_reference_changed)
        self._settings.events.connect(self._on_changed)

    def _lay_out(self) -> None:
        fields = self._fields
        fields.add("Like", self.reference, _LIKE)
        fields.add("Part", self.region, _PART)
        fields.add("Vary", self.vary, _VARY)
        fields.add("Spread", self.spread, _SPREAD)
        fields.add_below(self._examples_row())
        self._lay_out_adjustments()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.presets)
        layout.addLayout(fields)
        layout.addWidget(self.adjust)

    def _lay_out_adjustments(self) -> None:
        adjust = Fields()
        for name, control in self.sliders.items():
            adjust.add(name.capitalize(), control, _TOOLTIPS[name])
        self.result.setToolTip("The stain that is asked for.")
        self.numbers.setToolTip("Where it lies among real stains: 0 = the mean, 2 = rare.")
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.result)
        row.addWidget(self.numbers, 1)
        row.addWidget(self.reset)
        content = QVBoxLayout(self.adjust.content)
        content.setContentsMargins(0, 0, 0, 0)
        content.addLayout(adjust)
        content.addLayout(row)

    def _examples_row(self) -> QWidget:
        self._examples_box = QWidget()
        row = QHBoxLayout(self._examples_box)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(3)
        for seed, swatch in enumerate(self.examples):
            swatch.setToolTip(f"The stain of seed {seed}.")
            row.addWidget(swatch)
        row.addStretch(1)
        return self._examples_box

    def _ask(self, layer: Any) -> None:
        """Ask for the style of a layer; it is in the settings when this returns."""
        self._asking = True
        try:
            self.reference_requested.emit(layer)
        finally:
            self._asking = False
        self._on_changed()

    def _on_swatch_clicked(self, name: str) -> None:
        """One or the other: a preset, or the stain of an image."""
        if name != TAKEN:
            self._settings.choose(name)
            self.reference.setCurrentIndex(0)

    def _on_reference_chosen(self, layer: Any) -> None:
        if layer is not None:
            self._settings.preset = ""
        self._ask(layer)

    def _on_region_chosen(self, _: object = None) -> None:
        if self.reference.layer() is not None:
            self._ask(self.reference.layer())

    def _on_reference_changed(self, _: object) -> None:
        """A style that no layer was asked for, as when a result is recalled."""
        if not self._asking:
            with QSignalBlocker(self.reference):
                self.reference.setCurrentIndex(0)
            self._on_changed()

    def _on_changed(self, _: object = None) -> None:
        self._show_chosen()
        self._show_result()
        vary = self._settings.vary
        self._fields.show(self.region, self.reference.layer() is not None)
        self._fields.show(self.spread, vary)
        self._fields.show(self._examples_box, vary)
        if vary:
            self._show_examples()

    def _show_chosen(self) -> None:
        preset, reference = self._settings.preset, self._settings.reference
        taken = self.presets.buttons[TAKEN]
        taken.setVisible(reference is not None and preset not in PRESETS)
        if reference is not None:
            taken.show_colours(colours_of(reference))
        known = preset if preset in PRESETS else ""
        self.presets.setValue(TAKEN if not known and reference is not None else known)

    def _show_result(self) -> None:
        base = self._settings.base()
        self.result.show_colours(None if base is None else colours_of(base))
        self.numbers.setText("as it comes" if base is None else _in_words(offsets_of(base)))
        self.reset.setEnabled(self._settings.adjusted)

    def _show_examples(self) -> None:
        for seed, swatch in enumerate(self.examples):
            style = self._settings.style(seed)
            swatch.show_colours(None if style is None else colours_of(style))


def _in_words(offsets: dict[str, float]) -> str:
    """Offsets in a line, with signs; a name and its number are never parted."""
    parts = (f"{name.removesuffix('ness')}\u00a0{_signed(x)}" for name, x in offsets.items())
    return " · ".join(parts)


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−").replace("+0.0", "0.0").replace("−0.0", "0.0")
