"""Readers of a study and their numbers."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWidget
from superqt import QElidingLabel

from napari_nudiff.dataset.reader_study import Reader, Share

_COLUMNS = {
    "Reader": "Who answered.",
    "n": "Images that were answered.",
    "Accuracy (95 %)": "Right answers, and where their share may lie.",
    "Sens.": "Sensitivity: of the synthetic images those that were called synthetic.",
    "Spec.": "Specificity: of the real images those that were called real.",
}


class StudyTable(QWidget):
    """A row a reader."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.cells: list[QLabel] = []
        self._layout = QGridLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setHorizontalSpacing(8)
        self._layout.setVerticalSpacing(3)
        self._layout.setColumnStretch(0, 1)

    def show_readers(self, readers: tuple[Reader, ...]) -> None:
        """List readers anew."""
        for cell in self.cells:
            self._layout.removeWidget(cell)
            cell.deleteLater()
        self.cells = []
        self.setVisible(bool(readers))
        for column, (title, tooltip) in enumerate(_COLUMNS.items()):
            self._add(0, column, title, tooltip).setStyleSheet("font-size: 8pt; font-weight: 600;")
        for row, reader in enumerate(readers, start=1):
            self._add(row, 0, reader.name, reader.name)
            self._add(row, 1, str(reader.accuracy.total), "")
            self._add(row, 2, str(reader.accuracy), _counts(reader.accuracy))
            for column, found in ((3, reader.sensitivity), (4, reader.specificity)):
                self._add(row, column, _percent(found), _counts(found))

    def text(self) -> str:
        """All cells, for those who read aloud."""
        return " ".join(cell.text() for cell in self.cells)

    def _add(self, row: int, column: int, text: str, tooltip: str) -> QLabel:
        cell = QLabel(text) if column else QElidingLabel(text)
        cell.setToolTip(tooltip)
        if column:
            self._layout.addWidget(cell, row, column, Qt.AlignmentFlag.AlignRight)
        else:
            cell.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            self._layout.addWidget(cell, row, column)
        self.cells.append(cell)
        return cell


def _percent(found: Share) -> str:
    return f"{found.value:.0%}".replace("%", " %") if found.total else "–"


def _counts(found: Share) -> str:
    return f"{found.right} of {found.total}; {found}"
