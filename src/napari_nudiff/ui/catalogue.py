"""News of the checkpoints, in the thread of the windows."""

from __future__ import annotations

from functools import cache

from qtpy.QtCore import QObject, Signal

from napari_nudiff.session.catalogue import catalogue
from napari_nudiff.ui.executor import models


class CatalogueNews(QObject):
    """Passes on that the catalogue changed, whatever thread that happened in.

    A Qt signal reaches its receivers in their own thread, and forgets those that were deleted.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        catalogue.changed.connect(self._on_changed)

    def _on_changed(self) -> None:
        self.changed.emit()


class ModelsNews(QObject):
    """Passes on what becomes of the work with checkpoint files; see `Models`."""

    started = Signal(str, str)
    progressed = Signal(str, object)
    finished = Signal(str, str)
    failed = Signal(str, str, object)
    cancelled = Signal(str, str)
    inspected = Signal(object)
    fetches_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        source = models()
        source.started.connect(self.started.emit)
        source.progressed.connect(self.progressed.emit)
        source.finished.connect(self.finished.emit)
        source.failed.connect(self.failed.emit)
        source.cancelled.connect(self.cancelled.emit)
        source.inspected.connect(self.inspected.emit)
        source.fetches_changed.connect(self.fetches_changed.emit)


@cache
def catalogue_news() -> CatalogueNews:
    """The one of this process; first asked for in the thread of the windows."""
    return CatalogueNews()


@cache
def models_news() -> ModelsNews:
    """The one of this process; first asked for in the thread of the windows."""
    return ModelsNews()
