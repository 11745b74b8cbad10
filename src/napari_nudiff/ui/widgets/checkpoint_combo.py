"""A combo box of checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QComboBox, QWidget

from napari_nudiff.checkpoints import Checkpoint, list_checkpoints, local_path
from napari_nudiff.checkpoints.models import is_path
from napari_nudiff.checkpoints.registry import DEFAULTS
from napari_nudiff.errors import CheckpointError
from napari_nudiff.text import size_text
from napari_nudiff.ui.catalogue import catalogue_news
from napari_nudiff.ui.widgets.fields import shrinkable


class CheckpointCombo(QComboBox):
    """Offers checkpoints of a role by name; "" as item data means the default one.

    It follows the catalogue: what was fetched, added or deleted elsewhere shows here too.

    Parameters
    ----------
    checkpoints : sequence of Checkpoint
    """

    def __init__(self, checkpoints: Sequence[Checkpoint], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        shrinkable(self)
        self._roles = {checkpoint.role for checkpoint in checkpoints}
        self._default = next((c.name for c in checkpoints if c.name in DEFAULTS), "")
        self._known: dict[str, Checkpoint] = {}
        self._fill(checkpoints)
        catalogue_news().changed.connect(self.refresh)

    def checkpoint(self) -> Checkpoint | None:
        """The chosen one, where the registry knows it."""
        return self._known.get(self.currentData() or self._default)

    def findData(self, name: str) -> int:
        """Index of a checkpoint; a file named by its path is added."""
        found = int(super().findData(name))
        if found < 0 and is_path(name):
            with QSignalBlocker(self):
                self.addItem(Path(name).name, name)
            return int(self.count()) - 1
        return found

    def refresh(self) -> None:
        """List the checkpoints again; the choice stays, or falls back on the default one."""
        try:
            checkpoints = [c for c in list_checkpoints() if c.role in self._roles]
        except CheckpointError:
            return  # what is shown still works; whoever changes the list is told
        chosen = self.currentData()
        with QSignalBlocker(self):
            self.clear()
            self._fill(checkpoints)
            if chosen is None:
                self.setCurrentIndex(-1)
            else:
                self.setCurrentIndex(max(self.findData(chosen), 0))
        if self.currentData() != chosen:
            self.currentIndexChanged.emit(self.currentIndex())

    def _fill(self, checkpoints: Sequence[Checkpoint]) -> None:
        self._known = {checkpoint.name: checkpoint for checkpoint in checkpoints}
        for name, checkpoint in self._known.items():
            self.addItem(_title(checkpoint), "" if name == self._default else name)


def _title(checkpoint: Checkpoint) -> str:
    if local_path(checkpoint) is not None:
        return checkpoint.name
    return f"{checkpoint.name}  ↓ {size_text(checkpoint.size_bytes)}"
