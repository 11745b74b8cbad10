"""Choose a preset, keep one, or remove one."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QHBoxLayout, QInputDialog, QToolButton, QWidget

from napari_nudiff.ui.widgets.fields import choice

_CUSTOM = "your own values"


class PresetEdit(QWidget):
    """A combo box of presets, and buttons to keep the settings as one and to remove one."""

    chosen = Signal(str)
    save_requested = Signal(str)
    remove_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.combo = choice({})
        self.save, self.remove = QToolButton(text="+"), QToolButton(text="−")
        self.combo.setToolTip(
            "Draft: to judge a layout. Standard: for training sets. Paper: as published, slow."
        )
        self.save.setToolTip("Keep steps, sampler and guidance as a preset of your own.")
        self.remove.setToolTip("Remove this preset.")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.combo, 1)
        layout.addWidget(self.save)
        layout.addWidget(self.remove)
        self.combo.activated.connect(self._on_activated)
        self.save.clicked.connect(self._on_save)
        self.remove.clicked.connect(lambda: self.remove_requested.emit(self.combo.currentData()))

    def show_presets(self, names: list[str], current: str, *, removable: bool) -> None:
        """Offer presets; ``current`` is "" where the settings are of none."""
        with QSignalBlocker(self.combo):
            self.combo.clear()
            if not current:
                self.combo.addItem(_CUSTOM, "")
            for name in names:
                self.combo.addItem(name, name)
            self.combo.setCurrentIndex(self.combo.findData(current))
        self.save.setEnabled(not current)
        self.remove.setEnabled(removable)

    def _on_activated(self, _: int) -> None:
        if self.combo.currentData():
            self.chosen.emit(self.combo.currentData())

    def _on_save(self) -> None:
        name, accepted = QInputDialog.getText(self, "Keep as a preset", "Name")
        if accepted:
            self.save_requested.emit(name)
