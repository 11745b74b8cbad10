"""What reviewers said, counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_nudiff.dataset.reader_study import (
    ReaderStudy,
    agreement_lines,
    reader_study,
    write_study,
)
from napari_nudiff.dataset.review import grade_lines, read_reviews
from napari_nudiff.errors import DatasetError, NudiffError
from napari_nudiff.files import atomic_path
from napari_nudiff.ui.widgets.caption import Caption
from napari_nudiff.ui.widgets.study_plot import StudyPlot
from napari_nudiff.ui.widgets.study_table import StudyTable

_NOTHING = "Nothing has been graded or answered here yet."
_NO_FOLDER = "Add images first: reviews lie beside them."


class ReviewResultsPanel(QWidget):
    """Reads the reviews of a folder when asked, and shows and writes what they come to.

    Parameters
    ----------
    folder : callable
        Where the reviews lie; None = nowhere yet.
    """

    failed = Signal(str)

    def __init__(self, folder: Callable[[], Path | None]) -> None:
        super().__init__()
        self._folder = folder
        self._study: ReaderStudy | None = None
        self.show_button, self.save_button = QPushButton("Show"), QPushButton("Save…")
        self.table, self.plot, self.words = StudyTable(), StudyPlot(), Caption()
        self._lay_out()
        self.show_button.clicked.connect(self.refresh)
        self.save_button.clicked.connect(self._ask_where)
        self._show(None, [])

    def refresh(self) -> None:
        """Read the reviews again."""
        folder = self._folder()
        try:
            reviews = None if folder is None else read_reviews(folder)
        except NudiffError as error:
            self.failed.emit(str(error))
            return
        if reviews is None:
            self._show(None, [_NO_FOLDER])
            return
        latest = list(reviews.latest.values())
        study = reader_study(latest)
        lines = [*agreement_lines(study), *grade_lines(latest)]
        dropped = [f"Not read: {one}." for one in reviews.dropped]
        self._show(study, [*(lines or ([] if study.readers else [_NOTHING])), *dropped])

    def save_as(self, path: Path) -> None:
        """Write the study: a table, all answers, the text and the plot."""
        try:
            if self._study is None:
                raise DatasetError("There is nothing to write yet. Press Show first.")
            paths = write_study(path, self._study)
            with atomic_path(path.with_suffix(".png")) as staged:
                if not self.plot.picture().save(str(staged)):
                    raise OSError("the picture could not be saved")
        except NudiffError as error:
            self.failed.emit(str(error))
            return
        self.words.setText(f"Written: {', '.join(p.name for p in paths)} and {path.stem}.png.")

    def _ask_where(self) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self, "Save the study", "reader-study.csv", "Tables (*.csv)"
        )
        if name:
            self.save_as(Path(name).with_suffix(".csv"))

    def _show(self, study: ReaderStudy | None, lines: list[str]) -> None:
        self._study = study
        readers = study.readers if study else ()
        self.table.show_readers(readers)
        self.plot.show_readers(readers)
        self.words.setText("\n".join(lines))
        self.words.setVisible(bool(lines))
        self.save_button.setEnabled(bool(readers))

    def _lay_out(self) -> None:
        self.show_button.setToolTip(
            "Count what all reviewers of this folder said. In a study, look when you are done: "
            "knowing how often you are right changes how you answer."
        )
        self.save_button.setToolTip("Write the study as tables, text and a picture.")
        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        buttons.addWidget(self.show_button, 1)
        buttons.addWidget(self.save_button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(buttons)
        layout.addWidget(self.table)
        layout.addWidget(self.plot)
        layout.addWidget(self.words)
