"""Which models there are, and what can be done with the chosen one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_nudiff.errors import CheckpointError
from napari_nudiff.session.catalogue import Catalogue, Entry
from napari_nudiff.session.downloads import Speed
from napari_nudiff.text import size_text
from napari_nudiff.ui.widgets.caption import Caption
from napari_nudiff.ui.widgets.message_area import MessageArea
from napari_nudiff.ui.widgets.model_details import ModelDetails
from napari_nudiff.ui.widgets.model_list import ModelList
from napari_nudiff.ui.widgets.title import Title

if TYPE_CHECKING:
    from napari_nudiff.work import Progress

_HERE = "It is on this machine already."
_NOT_HERE = "It is not on this machine."
_NOT_OURS = "It belongs to the package and cannot be deleted."


class ModelsPanel(QWidget):
    """A list of models, the details of one, and Download, Verify and Delete.

    Parameters
    ----------
    catalogue : Catalogue
    is_fetching : callable
        Whether a download of a checkpoint, by its name, runs or waits.
    """

    fetch_requested = Signal(str)
    cancel_requested = Signal(str)
    verify_requested = Signal(str)
    remove_requested = Signal(str)
    failed = Signal(str)

    def __init__(self, catalogue: Catalogue, is_fetching: Callable[[str], bool]) -> None:
        super().__init__()
        self._catalogue, self._is_fetching = catalogue, is_fetching
        self._speeds: dict[str, Speed] = {}
        self.list, self.details = ModelList(), ModelDetails()
        self.fetch, self.cancel = QPushButton("Download"), QPushButton("Cancel")
        self.verify, self.remove = QPushButton("Verify"), QPushButton("Delete…")
        self.question, self.status = MessageArea(), Caption()
        self._lay_out()
        self._connect()

    def refresh(self) -> None:
        """List the models anew."""
        try:
            entries = self._catalogue.entries()
        except CheckpointError as error:
            self.failed.emit(str(error))
            return
        self.list.show_entries(entries)
        for name in filter(self._is_fetching, self.list.names()):
            self._show_waiting(name)

    def show_fetches(self) -> None:
        """Show which downloads run or wait, and which no longer do."""
        for name in self.list.names():
            card = self.list.card(name)
            if self._is_fetching(name) and name not in self._speeds:
                self._show_waiting(name)
            elif card is not None and not self._is_fetching(name):
                self._speeds.pop(name, None)
                card.show_rest()
        self._on_chosen_changed()

    def show_progress(self, name: str, progress: Progress) -> None:
        """Show the bytes of a download."""
        card = self.list.card(name)
        if card is None or progress.stage != "fetch":
            return
        speed = self._speeds.setdefault(name, Speed())
        per_s = speed.bytes_per_s(progress.done, time.monotonic())
        card.show_bytes(
            progress.done, progress.total, _progress_text(progress.done, progress.total, per_s)
        )

    def show_status(self, text: str) -> None:
        """Show what was done."""
        self.status.setText(text)
        self.status.setVisible(bool(text))

    def _show_waiting(self, name: str) -> None:
        card = self.list.card(name)
        if card is not None:
            card.show_waiting()

    def _on_chosen_changed(self) -> None:
        entry = self.list.chosen()
        self.question.clear()
        self.details.setVisible(entry is not None)
        if entry is not None:
            self.details.show_entry(entry)
        self._enable_buttons(entry)

    def _enable_buttons(self, entry: Entry | None) -> None:
        fetching = entry is not None and self._is_fetching(entry.checkpoint.name)
        self.fetch.setVisible(not fetching)
        self.cancel.setVisible(fetching)
        can_fetch = entry is not None and entry.fetchable
        can_verify = entry is not None and entry.here and not fetching
        can_remove = entry is not None and entry.removable and not fetching
        _enable(self.fetch, can_fetch, "Fetch the file and verify it.", _HERE)
        _enable(self.verify, can_verify, "Compare the file with its sha256.", _NOT_HERE)
        why_not = _NOT_OURS if entry is not None and entry.state == "embedded" else _NOT_HERE
        _enable(self.remove, can_remove, "Delete the file from this machine.", why_not)

    def _on_remove(self) -> None:
        entry = self.list.chosen()
        if entry is None:
            return
        name = entry.checkpoint.name
        self.question.show_offer(
            _deletion(entry), "Delete", lambda: self.remove_requested.emit(name)
        )

    def _connect(self) -> None:
        self.list.chosen_changed.connect(self._on_chosen_changed)
        chosen = self.list.chosen_name
        self.fetch.clicked.connect(lambda: self.fetch_requested.emit(chosen()))
        self.cancel.clicked.connect(lambda: self.cancel_requested.emit(chosen()))
        self.verify.clicked.connect(lambda: self.verify_requested.emit(chosen()))
        self.remove.clicked.connect(self._on_remove)

    def _lay_out(self) -> None:
        self.cancel.setToolTip("Stop the download; nothing of it stays.")
        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        for button in (self.fetch, self.cancel, self.verify, self.remove):
            buttons.addWidget(button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 6, 0)
        layout.setSpacing(8)
        layout.addWidget(self.list, 1)
        layout.addLayout(buttons)
        layout.addWidget(self.question)
        layout.addWidget(self.status)
        layout.addWidget(Title("Details"))
        layout.addWidget(self.details)
        layout.addStretch(0)
        self.status.hide()


def _enable(button: QPushButton, enabled: bool, tooltip: str, why_not: str) -> None:
    button.setEnabled(enabled)
    button.setToolTip(tooltip if enabled else why_not)


def _deletion(entry: Entry) -> str:
    name, size = entry.checkpoint.name, size_text(entry.checkpoint.size_bytes)
    if entry.checkpoint.own:
        return f"Delete {name}? Its copy here ({size}) goes; the file that you added stays."
    return f"Delete {name}? That frees {size}; it can be downloaded again."


def _progress_text(done_bytes: int, size_bytes: int, per_s: float | None) -> str:
    text = f"{done_bytes / 1e6:.1f} of {size_text(size_bytes)}"
    if done_bytes >= size_bytes:
        return f"{text} · verifying"
    if not per_s:
        return text
    minutes, seconds = divmod(round((size_bytes - done_bytes) / per_s), 60)
    return f"{text} · {size_text(per_s)}/s · {minutes}:{seconds:02d} left"
