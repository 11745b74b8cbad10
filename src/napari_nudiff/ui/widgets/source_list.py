"""A short list of folders and files, each of which can be taken out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_nudiff.ui.widgets.accent import EOSIN, HEMATOXYLIN_LIGHT

_COLOURS = {"synthetic": HEMATOXYLIN_LIGHT, "real": EOSIN}


class SourceList(QWidget):
    """Names of sources and what they hold."""

    remove_requested = Signal(str, object)  # kind, Path

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows: list[QWidget] = []
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(2)

    def show_sources(self, synthetic: Sequence[Path], real: Sequence[Path]) -> None:
        """List sources anew."""
        for row in self.rows:
            self._layout.removeWidget(row)
            row.deleteLater()
        kinds = [("synthetic", path) for path in synthetic] + [("real", path) for path in real]
        self.rows = [self._row(kind, path) for kind, path in kinds]
        for row in self.rows:
            self._layout.addWidget(row)
        self.setVisible(bool(self.rows))

    def _row(self, kind: str, path: Path) -> QWidget:
        row, name, what, remove = (
            QWidget(),
            QElidingLabel(path.name),
            QLabel(kind),
            QPushButton("×"),
        )
        name.setElideMode(Qt.TextElideMode.ElideMiddle)
        name.setToolTip(str(path))
        what.setStyleSheet(f"font-size: 8pt; color: {_COLOURS[kind]};")
        remove.setFixedSize(22, 22)
        remove.setStyleSheet("padding: 0px;")
        remove.setToolTip("Do not review these. Nothing is deleted.")
        remove.setAccessibleName(f"leave out {path.name}")
        remove.clicked.connect(lambda: self.remove_requested.emit(kind, path))
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(name, 1)
        layout.addWidget(what)
        layout.addWidget(remove)
        return row
