"""Where the pairs of a set come from, and which of them are good enough."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_nudiff.dataset.export.options import Gate
from napari_nudiff.session.exports import Sources, Which, results_of
from napari_nudiff.session.results import Results
from napari_nudiff.ui.widgets.fields import Fields

_WHICH: dict[Which, str] = {
    "dear": "starred or applied",
    "starred": "starred",
    "applied": "applied",
    "all": "all",
    "none": "none",
}
_PLACE, _IS_REAL = Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole + 1
_LIST_HEIGHT_PX = 66


class ExportSourcesPanel(QWidget):
    """Results of this window, folders of pairs, folders of real images, and least grades."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._results: list[Results] = []
        self.which = QComboBox()
        for key, text in _WHICH.items():
            self.which.addItem(text, key)
        self.folders = QListWidget()
        self.add_pairs, self.add_real = QPushButton("Add pairs…"), QPushButton("Add real…")
        self.remove = QPushButton("Remove")
        self.realism, self.correctness = _grade_box(), _grade_box()
        self.without_flags = QCheckBox("Leave out pairs with flagged nuclei")
        self._lay_out()
        self._connect()

    def show_results(self, results: list[Results]) -> None:
        """Offer the results of the Synthesise docks that are open."""
        self._results = results
        for row, (which, text) in enumerate(_WHICH.items()):
            count = sum(len(results_of(each, which)) for each in results)
            self.which.setItemText(row, text if which == "none" else f"{text} ({count})")
        self.which.setEnabled(bool(results))

    def add_folder(self, path: Path, *, is_real: bool) -> None:
        """Take a folder, once."""
        for row in range(self.folders.count()):
            if self.folders.item(row).data(_PLACE) == str(path):
                return
        item = QListWidgetItem(f"{path.name}  ·  {'real' if is_real else 'pairs'}")
        item.setData(_PLACE, str(path))
        item.setData(_IS_REAL, is_real)
        item.setToolTip(str(path))
        self.folders.addItem(item)
        self.changed.emit()

    def sources(self) -> Sources:
        """What is chosen, with the results as they are now."""
        which = cast("Which", self.which.currentData())
        taken = [candidate for each in self._results for candidate in results_of(each, which)]
        items = [self.folders.item(row) for row in range(self.folders.count())]
        pairs, real = (
            tuple(Path(item.data(_PLACE)) for item in items if item.data(_IS_REAL) == wanted)
            for wanted in (False, True)
        )
        return Sources(tuple(taken), pairs, real)

    def gate(self) -> Gate:
        """The least grades."""
        return Gate(
            min_realism=self.realism.value(),
            min_correctness=self.correctness.value(),
            without_flags=self.without_flags.isChecked(),
        )

    def _choose(self, is_real: bool) -> None:
        what = "labelled real images" if is_real else "pairs or a session"
        folder = QFileDialog.getExistingDirectory(self, f"A folder of {what}")
        if folder:
            self.add_folder(Path(folder), is_real=is_real)

    def _on_remove(self) -> None:
        for item in self.folders.selectedItems():
            self.folders.takeItem(self.folders.row(item))
        self.changed.emit()

    def _connect(self) -> None:
        self.which.currentIndexChanged.connect(lambda _: self.changed.emit())
        self.add_pairs.clicked.connect(lambda: self._choose(False))
        self.add_real.clicked.connect(lambda: self._choose(True))
        self.remove.clicked.connect(self._on_remove)
        self.folders.itemSelectionChanged.connect(
            lambda: self.remove.setEnabled(bool(self.folders.selectedItems()))
        )
        self.without_flags.toggled.connect(lambda _: self.changed.emit())
        for box in (self.realism, self.correctness):
            box.valueChanged.connect(lambda _: self.changed.emit())

    def _lay_out(self) -> None:
        self.folders.setFixedHeight(_LIST_HEIGHT_PX)
        self.folders.setStyleSheet("QListWidget::item { padding: 2px 4px; }")
        self.remove.setEnabled(False)
        self.add_pairs.setToolTip(
            "A saved session, or a folder that nudiff generate or nudiff render wrote."
        )
        self.add_real.setToolTip(
            "Your own labelled images, in any format that nudiff data reads. Patients are never "
            "torn apart; beside real images, synthetic ones are for training only."
        )
        fields = Fields()
        fields.add("This window", self.which, "Results of the Synthesise dock of this window.")
        below = Fields()
        below.add("Realism", self.realism, "Least mean grade of the reviewers, of the image.")
        below.add("Labels", self.correctness, "Least mean grade of the reviewers, of the labels.")
        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        for button in (self.add_pairs, self.add_real, self.remove):
            buttons.addWidget(button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(fields)
        layout.addWidget(self.folders)
        layout.addLayout(buttons)
        layout.addLayout(below)
        layout.addWidget(self.without_flags)


def _grade_box() -> Any:
    box = QDoubleSpinBox()
    box.setRange(0, 5)
    box.setSingleStep(0.5)
    box.setDecimals(1)
    box.setPrefix("at least ")
    box.setSpecialValueText("whatever the grade")
    return box
