"""The appearance of the next render."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_nudiff.session import Session
from napari_nudiff.session.appearance import takes
from napari_nudiff.ui.widgets.caption import Caption
from napari_nudiff.ui.widgets.fields import Fields
from napari_nudiff.ui.widgets.layer_combo import LayerCombo

if TYPE_CHECKING:
    from napari_nudiff.ui.regions import RegionCombo

_LIKE = (
    "What tissue looks like beyond its stain: fat, mucus, fibres, blur. Take that of an RGB image, "
    "or of a part of it; without one it varies with the seed."
)
_PART = (
    "The part of that image whose appearance is taken: the rectangle around it. Choose it again "
    "after moving it."
)
_VARIES = "Another with each seed, as among the images that the model has learned from."


class _Recalled:
    """Stands among the layers for the appearance of a result that was recalled."""

    name = "as in the recalled result"


RECALLED = _Recalled()


class AppearancePanel(QWidget):
    """Where the appearance of the next render comes from.

    Parameters
    ----------
    session : Session
    region : RegionCombo
        The choice of a part of the reference; shown where there is a reference.
    """

    reference_requested = Signal(object)  # RGB layer, or None

    def __init__(self, session: Session, region: RegionCombo) -> None:
        super().__init__()
        self._session, self._settings = session, session.appearance
        self._layers: list[Any] = []
        self.reference, self.region = LayerCombo(nothing="as it comes"), region
        self.note = Caption()
        self._fields, self._asking = Fields(), False
        self._fields.add("Like", self.reference, _LIKE)
        self._fields.add("Part", self.region, _PART)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(self._fields)
        layout.addWidget(self.note)
        self._connect()
        self._on_changed()

    def set_layers(self, layers: Sequence[Any]) -> None:
        """Offer these images as references."""
        self._layers = list(layers)
        self._offer()
        self._on_changed()

    def _connect(self) -> None:
        self.reference.layer_changed.connect(self._on_reference_chosen)
        self.region.region_changed.connect(self._on_region_chosen)
        # Also where the same one is chosen again: it may have moved.
        self.region.activated.connect(self._on_region_chosen)
        self._settings.events.connect(self._on_settings_changed)
        self._session.rendering.events.checkpoint.connect(self._on_settings_changed)

    @property
    def _checkpoint(self) -> str:
        return self._session.rendering.model

    def _is_recalled(self) -> bool:
        return self._settings.is_recalled(self._checkpoint)

    def _offer(self) -> None:
        recalled = [RECALLED] if self._is_recalled() else []
        self.reference.set_layers([*recalled, *self._layers])

    def _on_reference_chosen(self, layer: Any) -> None:
        if layer is not RECALLED:
            self._ask(layer)

    def _on_region_chosen(self, _: object = None) -> None:
        if self._is_layer(self.reference.layer()):
            self._ask(self.reference.layer())

    def _ask(self, layer: Any) -> None:
        """Ask for the pixels of a layer; they are in the settings when this returns."""
        self._asking = True
        try:
            self.reference_requested.emit(layer)
        finally:
            self._asking = False
        self._on_settings_changed()

    def _on_settings_changed(self, _: object = None) -> None:
        """Show what the settings say, as when a result is recalled, and ask for nothing."""
        if self._asking:
            return
        with QSignalBlocker(self.reference):
            self._offer()
            if self._is_recalled():
                self.reference.choose(RECALLED)
            elif self._settings.reference is None:
                self.reference.choose(None)
        self._on_changed()

    def _on_changed(self) -> None:
        known = takes(self._checkpoint, "appearance")
        layer = self.reference.layer()
        self.reference.setEnabled(known)
        self._fields.show(self.region, known and self._is_layer(layer))
        if not known:
            name = Path(self._checkpoint).name
            self.note.setText(f"{name} takes none. Choose another model: Render, Advanced.")
        else:
            self.note.setText(_VARIES if layer is None else "")
        self.note.setVisible(bool(self.note.text()))

    @staticmethod
    def _is_layer(layer: Any) -> bool:
        return layer is not None and layer is not RECALLED
