"""A combo box of checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QComboBox, QWidget

from napari_nudiff.checkpoints import Checkpoint, local_path
from napari_nudiff.ui.widgets.fields import shrinkable


class CheckpointCombo(QComboBox):
    """Offers checkpoints by name; "" as item data means the first, embedded one.

    Parameters
    ----------
    checkpoints : sequence of Checkpoint
    """

    def __init__(self, checkpoints: Sequence[Checkpoint], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        shrinkable(self)
        self._known = {checkpoint.name: checkpoint for checkpoint in checkpoints}
        default = next((c.name for c in checkpoints if c.embedded), "")
        for name, checkpoint in self._known.items():
            self.addItem(_title(checkpoint), "" if name == default else name)
        self._default = default

    def checkpoint(self) -> Checkpoint | None:
        """The chosen one, where the registry knows it."""
        return self._known.get(self.currentData() or self._default)

    def findData(self, name: str) -> int:
        """Index of a checkpoint; a file named by its path is added."""
        found = int(super().findData(name))
        if found < 0 and Path(name).suffix:
            with QSignalBlocker(self):
                self.addItem(Path(name).name, name)
            return int(self.count()) - 1
        return found


def _title(checkpoint: Checkpoint) -> str:
    if local_path(checkpoint) is not None:
        return checkpoint.name
    return f"{checkpoint.name}  ↓ {checkpoint.size_bytes / 2**20:.0f} MB"
