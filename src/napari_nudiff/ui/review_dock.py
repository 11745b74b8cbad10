"""The Review dock: create, lay out, connect."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from napari_nudiff.errors import NudiffError
from napari_nudiff.session.jobs import JobError, JobQueue
from napari_nudiff.session.review import ReviewSession, Sitting
from napari_nudiff.ui import review_keys
from napari_nudiff.ui.executor import ThreadExecutor
from napari_nudiff.ui.panels.review_grade_panel import ReviewGradePanel
from napari_nudiff.ui.panels.review_results_panel import ReviewResultsPanel
from napari_nudiff.ui.panels.review_sources_panel import ReviewSourcesPanel
from napari_nudiff.ui.review_canvas import ReviewCanvas
from napari_nudiff.ui.review_keys import ReviewKeys
from napari_nudiff.ui.widgets.dock_content import DockContent, scrolled_parts
from napari_nudiff.ui.widgets.key_list import KeyList
from napari_nudiff.ui.widgets.message_area import MessageArea
from napari_nudiff.ui.widgets.part import Part
from napari_nudiff.ui.widgets.section import Section

_MOST_PROBLEMS = 3  # that are told; more would fill the dock


class ReviewDock(DockContent):
    """Grade images one after another with the keyboard, or tell real ones from synthetic ones.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.session = ReviewSession(JobQueue(ThreadExecutor()))  # the disk waits for no render
        self.canvas, self.message = ReviewCanvas(viewer), MessageArea()
        self.sources = ReviewSourcesPanel(self.session)
        self.grades = ReviewGradePanel()
        self.results = ReviewResultsPanel(self.session.settings.reviews_folder)
        self._keys: ReviewKeys | None = None
        self._lay_out()
        self._connect()

    @property
    def sitting(self) -> Sitting | None:
        """What is being reviewed."""
        return self.session.sitting

    def shut_down(self) -> None:
        """Stop, and give back keys and layers; a second time does nothing."""
        self._keep_comment()
        self.session.close()

    def _lay_out(self) -> None:
        self.sources_part = Part("Images", self.sources)
        self.grades_part = Part("Grades", self.grades)
        self.results_part = Part("Results", self.results)
        listed = [key for key in review_keys.ALL if key.does]
        keys = Section("Keys", KeyList((key.qt, key.does) for key in listed))
        self.grades_part.hide()
        parts = (self.sources_part, self.grades_part, self.results_part, keys)
        self.fill(scrolled_parts(parts), [self.message])

    def _connect(self) -> None:
        session, grades = self.session, self.grades
        self.sources.begin_requested.connect(self._on_begin_requested)
        self.results.failed.connect(self.message.show_error)
        session.progressed.connect(self.sources.show_progress)
        session.began.connect(self._on_began)
        session.ended.connect(self._on_ended)
        session.failed.connect(self._on_failed)
        grades.end_requested.connect(self._on_end_requested)
        grades.outlines_requested.connect(self._on_outlines)
        grades.step_requested.connect(self._on_step)
        grades.rate_requested.connect(partial(self._say, Sitting.rate))
        grades.rate_labels_requested.connect(partial(self._say, Sitting.rate_labels))
        grades.answer_requested.connect(partial(self._say, Sitting.answer))
        grades.reason_requested.connect(partial(self._say, Sitting.toggle_reason))
        grades.comment_requested.connect(partial(self._say, Sitting.comment))
        self.destroyed.connect(lambda _: _abandon(session))  # the viewer's window was closed

    def _actions(self) -> dict[review_keys.ReviewKey, Callable[[], object]]:
        say = self._say
        return {
            **{key: partial(say, Sitting.rate, n) for n, key in review_keys.RATE.items()},
            **{
                key: partial(say, Sitting.rate_labels, n)
                for n, key in review_keys.RATE_LABELS.items()
            },
            **{
                key: partial(say, Sitting.toggle_reason, r)
                for r, key in review_keys.REASONS.items()
            },
            review_keys.REAL: partial(say, Sitting.answer, "real"),
            review_keys.SYNTHETIC: partial(say, Sitting.answer, "synthetic"),
            review_keys.FLAG: self._on_flag,
            review_keys.OUTLINES: self._on_outlines,
            review_keys.COMMENT: self._on_comment_key,
            review_keys.NEXT: partial(self._on_step, 1),
            review_keys.PREVIOUS: partial(self._on_step, -1),
        }

    def _say(self, verb: Callable[[Sitting, Any], None], what: object) -> bool:
        """Pass on what the reviewer says; where it cannot be kept, show why."""
        if self.sitting is None:
            return True
        try:
            verb(self.sitting, what)
        except NudiffError as error:
            self.message.show_error(str(error))
            return False
        finally:
            self.grades.show_image(self.sitting)  # a button may show what was not kept
        return True

    def _keep_comment(self) -> bool:
        """Keep what is being written, before its image is left."""
        return self._say(Sitting.comment, self.grades.comment.text())

    def _on_begin_requested(self) -> None:
        if self.session.is_opening:
            self.session.close()
        elif self._keep_comment():
            self.message.clear()
            self.session.begin()

    def _on_began(self, sitting: Sitting) -> None:
        self.sources.show_rest()
        self.sources_part.expand(False)
        self.grades_part.show()
        self.grades_part.expand()
        self.grades.begin(sitting, outlines_shown=self.canvas.outlines_shown)
        sitting.moved.connect(self._on_moved)
        sitting.changed.connect(self._on_changed)
        self._keys = ReviewKeys([self.canvas.native, self], self._actions())
        self._show_problems(sitting.problems)
        self._on_moved()
        self.canvas.native.setFocus()

    def _on_moved(self) -> None:
        sitting = self.sitting
        if sitting is None:
            return
        try:
            self.canvas.show(sitting.pair(), sitting.title, blind=sitting.is_blind)
        except NudiffError as error:
            self.message.show_error(str(error))
        self.grades.show_comment(sitting.review.comment)
        self._on_changed()

    def _on_changed(self) -> None:
        if self.sitting is not None:
            self.grades.show_image(self.sitting)
            self.canvas.show_flags(self.sitting.review.flagged)

    def _on_step(self, by: int) -> None:
        if self.sitting is not None and self._keep_comment():
            self.sitting.step(by)

    def _on_end_requested(self) -> None:
        if self._keep_comment():
            self.session.end()

    def _on_flag(self) -> None:
        nucleus_id = self.canvas.nucleus_under_mouse()
        if nucleus_id:
            self._say(Sitting.toggle_flag, nucleus_id)
        elif self.sitting is not None and not self.sitting.is_blind:
            self.message.show_hint("There is no nucleus under the mouse. Point at one, then F.")

    def _on_outlines(self) -> None:
        self.grades.show_outlines(self.canvas.toggle_outlines())

    def _on_comment_key(self) -> None:
        comment = self.grades.comment
        (self.canvas.native if comment.hasFocus() else comment).setFocus()

    def _on_ended(self) -> None:
        if self._keys is not None:
            self._keys.close()
            self._keys = None
        self.canvas.close()
        self.sources.show_rest()
        self.grades_part.hide()
        self.sources_part.expand()

    def _on_failed(self, error: JobError) -> None:
        self.sources.show_rest()
        self.message.show_error(str(error), error.report)

    def _show_problems(self, problems: list[str]) -> None:
        if problems:
            more = len(problems) - _MOST_PROBLEMS
            rest = [f"And {more} more."] if more > 0 else []
            self.message.show_hint("\n".join([*problems[:_MOST_PROBLEMS], *rest]))


def _abandon(session: ReviewSession) -> None:
    """Stop reading images; there is nothing left to put back."""
    session.ended.disconnect()
    session.close()
