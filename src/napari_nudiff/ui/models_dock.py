"""The Models dock: create, lay out, connect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_nudiff.session.catalogue import catalogue
from napari_nudiff.session.jobs import JobError
from napari_nudiff.ui.catalogue import catalogue_news, models_news
from napari_nudiff.ui.executor import models
from napari_nudiff.ui.panels.add_model_panel import AddModelPanel
from napari_nudiff.ui.panels.cache_panel import CachePanel
from napari_nudiff.ui.panels.models_panel import ModelsPanel
from napari_nudiff.ui.widgets.dock_content import DockContent, scrolled
from napari_nudiff.ui.widgets.message_area import MessageArea

_BEGUN = {
    "fetch": "Downloading {}…",
    "verify": "Comparing {} with its sha256…",
    "remove": "Deleting {}…",
    "add": "Adding {}…",
}
_DONE = {
    "fetch": "{} was downloaded and is intact.",
    "verify": "{} is intact.",
    "remove": "{} was deleted.",
    "add": "{} was added.",
}
_CANCELLED = "The download of {} was cancelled; nothing of it stays."


class ModelsDock(DockContent):
    """Which models are on this machine, and how to get, check, add and delete them.

    What is done here goes on when the dock is closed; all windows show the same.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Not used: models belong to no viewer.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._models = models()
        self.message = MessageArea()
        self.models_panel = ModelsPanel(catalogue, self._models.is_fetching)
        self.add_panel, self.cache_panel = AddModelPanel(), CachePanel()
        self._lay_out()
        self._connect_panels()
        self._connect_news()
        self.models_panel.refresh()

    def _lay_out(self) -> None:
        below = (self.message, self.add_panel, self.cache_panel)
        self.fill(scrolled(self.models_panel), below)

    def _connect_panels(self) -> None:
        panel, models = self.models_panel, self._models
        panel.fetch_requested.connect(self._on_fetch_requested)
        panel.cancel_requested.connect(models.cancel)
        panel.verify_requested.connect(models.verify)
        panel.remove_requested.connect(models.remove)
        panel.failed.connect(self.message.show_error)
        self.cache_panel.add_requested.connect(self.add_panel.choose_file)
        self.cache_panel.failed.connect(self.message.show_error)
        self.add_panel.inspect_requested.connect(self._on_inspect_requested)
        self.add_panel.add_requested.connect(models.add)

    def _connect_news(self) -> None:
        news = models_news()
        news.started.connect(self._on_started)
        news.progressed.connect(self.models_panel.show_progress)
        news.finished.connect(self._on_finished)
        news.failed.connect(self._on_failed)
        news.cancelled.connect(self._on_cancelled)
        news.inspected.connect(self.add_panel.show_file)
        news.fetches_changed.connect(self.models_panel.show_fetches)
        catalogue_news().changed.connect(self.models_panel.refresh)
        catalogue_news().changed.connect(self.cache_panel.refresh)

    def _on_fetch_requested(self, name: str) -> None:
        self.message.clear()
        self._models.fetch(name)

    def _on_inspect_requested(self, path: Path) -> None:
        self.message.clear()
        self._models.inspect(path)

    def _on_started(self, verb: str, name: str) -> None:
        self.models_panel.show_status(_BEGUN.get(verb, "").format(name))

    def _on_finished(self, verb: str, name: str) -> None:
        self.models_panel.show_status(_DONE.get(verb, "").format(name))
        if verb == "add":
            self.add_panel.clear()
            self.models_panel.list.choose(name)

    def _on_failed(self, verb: str, name: str, error: JobError) -> None:
        self.models_panel.show_status("")
        self.add_panel.give_up(verb)
        self.message.show_error(str(error), error.report)

    def _on_cancelled(self, verb: str, name: str) -> None:
        self.models_panel.show_status(_CANCELLED.format(name) if verb == "fetch" else "")
