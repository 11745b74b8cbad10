"""The Export dock: create, lay out, connect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import QTimer, QUrl
from qtpy.QtGui import QDesktopServices

from napari_nudiff.dataset.export.options import ExportOptions
from napari_nudiff.dataset.export.plan import Plan
from napari_nudiff.errors import NudiffError
from napari_nudiff.session.exports import Exports, Sources
from napari_nudiff.session.jobs import JobError, JobQueue
from napari_nudiff.ui.executor import ThreadExecutor
from napari_nudiff.ui.open_results import open_results
from napari_nudiff.ui.panels.export_formats_panel import ExportFormatsPanel
from napari_nudiff.ui.panels.export_run_panel import ExportRunPanel
from napari_nudiff.ui.panels.export_sources_panel import ExportSourcesPanel
from napari_nudiff.ui.panels.export_split_panel import ExportSplitPanel
from napari_nudiff.ui.widgets.balance_table import BalanceTable
from napari_nudiff.ui.widgets.dock_content import DockContent, scrolled_parts
from napari_nudiff.ui.widgets.message_area import MessageArea
from napari_nudiff.ui.widgets.part import Part

_SETTLED_MS = 300  # between the last change and the count
_NOTHING = "Choose pairs: results of this window, or folders."
_KEPT = "Stopped. What is complete is kept: Export with the same choices goes on from there."


class ExportDock(DockContent):
    """From pairs to a training set that other programs read.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Whose results are offered.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.exports = Exports(JobQueue(ThreadExecutor()))
        self.message = MessageArea()
        self.sources_panel, self.formats_panel = ExportSourcesPanel(), ExportFormatsPanel()
        self.split_panel, self.run_panel = ExportSplitPanel(), ExportRunPanel()
        self.table = BalanceTable()
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.setInterval(_SETTLED_MS)
        self._lay_out()
        self._connect()
        self._on_results_changed()

    def shut_down(self) -> None:
        """Stop what runs and let go; a second time does nothing."""
        self._settled.stop()
        self.exports.cancel()
        open_results.changed.disconnect(self._on_results_changed, missing_ok=True)

    # What the user does

    def _on_changed(self) -> None:
        self._settled.start()

    def _count(self) -> None:
        sources = self.sources_panel.sources()
        options = self._options(told=False)
        if sources == Sources():
            self.exports.cancel()
            self.table.clear(_NOTHING)
        elif options is not None:
            self.table.notes.setText("Counting…")
            self.exports.count(sources, options)

    def _on_export_requested(self) -> None:
        self.message.clear()
        sources, options = self.sources_panel.sources(), self._options(told=True)
        out = self.run_panel.folder()
        if options is None:
            return
        if sources == Sources():
            self.message.show_hint(_NOTHING)
        elif out is None:
            self.message.show_hint("Say where the set goes: a folder that is not there yet.")
        else:
            self._settled.stop()
            self.exports.write(sources, options, out)

    def _options(self, *, told: bool) -> ExportOptions | None:
        """What is chosen; None, and a hint, where it makes no sense."""
        try:
            return ExportOptions(
                formats=self.formats_panel.chosen(),
                gate=self.sources_panel.gate(),
                **self.split_panel.values(),
            )
        except NudiffError as error:
            if told:
                self.message.show_hint(str(error))
            else:
                self.table.clear(str(error))
            return None

    # What becomes of it

    def _on_results_changed(self) -> None:
        self.sources_panel.show_results(open_results.of(self._viewer))
        if self.exports.doing != "write":
            self._on_changed()

    def _on_counted(self, plan: Plan) -> None:
        self.table.show_plan(plan)
        self.run_panel.show_status("")

    def _on_written(self, folder: Path) -> None:
        self.run_panel.show_status("")
        self.message.show_offer(
            f"The set is complete: {folder}. Its DATASHEET.md says what is in it.",
            "Open folder",
            lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder))),
        )

    def _on_failed(self, error: JobError) -> None:
        self.run_panel.show_status("")
        self.table.clear("Nothing was counted.")
        self.message.show_error(str(error), error.report)

    def _on_cancelled(self, what: str) -> None:
        self.run_panel.show_status(_KEPT if what == "write" else "")

    def _connect(self) -> None:
        for panel in (self.sources_panel, self.formats_panel, self.split_panel):
            panel.changed.connect(self._on_changed)
        self._settled.timeout.connect(self._count)
        self.run_panel.export_requested.connect(self._on_export_requested)
        self.run_panel.cancel_requested.connect(self.exports.cancel)
        exports = self.exports
        exports.counted.connect(self._on_counted)
        exports.progressed.connect(self.run_panel.show_step)
        exports.written.connect(self._on_written)
        exports.failed.connect(self._on_failed)
        exports.cancelled.connect(self._on_cancelled)
        exports.busy_changed.connect(lambda: self.run_panel.show_doing(exports.doing))
        open_results.changed.connect(self._on_results_changed)
        self.destroyed.connect(lambda _: exports.cancel())

    def _lay_out(self) -> None:
        parts = {
            "Pairs": self.sources_panel,
            "Formats": self.formats_panel,
            "Split": self.split_panel,
            "What will be in it": self.table,
        }
        top = scrolled_parts(Part(title, panel) for title, panel in parts.items())
        self.fill(top, (self.message, self.run_panel))
