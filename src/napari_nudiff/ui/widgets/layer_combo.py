"""A combo box of layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QWidget

from napari_nudiff.ui.widgets.fields import shrinkable


class LayerCombo(QComboBox):
    """Offers layers by name and keeps the chosen one as long as it is there.

    Parameters
    ----------
    nothing : str
        What to offer besides the layers; "" = one of them must be chosen if there is any.
    placeholder : str
        What to show where there is nothing to choose.
    """

    layer_changed = Signal(object)

    def __init__(
        self, nothing: str = "", placeholder: str = "", parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        shrinkable(self)
        self._nothing = nothing
        self.setPlaceholderText(placeholder)
        self.set_layers([])
        self.currentIndexChanged.connect(lambda _: self.layer_changed.emit(self.layer()))

    def layer(self) -> Any:
        """The chosen layer, or None."""
        return self.currentData()

    def layers(self) -> list[Any]:
        """What is offered."""
        return [data for i in range(self.count()) if (data := self.itemData(i)) is not None]

    def choose(self, layer: Any) -> None:
        """Choose a layer that is offered."""
        self.setCurrentIndex(self._index_of(layer))

    def set_layers(self, layers: Sequence[Any]) -> None:
        """Offer these layers instead."""
        before = self.layer()
        with QSignalBlocker(self):
            self.clear()
            if self._nothing:
                self.addItem(self._nothing, None)
            for layer in layers:
                self.addItem(layer.name, layer)
            self.setCurrentIndex(max(self._index_of(before), 0 if self.count() else -1))
            self.setEnabled(self.count() > 0)
        if self.layer() is not before:
            self.layer_changed.emit(self.layer())

    def _index_of(self, layer: Any) -> int:
        # Not findData: it would compare layers with ==.
        return next((i for i in range(self.count()) if self.itemData(i) is layer), -1)
