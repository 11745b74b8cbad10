"""Where a set goes, the button that writes it, and how far it is."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_nudiff.ui.widgets.caption import Caption
from napari_nudiff.ui.widgets.render_button import RenderButton
from napari_nudiff.ui.widgets.step_bar import StepBar
from napari_nudiff.work import Progress

_STAGES = {
    "read": "Reading pairs",
    "write": "Writing pairs",
    "finish": "Finishing",
    "checksums": "Writing checksums",
}


class ExportRunPanel(QWidget):
    """The folder, Export or Cancel, and a bar."""

    export_requested = Signal()
    cancel_requested = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.out = QLineEdit()
        self.choose = QPushButton("…")
        self.export, self.cancel = RenderButton("Export"), QPushButton("Cancel")
        self.bar, self.status = StepBar(), Caption()
        self._lay_out()
        self.choose.clicked.connect(self._on_choose)
        self.export.clicked.connect(self.export_requested.emit)
        self.cancel.clicked.connect(self.cancel_requested.emit)

    def folder(self) -> Path | None:
        """Where the set goes; None where nothing is said."""
        text = self.out.text().strip()
        return Path(text).expanduser() if text else None

    def show_doing(self, doing: str) -> None:
        """Show what is at work: "count", "write" or nothing."""
        self.export.setEnabled(doing != "write")
        self.cancel.setEnabled(bool(doing))
        if not doing:
            self.bar.hide()

    def show_step(self, progress: Progress) -> None:
        """Show how far it is."""
        self.bar.show_step(progress.done, progress.total)
        stage = _STAGES.get(progress.stage, progress.stage)
        self.status.setText(f"{stage}: {progress.done:,} of {progress.total:,}")

    def show_status(self, text: str) -> None:
        """Show what was done."""
        self.status.setText(text)

    def _on_choose(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, "Folder of the set", self.out.text())
        if chosen:
            self.out.setText(chosen)

    def _lay_out(self) -> None:
        self.out.setPlaceholderText("folder of the new set")
        self.out.setToolTip("A folder that is not there yet. It appears when the set is complete.")
        self.choose.setToolTip("Choose the folder.")
        self.choose.setFixedWidth(30)
        self.cancel.setToolTip("Stop. What is complete is kept: Export goes on from there.")
        self.cancel.setEnabled(False)
        folder, buttons = QHBoxLayout(), QHBoxLayout()
        for row, widgets in (
            (folder, (self.out, self.choose)),
            (buttons, (self.export, self.cancel)),
        ):
            row.setSpacing(6)
            for place, widget in enumerate(widgets):
                row.addWidget(widget, 1 - place)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(folder)
        layout.addLayout(buttons)
        layout.addWidget(self.bar)
        layout.addWidget(self.status)
