"""What was rendered: look, compare, apply, star, discard."""

from __future__ import annotations

from collections import deque

from qtpy.QtCore import QPoint, Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QMenu,
    QMessageBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_nudiff.errors import NudiffError
from napari_nudiff.session.results import Result, Results
from napari_nudiff.ui.widgets.caption import Caption
from napari_nudiff.ui.widgets.compare_bar import CompareBar
from napari_nudiff.ui.widgets.thumbnail_list import SIDE_PX, Marks, ThumbnailList
from napari_nudiff.ui.widgets.title import Title

_NOTHING = (
    "What you render is listed here: a click shows it above your layers, a double click adds it "
    "to them."
)
_NAME_CHARS = 22  # of a layout in a heading: the numbers are to be seen too
_MIN_HEIGHT_PX = SIDE_PX + 46  # a heading and a row


class ResultsPanel(QWidget):
    """Thumbnails of the results, grouped by request.

    Parameters
    ----------
    results : Results
    """

    preview_requested = Signal(object)  # id, or None
    apply_requested = Signal(str)
    recall_requested = Signal(str, str)  # id, "all" or "seed"
    save_requested = Signal(str)
    copy_requested = Signal(str)
    save_session_requested = Signal()
    open_session_requested = Signal()
    comparison_moved = Signal(object, str)  # image, id of a result that lies there
    failed = Signal(str)

    def __init__(self, results: Results) -> None:
        super().__init__()
        self._results = results
        self._groups: dict[str, list[str]] = {}
        self._compared: tuple[str, ...] = ()
        self._unread: deque[str] = deque()  # their thumbnails are made when nothing else is to do
        self._reading = QTimer(self)
        self.list, self.compare_bar = ThumbnailList(), CompareBar()
        self.empty, self.summary = Caption(_NOTHING), Caption()
        self.menu_button = QToolButton()
        self._lay_out()
        self._connect()
        for result in results.all():
            self._on_added(result)
        self._on_counted()

    def step(self, by: int) -> None:
        """Show the next result in the list, or the one before."""
        keys, chosen = self.list.keys(), self.list.selected_keys()
        if keys:
            at = keys.index(chosen[0]) + by if chosen else 0
            self.list.select(keys[at % len(keys)])
            self.preview_requested.emit(keys[at % len(keys)])

    def select(self, result_id: str | None) -> None:
        """Select the result that is shown."""
        self._leave_comparison()
        self.list.select(result_id)

    def compare(self, a: str, b: str) -> None:
        """Wipe between two results."""
        try:
            first, second = (self._results.sample(key).image for key in (a, b))
        except NudiffError as error:
            self.failed.emit(str(error))
            return
        if first is None or second is None or first.shape != second.shape:
            self.failed.emit("Only images of one size can be compared.")
            return
        self._compared = a, b
        self.compare_bar.compare(first, second)

    def _lay_out(self) -> None:
        self.list.setMinimumHeight(_MIN_HEIGHT_PX)
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.menu_button.setText("⋯")
        self.menu_button.setToolTip("Save or open a session; tidy up.")
        self.menu_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu_button.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        menu = QMenu(self.menu_button)
        menu.addAction("Save session…", self.save_session_requested.emit)
        menu.addAction("Open session…", self.open_session_requested.emit)
        menu.addSeparator()
        menu.addAction("Discard what is neither starred nor applied", self._discard_rest)
        self.menu_button.setMenu(menu)
        above = QHBoxLayout()
        above.addWidget(Title("Results"))
        above.addStretch(1)
        above.addWidget(self.summary)
        above.addWidget(self.menu_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 6, 6, 0)
        layout.setSpacing(4)
        layout.addLayout(above)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self.empty)
        layout.addWidget(self.list, 1)
        layout.addWidget(self.compare_bar)

    def _connect(self) -> None:
        results, listed = self._results, self.list
        results.added.connect(self._on_added)
        results.changed.connect(self._on_changed)
        results.removed.connect(self._on_removed)
        listed.shown.connect(self._on_shown)
        listed.applied.connect(self.apply_requested)
        listed.starred.connect(self._toggle_star)
        listed.discarded.connect(self._discard)
        listed.customContextMenuRequested.connect(self._open_menu)
        self._reading.timeout.connect(self._read_one)
        self.compare_bar.moved.connect(
            lambda image: self.comparison_moved.emit(image, self._compared[0])
        )
        self.compare_bar.closed.connect(self._end_comparison)

    def menu_of(self, keys: list[str]) -> QMenu:
        """What can be done with results."""
        menu, one, shown = QMenu(self), keys[0], self.list.shown_key
        if len(keys) == 2:
            menu.addAction("Compare the two", lambda: self.compare(keys[0], keys[1]))
        if len(keys) == 1:
            menu.addAction("Apply: add as layers\tEnter", lambda: self.apply_requested.emit(one))
            if shown not in {None, one}:
                menu.addAction("Compare with the one shown", lambda: self.compare(shown, one))
        menu.addAction("Star, or not\tS", lambda: self._toggle_stars(keys))
        if len(keys) == 1:
            menu.addSeparator()
            menu.addAction("Recall its settings", lambda: self.recall_requested.emit(one, "all"))
            menu.addAction("Recall its seed", lambda: self.recall_requested.emit(one, "seed"))
            menu.addAction("Copy its request as JSON", lambda: self.copy_requested.emit(one))
            menu.addAction("Save as…", lambda: self.save_requested.emit(one))
        menu.addSeparator()
        menu.addAction("Discard\tDel", lambda: self._discard(keys))
        return menu

    def _open_menu(self, at: QPoint) -> None:
        keys = self.list.selected_keys()
        if keys:
            menu = self.menu_of(keys)
            menu.aboutToHide.connect(menu.deleteLater)
            menu.popup(self.list.mapToGlobal(at))

    def _on_shown(self, key: str | None) -> None:
        self._leave_comparison()
        self.preview_requested.emit(key)

    def _end_comparison(self) -> None:
        first = self._compared[0]
        self._leave_comparison()
        self.preview_requested.emit(first)

    def _leave_comparison(self) -> None:
        self._compared = ()
        self.compare_bar.end()

    def _toggle_stars(self, keys: list[str]) -> None:
        for key in keys:
            self._toggle_star(key)

    def _toggle_star(self, key: str) -> None:
        self._results.star(key, not self._results.find(key).starred)

    def _discard(self, keys: list[str]) -> None:
        kept = [key for key in keys if self._results.find(key).is_dear]
        if kept and not self._agreed(len(kept)):
            return
        if self.list.shown_key in keys or set(self._compared) & set(keys):
            self._on_shown(None)
        self._results.discard(*keys)

    def _discard_rest(self) -> None:
        rest = [result.id for result in self._results.all() if not result.is_dear]
        if rest:
            self._discard(rest)

    def _agreed(self, count: int) -> bool:
        text = "This result is" if count == 1 else f"{count} of these results are"
        answer = QMessageBox.question(
            self, "Discard", f"{text} starred or applied. Discard anyway? Layers stay."
        )
        return bool(answer == QMessageBox.StandardButton.Yes)

    def _on_added(self, result: Result) -> None:
        self._groups.setdefault(result.group, []).append(result.id)
        caption, at_once = f"seed {result.seed}", self._results.in_memory(result.id)
        image = self._results.sample(result.id).image if at_once else None
        self.list.add(result.id, result.group, self._heading(result), caption, image)
        if not at_once:
            self._unread.append(result.id)
            self._reading.start()
        self._on_changed(result)
        self._on_counted()

    def _read_one(self) -> None:
        """Make the thumbnail of a result whose pixels are on disk."""
        if not self._unread:
            self._reading.stop()
            return
        result_id = self._unread.popleft()
        try:
            image = self._results.glimpse(result_id).image
        except NudiffError as error:
            self.failed.emit(str(error))
            return
        if image is not None:
            self.list.set_image(result_id, image)

    def _on_changed(self, result: Result) -> None:
        self.list.mark(result.id, Marks(result.starred, result.applied))

    def _on_removed(self, result_id: str) -> None:
        self.list.remove(result_id)
        if result_id in self._unread:
            self._unread.remove(result_id)
        name, group = next(item for item in self._groups.items() if result_id in item[1])
        group.remove(result_id)
        if group:
            self.list.set_heading(name, self._heading(self._results.find(group[0])))
        else:
            del self._groups[name]
            self.list.set_heading(name, "")
        self._on_counted()

    def _heading(self, result: Result) -> str:
        request, count = result.provenance.get("request", {}), len(self._groups[result.group])
        name = result.name
        parts = [name if len(name) <= _NAME_CHARS else f"{name[: _NAME_CHARS - 1]}…"]
        if result.provenance.get("kind") == "edit":
            parts.append("edited")
        parts.append(f"{request.get('steps', '?')} steps")
        parts.append(f"guidance {request.get('guidance', '?')}")
        return " · ".join([*parts, f"{count} images"] if count > 1 else parts)

    def _on_counted(self) -> None:
        count = len(self._results)
        self.empty.setVisible(count == 0)
        self.list.setVisible(count > 0)
        self.summary.setText(f"{count} · {self._results.nbytes / 2**20:.0f} MB" if count else "")
        self.summary.setToolTip("How many, and the memory they take; see Preferences.")
