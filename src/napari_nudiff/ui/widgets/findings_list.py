"""What should be looked at, each with a link to it and a button that puts it right."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_nudiff.ui.widgets.accent import EOSIN


class FindingRow(NamedTuple):
    """One finding.

    Attributes
    ----------
    kind : str
        Passed back by the signals.
    text : str
    fix : str
        What the fix does, for the tooltip; "" = there is none.
    linked : bool
        Whether there is a place to show.
    """

    kind: str
    text: str
    fix: str
    linked: bool = True


class FindingsList(QWidget):
    """Findings below each other; nothing at all if there are none."""

    show_requested = Signal(str)
    fix_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: list[FindingRow] = []
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        self.setStyleSheet(
            "QPushButton { font-size: 8pt; padding: 2px 8px; }"
            "QPushButton#finding { text-align: left; background: transparent; "
            f"padding: 2px 0px 2px 6px; border-left: 2px solid {EOSIN}; border-radius: 0px; }}"
            "QPushButton#finding:hover { text-decoration: underline; }"
        )
        self.hide()

    def rows(self) -> list[FindingRow]:
        """What is shown."""
        return list(self._rows)

    def set_rows(self, rows: Sequence[FindingRow]) -> None:
        """Show these instead."""
        if list(rows) == self._rows:
            return
        self._rows = list(rows)
        while (item := self.layout().takeAt(0)) is not None:
            item.widget().hide()
            item.widget().deleteLater()
        for row in rows:
            self.layout().addWidget(self._row(row))
        self.setVisible(bool(rows))

    def _row(self, row: FindingRow) -> QWidget:
        link = QPushButton(row.text)
        link.setObjectName("finding")
        link.setAccessibleName(row.text)
        link.setEnabled(row.linked)
        if row.linked:
            link.setCursor(Qt.CursorShape.PointingHandCursor)
            link.setToolTip("Go to the next one and select it.")
            link.clicked.connect(partial(self._on_show, row.kind))
        line = QWidget()
        layout = QHBoxLayout(line)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(link, 1)
        if row.fix:
            layout.addWidget(self._fix_button(row))
        return line

    def _fix_button(self, row: FindingRow) -> QPushButton:
        button = QPushButton("Fix")
        button.setToolTip(f"{row.fix} Ctrl+Z takes it back.")
        button.setAccessibleName(f"Fix: {row.text}")
        button.clicked.connect(partial(self._on_fix, row.kind))
        return button

    def _on_show(self, kind: str, _: bool = False) -> None:
        self.show_requested.emit(kind)

    def _on_fix(self, kind: str, _: bool = False) -> None:
        self.fix_requested.emit(kind)
