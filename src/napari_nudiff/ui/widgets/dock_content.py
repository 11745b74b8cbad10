"""What all docks have in common: they scroll, and let go when they are closed."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

MIN_WIDTH_PX = 320


class DockContent(QWidget):
    """The widget of a dock; `shut_down` is called when the dock or the window is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.setMinimumWidth(MIN_WIDTH_PX)

    def shut_down(self) -> None:
        """Stop what runs and let go of the viewer; a second time does nothing."""

    def event(self, event: QEvent) -> bool:
        """Notice that napari closes the dock: it takes the widget out of its parent."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.shut_down()
        return bool(super().event(event))

    def closeEvent(self, event: QCloseEvent) -> None:
        """Shut down with the window."""
        self.shut_down()
        super().closeEvent(event)

    def fill(self, top: QWidget, below: Iterable[QWidget]) -> None:
        """Lay out a widget that takes what room there is, and what always stays in sight."""
        layout, bottom = QVBoxLayout(self), QVBoxLayout()
        layout.setContentsMargins(8, 8, 2, 8)
        layout.setSpacing(8)
        bottom.setContentsMargins(0, 0, 6, 0)
        bottom.setSpacing(8)
        layout.addWidget(top, 1)
        for widget in below:
            bottom.addWidget(widget)
        layout.addLayout(bottom)


def scrolled(content: QWidget) -> QScrollArea:
    """A widget of which as much is shown as fits."""
    scroll = QScrollArea()
    scroll.setWidget(content)
    scroll.setWidgetResizable(True)
    scroll.setFrameShape(QFrame.Shape.NoFrame)
    scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    return scroll


def scrolled_parts(parts: Iterable[QWidget]) -> QScrollArea:
    """Parts of a dock below each other, as many as fit."""
    content = QWidget()
    inner = QVBoxLayout(content)
    inner.setContentsMargins(0, 0, 6, 0)
    inner.setSpacing(14)
    for part in parts:
        inner.addWidget(part)
    inner.addStretch(1)
    return scrolled(content)
