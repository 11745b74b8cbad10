"""The keys that there are."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget


class KeyList(QWidget):
    """A table of keys and what they do.

    Parameters
    ----------
    keys : iterable of (str, str)
        Each key in Qt's words, and what it does.
    """

    def __init__(self, keys: Iterable[tuple[str, str]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setVerticalSpacing(2)
        layout.setColumnStretch(1, 1)
        for row, (key, does) in enumerate(keys):
            native = QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText)
            name = QLabel(native.replace("Return", "Enter"))
            name.setStyleSheet("font-weight: 600;")
            text = QLabel(does)
            text.setWordWrap(True)
            layout.addWidget(name, row, 0, Qt.AlignmentFlag.AlignTop)
            layout.addWidget(text, row, 1)
