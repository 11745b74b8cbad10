"""How a set is split, and what becomes of its nuclei and names."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QLineEdit, QSpinBox, QVBoxLayout, QWidget

from napari_nudiff.dataset.export.options import ExportOptions
from napari_nudiff.errors import RequestError
from napari_nudiff.ui.widgets.fields import Fields
from napari_nudiff.ui.widgets.section import Section

_USUAL = ExportOptions()
_BORDER = {"keep": "keep", "drop": "leave out"}


class ExportSplitPanel(QWidget):
    """Shares for validation and tests; border, least area, class names and file names."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.val, self.test = _percent(_USUAL.val), _percent(_USUAL.test)
        self.train_only = QCheckBox("Synthetic for training only, beside real")
        self.train_only.setChecked(True)
        self.seed = QSpinBox()
        self.seed.setRange(0, 2**31 - 1)
        self.border = QComboBox()
        for key, text in _BORDER.items():
            self.border.addItem(text, key)
        self.min_area = QSpinBox()
        self.min_area.setRange(0, 10_000)
        self.min_area.setSuffix(" px")
        self.classes, self.names = QLineEdit(), QLineEdit(_USUAL.names)
        self.title, self.licence = QLineEdit(_USUAL.title), QLineEdit()
        self._lay_out()
        self._connect()

    def values(self) -> dict[str, Any]:
        """What is chosen, as `ExportOptions` takes it.

        Raises
        ------
        RequestError
            The class map cannot be understood.
        """
        return {
            "val": self.val.value() / 100,
            "test": self.test.value() / 100,
            "synthetic_in_train_only": None if self.train_only.isChecked() else False,
            "seed": self.seed.value(),
            "border": self.border.currentData(),
            "min_area_px": self.min_area.value(),
            "classes": _class_map(self.classes.text()),
            "names": self.names.text(),
            "title": self.title.text() or _USUAL.title,
            "licence": self.licence.text() or _USUAL.licence,
        }

    def _connect(self) -> None:
        for box in (self.val, self.test, self.seed, self.min_area):
            box.valueChanged.connect(lambda _: self.changed.emit())
        self.border.currentIndexChanged.connect(lambda _: self.changed.emit())
        self.train_only.toggled.connect(lambda _: self.changed.emit())
        for edit in (self.classes, self.names, self.title, self.licence):
            edit.editingFinished.connect(self.changed.emit)

    def _lay_out(self) -> None:
        self.train_only.setToolTip(
            "Scores on synthetic images say little about real ones. Without real images in the "
            "set this changes nothing."
        )
        self.classes.setPlaceholderText("tumour=neoplastic, debris=")
        self.licence.setPlaceholderText("of your real images")
        shares = Fields()
        shares.add("Validation", self.val, "Share of the images. Lineages are never torn apart.")
        shares.add("Test", self.test, "Share of the images. Lineages are never torn apart.")
        details = QWidget()
        more = Fields()
        details.setLayout(more)
        more.add("At the border", self.border, "Nuclei that the border of the image cuts.")
        more.add("Least area", self.min_area, "Smaller nuclei are left out.")
        more.add("Classes", self.classes, "old=new, several with commas; old= leaves them out.")
        more.add("File names", self.names, "Of index, kind, name, split and seed, in braces.")
        more.add("Title", self.title, "In the datasheet.")
        more.add("Licence", self.licence, "Of your real images; models bring their own.")
        more.add("Seed", self.seed, "Of the split: equal seeds split alike.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(shares)
        layout.addWidget(self.train_only)
        layout.addWidget(Section("Nuclei, names and title", details))


def _percent(share: float) -> QSpinBox:
    box = QSpinBox()
    box.setRange(0, 90)
    box.setSuffix(" %")
    box.setValue(round(100 * share))
    return box


def _class_map(text: str) -> dict[str, str]:
    """What `nudiff export --class` takes, several with commas between them."""
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        old, equals, new = part.partition("=")
        if not equals or not old.strip():
            raise RequestError(
                f"“{part}” among the classes: old=new was expected, or old= to leave them out."
            )
        found[old.strip()] = new.strip()
    return found
