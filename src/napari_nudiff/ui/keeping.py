"""Results and sessions on disk: save, open, and what a crash left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from psygnal import Signal
from qtpy.QtWidgets import QFileDialog

from napari_nudiff.dataset.pair import Pair
from napari_nudiff.dataset.pair_file import EXTENSION, write_pair
from napari_nudiff.errors import NudiffError
from napari_nudiff.session import Session
from napari_nudiff.session.disk import Disk
from napari_nudiff.session.jobs import JobError, JobQueue
from napari_nudiff.session.results import Results
from napari_nudiff.session.session_folder import (
    SessionFolder,
    delete_session,
    open_session,
    recoverable_sessions,
    save_session,
)
from napari_nudiff.ui.canvas import Canvas
from napari_nudiff.ui.executor import ThreadExecutor
from napari_nudiff.ui.frame import Frame
from napari_nudiff.ui.preferences import Preferences
from napari_nudiff.ui.widgets.message_area import MessageArea

_FILTER = f"nudiff (*{EXTENSION})"


class Keeping:
    """Keeps the results of a dock.

    Parameters
    ----------
    session : Session
    canvas : Canvas
    preferences : Preferences

    Attributes
    ----------
    results : Results
    """

    failed = Signal(str)

    def __init__(self, session: Session, canvas: Canvas, preferences: Preferences) -> None:
        self._session, self._canvas = session, canvas
        queue = JobQueue(ThreadExecutor())  # the disk waits for no render
        self._disk = Disk(queue)
        self.results = Results(SessionFolder.automatic(), preferences.history_mb * 2**20, queue)
        self.results.autosave = preferences.autosave
        self.results.failed.connect(self.failed)

    def close(self) -> None:
        """Let go of the disk, once everything is on it."""
        self.flush()
        self.results.close()

    def flush(self) -> None:
        """Return when everything that was asked for is on disk."""
        self._disk.finish()
        self.results.flush()

    def save(self, result_id: str) -> None:
        """Ask for a name and write a result there."""
        suggested = f"{self.results.find(result_id).name}{EXTENSION}"
        name, _ = QFileDialog.getSaveFileName(None, "Save pair", suggested, _FILTER)
        if name:
            self._attempt(lambda: write_pair(_named(name), self.results.pair(result_id)))

    def save_session(self) -> None:
        """Ask for a name and write everything there."""
        name, _ = QFileDialog.getSaveFileName(None, "Save session", f"session{EXTENSION}", _FILTER)
        if name:
            self.save_session_as(_named(name))

    def save_session_as(self, folder: Path) -> None:
        """Write results, layouts and settings into a folder."""
        about = self.results.about() | {"settings": self._session.values()}
        layouts = [self._layout_of(layer) for layer in self._canvas.layouts()]
        stored = self.results.stored()
        self._disk.do(lambda: save_session(folder, stored, layouts, about), self._on_saved)

    def open_session(self) -> None:
        """Ask for a session folder and take in what it holds."""
        name = QFileDialog.getExistingDirectory(None, "Open session")
        if name:
            self.open_session_at(Path(name))

    def open_session_at(self, folder: Path, *, adopt: bool = False) -> None:
        """Take in the results, layouts and settings of a folder."""
        self._attempt(lambda: self._open(folder, adopt=adopt))

    def offer_recovery(self, message: MessageArea) -> None:
        """Offer what a crash left, if anything."""
        left = recoverable_sessions()
        if left:
            message.show_offer(
                "There are applied or starred results of a session that was not saved.",
                "Restore them",
                lambda: self.open_session_at(left[0], adopt=True),
            )

    def _open(self, folder: Path, *, adopt: bool) -> None:
        stored = open_session(folder)
        self.results.restore(stored, adopt=adopt)
        for pair in stored.layouts:
            frame = Frame(pair.name, pair.spatial)
            self._canvas.add_layout(pair.layout, frame, pair.provenance or None)
        if "settings" in stored.about:
            self._session.apply_values(stored.about["settings"])
        if stored.damaged:
            self.failed.emit("Some of it could not be restored. " + " ".join(stored.damaged))
        elif adopt:
            delete_session(folder)

    def _layout_of(self, layer: Any) -> Pair:
        frame = Frame.of(layer)
        layout, provenance = self._canvas.copy_of(layer), layer.metadata.get("nudiff", {})
        return Pair(layout, name=frame.name, provenance=provenance, spatial=frame.spatial)

    def _on_saved(self, error: JobError | None) -> None:
        if error is not None:
            self.failed.emit(str(error))

    def _attempt(self, deed: Callable[[], None]) -> None:
        try:
            deed()
        except NudiffError as error:
            self.failed.emit(str(error))


def _named(name: str) -> Path:
    path = Path(name)
    return path if path.suffix == EXTENSION else path.with_name(path.name + EXTENSION)
