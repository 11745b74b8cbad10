"""A file of one's own, on its way into the list of models."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_nudiff.session.models import HEAD_CHANNELS, FileToAdd
from napari_nudiff.ui.widgets.caption import Caption
from napari_nudiff.ui.widgets.fields import Fields
from napari_nudiff.ui.widgets.title import Title

_FILTER = "Models (*.safetensors *.pt *.pth)"
_NAME = "What the model is called in lists and on the command line."
_LICENCE = (
    "Of the weights: it is stored with every image that they make. Weights trained on data under "
    "a non-commercial licence are bound by it. Empty = unknown."
)
_HEADS = (
    "Width of an attention head, in channels. It is not in the file: 64 is the authors' "
    "published configuration; with another the network computes something else, without any error."
)


class AddModelPanel(QWidget):
    """Choose a file, see what it is, name it and add it; hidden until a file is chosen."""

    inspect_requested = Signal(object)  # Path
    add_requested = Signal(object)  # FileToAdd

    def __init__(self) -> None:
        super().__init__()
        self._path: Path | None = None
        self._file: FileToAdd | None = None
        self.about, self.form = Caption(), QWidget()
        self.name, self.licence, self.heads = QLineEdit(), QLineEdit(), QSpinBox()
        self.add, self.cancel = QPushButton("Add"), QPushButton("Cancel")
        self._lay_out()
        self.add.clicked.connect(self._on_add)
        self.cancel.clicked.connect(self.clear)
        self.name.returnPressed.connect(self.add.click)
        self.clear()

    def choose_file(self) -> None:
        """Ask for a file."""
        chosen, _ = QFileDialog.getOpenFileName(self, "Add a model", "", _FILTER)
        if chosen:
            self.look_into(Path(chosen))

    def look_into(self, path: Path) -> None:
        """Ask what a file is."""
        self._path = path
        self.about.setText(f"Looking into {path.name}…")
        self.form.hide()
        self.add.setEnabled(False)
        self.show()
        self.inspect_requested.emit(path)

    def show_file(self, file: FileToAdd) -> None:
        """Show what the file that was asked about is, and ask for the rest."""
        if file.path != self._path:
            return  # another window's
        self._file = file
        kind = "the authors' " if file.official else ""
        self.about.setText(f"{file.path.name}: {kind}{file.role} model.")
        self.name.setText(file.name)
        self.licence.setText("" if file.licence == "unknown" else file.licence)
        self._fields.show(self.heads, file.official)
        self.heads.setValue(file.head_channels)
        self.form.show()
        self.add.setEnabled(True)

    def give_up(self, verb: str) -> None:
        """After a failure: of a look into the file, close; of adding it, let the user correct."""
        if verb == "inspect":
            self.clear()
        self.add.setEnabled(self._file is not None)

    def clear(self) -> None:
        """Add nothing."""
        self._path = self._file = None
        self.hide()

    def _on_add(self) -> None:
        if self._file is None or not self.add.isEnabled():
            return
        self.add.setEnabled(False)
        self.add_requested.emit(
            FileToAdd(
                self._file.path,
                self._file.role,
                self.name.text().strip(),
                self.licence.text().strip() or "unknown",
                self._file.official,
                self.heads.value(),
            )
        )

    def _lay_out(self) -> None:
        self.licence.setPlaceholderText("unknown")
        self.heads.setRange(1, 1024)
        self.heads.setValue(HEAD_CHANNELS)
        self._fields = Fields()
        self._fields.add("Name", self.name, _NAME)
        self._fields.add("Licence", self.licence, _LICENCE)
        self._fields.add("Head width", self.heads, _HEADS)
        self.form.setLayout(self._fields)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self.add)
        buttons.addWidget(self.cancel)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(Title("Add a file"))
        layout.addWidget(self.about)
        layout.addWidget(self.form)
        layout.addLayout(buttons)
