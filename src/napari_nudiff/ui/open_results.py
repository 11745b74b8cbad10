"""Results of the Synthesise docks that are open, for the other docks of their windows."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

from psygnal import Signal

from napari_nudiff.session.results import Results


class OpenResults:
    """Which results belong to which viewer."""

    changed = Signal()  # which there are, or what is in them

    def __init__(self) -> None:
        # By id: viewers are compared by their values. Who adds also discards.
        self._by_viewer: dict[int, WeakSet[Results]] = {}

    def add(self, viewer: Any, results: Results) -> None:
        """Show results to the other docks."""
        self._by_viewer.setdefault(id(viewer), WeakSet()).add(results)
        for signal in (results.added, results.changed, results.removed):
            signal.connect(self._on_changed)
        self.changed.emit()

    def discard(self, viewer: Any, results: Results) -> None:
        """Their dock is closed."""
        self._by_viewer.get(id(viewer), WeakSet()).discard(results)
        for signal in (results.added, results.changed, results.removed):
            signal.disconnect(self._on_changed, missing_ok=True)
        self.changed.emit()

    def of(self, viewer: Any) -> list[Results]:
        """Those of a viewer."""
        return list(self._by_viewer.get(id(viewer), ()))

    def _on_changed(self, _: object) -> None:
        self.changed.emit()


open_results = OpenResults()
