"""Jobs in napari's activity dock."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from napari.utils import cancelable_progress

from napari_nudiff.session import Session
from napari_nudiff.session.jobs import Job

if TYPE_CHECKING:
    from napari_nudiff.work import Progress

_DOES = {
    "layout": "Nudiff: drawing nuclei",
    "nuclei": "Nudiff: drawing nuclei",
    "image": "Nudiff: rendering",
    "edit": "Nudiff: rendering what changed",
}


class Activity:
    """Shows a session's job in the activity dock, as napari's own work is shown.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._bar: cancelable_progress | None = None
        session.job_started.connect(self._on_started)
        session.progressed.connect(self._on_progressed)
        for ended in (session.finished, session.failed, session.cancelled):
            ended.connect(self._on_ended)

    def close(self) -> None:
        """Take the bar away."""
        self._on_ended()

    def _on_started(self, job: Job[Any]) -> None:
        self._bar = cancelable_progress(
            total=0,
            desc=_DOES.get(job.title, "Nudiff"),
            cancel_callback=self._session.cancel,
            file=io.StringIO(),  # nothing goes to the terminal
        )

    def _on_progressed(self, progress: Progress) -> None:
        if self._bar is None or not progress.total:
            return
        if self._bar.total != progress.total:
            self._bar.total = progress.total
        self._bar.update(progress.done - self._bar.n)

    def _on_ended(self, *_: object) -> None:
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.close()
