"""The check of a layout that keeps up with the brush."""

from __future__ import annotations

from typing import Any

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_nudiff.errors import NudiffError
from napari_nudiff.nuclei.edit import Bounds
from napari_nudiff.nuclei.inspection import LayoutReport, inspect_layout

_DELAY_MS = 250  # after a stroke of the brush
LIVE_PX = 2048 * 2048
"""Larger layouts are inspected as a whole (0.3 s at 4096 x 4096) only when the user asks."""


class LayoutCheck:
    """Inspects a layout when it comes to rest; after a stroke, only where it changed.

    Attributes
    ----------
    report : LayoutReport or None
        Of the layout as it was last inspected; None if it never was.
    is_current : bool
        Whether the report is about the layout as it is; if not, `run` makes it so.
    """

    checked = Signal()

    def __init__(self) -> None:
        self.report: LayoutReport | None = None
        self.is_current = False
        self._layer: Any = None
        self._changed: Bounds | None = None  # None: unknown
        self._timer = QTimer(singleShot=True, interval=_DELAY_MS)
        self._timer.timeout.connect(self._on_settled)

    def set_layer(self, layer: Any) -> None:
        """Check another layer; now, if it is not too large."""
        if layer is self._layer:
            return
        self._follow(False)
        self._layer, self.report, self.is_current = layer, None, False
        self._follow(True)
        self._on_settled()

    def run(self) -> None:
        """Inspect the whole layout now, however large it is."""
        self._inspect(None)

    def close(self, _: object = None) -> None:
        """Disconnect from the layer; no signal is emitted any more."""
        self.checked.disconnect()
        self.set_layer(None)

    def _follow(self, follow: bool) -> None:
        self._timer.stop()
        if self._layer is not None:
            events = self._layer.events
            for event, ours in (
                (events.labels_update, self._on_painted),
                (events.set_data, self._on_replaced),  # the only event of undo and redo
                (events.data, self._on_replaced),
            ):
                (event.connect if follow else event.disconnect)(ours)

    def _on_painted(self, event: Any) -> None:
        """Part of it changed."""
        rows, cols = (
            slice(int(first), int(first) + size)
            for first, size in zip(event.offset[-2:], event.data.shape[-2:], strict=True)
        )
        if self.is_current:
            self.is_current, self._changed = False, (rows, cols)
        elif self._changed is not None:
            self._changed = _joined(self._changed, (rows, cols))
        self._timer.start()

    def _on_replaced(self, _: object = None) -> None:
        """Anything may have changed."""
        self.is_current, self._changed = False, None
        self._timer.start()

    def _on_settled(self) -> None:
        known = self.report is not None and self._changed is not None
        if self._layer is None or (not known and _size(self._layer) > LIVE_PX):
            self.checked.emit()
        else:
            self._inspect(self._changed)

    def _inspect(self, bounds: Bounds | None) -> None:
        self._timer.stop()
        labels = np.asarray(self._layer.data)
        try:
            self.report = inspect_layout(labels, previous=self.report, bounds=bounds)
        except NudiffError:  # no layout (labels below 0): the render says so in full
            self.report = None
        self.is_current, self._changed = self.report is not None, None
        self.checked.emit()


def _size(layer: Any) -> int:
    return int(np.prod(layer.data.shape))


def _joined(a: Bounds, b: Bounds) -> Bounds:
    rows, cols = (
        slice(min(p.start, q.start), max(p.stop, q.stop)) for p, q in zip(a, b, strict=True)
    )
    return rows, cols
