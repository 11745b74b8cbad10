"""Everything that is known of one checkpoint."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QWidget

from napari_nudiff.checkpoints import Checkpoint, local_path
from napari_nudiff.session.catalogue import Entry
from napari_nudiff.text import size_text
from napari_nudiff.ui.widgets.fields import Fields

_ROLES = {
    "image": "image model: renders a layout",
    "structure": "structure model: draws layouts",
}
_TAKES = {"style": "stain", "density": "density and size of nuclei"}
_SHORT_SHA256 = 12
_COPY = "Copy"


class ModelDetails(QWidget):
    """Role, licence, origin and fingerprint; text can be selected, the fingerprint copied."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sha256 = ""
        self.role, self.licence, self.training_data = _Value(), _Value(), _Value()
        self.resolution, self.takes = _Value(), _Value()
        self.place, self.sha256 = _Value(), _Value()
        self.copy_button = QPushButton(_COPY)
        self.copy_button.setToolTip("Copy the whole fingerprint.")
        self.copy_button.setStyleSheet("font-size: 8pt; padding: 1px 8px;")
        self.copy_button.clicked.connect(self._on_copy)
        self._lay_out()

    def show_entry(self, entry: Entry) -> None:
        """Show a checkpoint."""
        checkpoint = entry.checkpoint
        self.role.setText(_ROLES.get(checkpoint.role, checkpoint.role))
        self.licence.setText(checkpoint.licence)
        self.training_data.setText(checkpoint.training_data)
        self.resolution.setText(f"{checkpoint.um_per_px:g} µm per px")
        self.takes.setText(", ".join(_TAKES.get(c, c) for c in checkpoint.conditions) or "–")
        self._show_place(checkpoint)
        self._sha256 = checkpoint.sha256
        self.sha256.setText(f"{checkpoint.sha256[:_SHORT_SHA256]}…")
        self.sha256.setToolTip(checkpoint.sha256)
        self.copy_button.setText(_COPY)

    def _show_place(self, checkpoint: Checkpoint) -> None:
        path = local_path(checkpoint)
        size = size_text(checkpoint.size_bytes)
        self.place.setText(f"{size}, to download" if path is None else f"{size}, {path.name}")
        self.place.setToolTip("" if path is None else str(path))

    def _on_copy(self) -> None:
        QApplication.clipboard().setText(self._sha256)
        self.copy_button.setText("Copied")

    def _lay_out(self) -> None:
        fields = Fields()
        fields.setVerticalSpacing(4)
        fields.add("Role", self.role)
        fields.add("Licence", self.licence, "Of the weights: it goes with every image made.")
        fields.add("Trained on", self.training_data)
        fields.add("Resolution", self.resolution, "Of the images that it was trained on.")
        fields.add("Takes", self.takes, "What it can be given beside the layout.")
        fields.add("File", self.place)
        fingerprint = QWidget()
        row = QHBoxLayout(fingerprint)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.sha256, 1)
        row.addWidget(self.copy_button)
        fields.add("sha256", fingerprint)
        for row in range(1, fields.rowCount()):  # texts may have several lines
            fields.itemAtPosition(row, 0).setAlignment(Qt.AlignmentFlag.AlignTop)
        self.setLayout(fields)


class _Value(QLabel):
    """A wrapped text that can be selected."""

    def __init__(self) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
