"""Which programs a set is for."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_nudiff.dataset.writers import FORMATS
from napari_nudiff.dataset.writers.member import Format
from napari_nudiff.ui.widgets.caption import Caption
from napari_nudiff.ui.widgets.section import Section

_FIRST = 6  # the most used are in sight


class ExportFormatsPanel(QWidget):
    """A check list of formats with who reads each."""

    changed = Signal()

    def __init__(self, chosen: Iterable[str] = ("cellpose",)) -> None:
        super().__init__()
        self.boxes: dict[str, QCheckBox] = {}
        forms = list(FORMATS.values())
        more = Section("More formats", self._list(forms[_FIRST:]))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self._list(forms[:_FIRST]))
        layout.addWidget(more)
        for name in chosen:
            self.boxes[name].setChecked(True)
        for box in self.boxes.values():
            box.toggled.connect(lambda _: self.changed.emit())

    def chosen(self) -> tuple[str, ...]:
        """Names of the formats that are checked."""
        return tuple(name for name, box in self.boxes.items() if box.isChecked())

    def _list(self, forms: list[Format]) -> QWidget:
        widget = QWidget()
        layout = QVBoxLayout(widget)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        for form in forms:
            box = self.boxes[form.name] = QCheckBox(form.title)
            box.setToolTip(f"{form.name}/: {form.files}")
            layout.addWidget(box)
            readers = Caption(f"for {form.readers}")
            readers.setContentsMargins(20, 0, 0, 3)
            layout.addWidget(readers)
        return widget
