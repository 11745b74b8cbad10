"""What is reviewed, by whom, and how."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_nudiff.dataset.pair_file import EXTENSION
from napari_nudiff.session.review import ReviewSession
from napari_nudiff.session.settings import draw_seed
from napari_nudiff.ui.bind import bind
from napari_nudiff.ui.widgets.caption import Caption
from napari_nudiff.ui.widgets.fields import Fields
from napari_nudiff.ui.widgets.render_button import RenderButton
from napari_nudiff.ui.widgets.seed_edit import SeedEdit
from napari_nudiff.ui.widgets.source_list import SourceList
from napari_nudiff.ui.widgets.step_bar import StepBar
from napari_nudiff.work import Progress

_REVIEWER = "Who grades. Each reviewer has a file of their own, which bears this name."
_FOLDER = "A saved session, or a folder that `nudiff generate` or `nudiff render` wrote to."
_REAL = "Real images, with labels or without: for a reader study, or to compare."
_BLIND = (
    "Real and synthetic images in random order, without names or outlines; all are cut to the "
    "size of the smallest. The reader says which is which."
)
_SEED = "Of the random order. Each reader has an order of their own, which is stored."
_NOTHING = "Add images to review: results of a session, a folder of pairs, or single files."


class ReviewSourcesPanel(QWidget):
    """Choose images, say who reviews, and begin.

    Parameters
    ----------
    session : ReviewSession
    """

    begin_requested = Signal()

    def __init__(self, session: ReviewSession) -> None:
        super().__init__()
        self._settings = session.settings
        self.list, self.written = SourceList(), Caption()
        self.add_folder, self.add_file = QPushButton("Add folder…"), QPushButton("Add file…")
        self.add_real, self.elsewhere = QPushButton("Add real…"), QPushButton("Elsewhere…")
        self.reviewer, self.blind = QLineEdit(), QCheckBox("Reader study, blind")
        self.seed, self.begin, self.bar = SeedEdit(), RenderButton("Begin"), StepBar()
        self._lay_out()
        self._connect(session)
        self._bindings = [
            bind(self._settings, "blind", self.blind),
            bind(self._settings, "seed", self.seed),
        ]
        self._on_settings_changed()

    def add(self, kind: str, path: Path) -> None:
        """Add a source, "synthetic" or "real"; once is enough."""
        paths: tuple[Path, ...] = getattr(self._settings, kind)
        if path not in paths:
            setattr(self._settings, kind, (*paths, path))

    def show_progress(self, progress: Progress) -> None:
        """Show how many images were read."""
        self.bar.show_step(progress.done, progress.total)
        self.begin.setText(f"Stop  ·  {progress.done} of {progress.total} read")

    def show_rest(self) -> None:
        """Nothing is being read."""
        self.bar.hide()
        self._on_settings_changed()

    def _connect(self, session: ReviewSession) -> None:
        self._session = session
        self.add_folder.clicked.connect(lambda: self._ask_folder("synthetic"))
        self.add_real.clicked.connect(lambda: self._ask_folder("real"))
        self.add_file.clicked.connect(self._ask_files)
        self.elsewhere.clicked.connect(self._ask_reviews_folder)
        self.list.remove_requested.connect(self._on_remove)
        self.reviewer.textChanged.connect(self._on_reviewer)
        self.reviewer.returnPressed.connect(self.begin.click)
        self.seed.dice_requested.connect(lambda: self.seed.setValue(draw_seed()))
        self.begin.clicked.connect(self.begin_requested)
        self._settings.events.connect(self._on_settings_changed)

    def _on_reviewer(self, text: str) -> None:
        self._settings.reviewer = text.strip()

    def _on_remove(self, kind: str, path: Path) -> None:
        kept = tuple(one for one in getattr(self._settings, kind) if one != path)
        setattr(self._settings, kind, kept)

    def _on_settings_changed(self, _: object = None) -> None:
        settings = self._settings
        self.list.show_sources(settings.synthetic, settings.real)
        self._fields.show(self.seed, settings.blind)
        folder = settings.reviews_folder()
        self.elsewhere.setVisible(folder is not None)
        name = settings.reviewer or "…"
        self.written.setText(
            _NOTHING if folder is None else f"Kept as reviews-{name}.jsonl in {folder.name}."
        )
        self.written.setToolTip("" if folder is None else str(folder))
        if not self._session.is_opening:
            self.begin.setEnabled(bool(folder and settings.reviewer))
            self.begin.setText("Begin the study" if settings.blind else "Begin")

    def _ask_folder(self, kind: str) -> None:
        if chosen := QFileDialog.getExistingDirectory(self, f"Folder of {kind} images"):
            self.add(kind, Path(chosen))

    def _ask_files(self) -> None:
        pattern = f"Pairs (*{EXTENSION})"
        for chosen in QFileDialog.getOpenFileNames(self, "Pairs to review", "", pattern)[0]:
            self.add("synthetic", Path(chosen))

    def _ask_reviews_folder(self) -> None:
        if chosen := QFileDialog.getExistingDirectory(self, "Where to keep reviews"):
            self._settings.folder = Path(chosen)

    def _lay_out(self) -> None:
        self.add_folder.setToolTip(_FOLDER)
        self.add_file.setToolTip(f"Single {EXTENSION} files.")
        self.add_real.setToolTip(_REAL)
        self.elsewhere.setToolTip("Keep the reviews in another folder.")
        self.elsewhere.setStyleSheet("font-size: 8pt; padding: 2px 8px;")
        self.reviewer.setPlaceholderText("initials")
        self.blind.setToolTip(_BLIND)
        self._fields = Fields()
        self._fields.add("Reviewer", self.reviewer, _REVIEWER)
        self._fields.add_below(self.blind)
        self._fields.add("Seed", self.seed, _SEED)
        buttons, below = QHBoxLayout(), QHBoxLayout()
        buttons.setSpacing(6)
        for button in (self.add_folder, self.add_file, self.add_real):
            buttons.addWidget(button, 1)
        below.addWidget(self.written, 1)
        below.addWidget(self.elsewhere)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.list)
        layout.addLayout(buttons)
        layout.addLayout(self._fields)
        layout.addLayout(below)
        layout.addWidget(self.begin)
        layout.addWidget(self.bar)
