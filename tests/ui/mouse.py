"""A mouse on a viewer's canvas: Qt's own events, at places given in a layer's pixels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
PLAIN = Qt.KeyboardModifier.NoModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
CONTROL = Qt.KeyboardModifier.ControlModifier
ALT = Qt.KeyboardModifier.AltModifier

_PAUSE_MS = 15  # vispy leaves out moves that follow another one within 10 ms


class Mouse:
    def __init__(self, viewer: Any, layer: Any) -> None:
        self._canvas = viewer.window._qt_viewer.canvas
        self._layer = layer

    def place(self, point: Sequence[float]) -> QPointF:
        """Where a row and column of the layer are on the canvas, in its pixels."""
        view = self._canvas.view
        world = np.array(self._layer.data_to_world(point))[-2:]
        x, y = (view.transform * view.scene.transform).map(world[::-1])[:2]
        return QPointF(float(x), float(y))

    def send(self, kind: QEvent.Type, point: Sequence[float], button, buttons, keys) -> None:
        at, native = self.place(point), self._canvas.native
        event = QMouseEvent(kind, at, native.mapToGlobal(at), button, buttons, keys)
        QApplication.sendEvent(native, event)

    def move(self, point: Sequence[float], keys=PLAIN) -> None:
        QTest.qWait(_PAUSE_MS)
        self.send(QEvent.Type.MouseMove, point, NONE, NONE, keys)

    def press(self, point: Sequence[float], keys=PLAIN) -> None:
        self.send(QEvent.Type.MouseButtonPress, point, LEFT, LEFT, keys)

    def drag_to(self, point: Sequence[float], keys=PLAIN) -> None:
        QTest.qWait(_PAUSE_MS)
        self.send(QEvent.Type.MouseMove, point, NONE, LEFT, keys)

    def release(self, point: Sequence[float], keys=PLAIN) -> None:
        self.send(QEvent.Type.MouseButtonRelease, point, LEFT, NONE, keys)

    def click(self, point: Sequence[float], keys=PLAIN) -> None:
        self.press(point, keys)
        self.release(point, keys)

    def drag(self, start: Sequence[float], end: Sequence[float], keys=PLAIN) -> None:
        """Press, move in five steps, release."""
        self.press(start, keys)
        for share in (0.25, 0.5, 0.75, 1.0):
            self.drag_to(np.add(start, share * np.subtract(end, start)), keys)
        self.release(end, keys)
