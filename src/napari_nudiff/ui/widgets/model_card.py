"""One checkpoint in a list."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_nudiff.session.catalogue import Entry
from napari_nudiff.text import size_text
from napari_nudiff.ui.widgets.accent import EOSIN, ERROR, HEMATOXYLIN_LIGHT
from napari_nudiff.ui.widgets.step_bar import StepBar

_COLOURS = {
    "embedded": HEMATOXYLIN_LIGHT,
    "fetched": HEMATOXYLIN_LIGHT,
    "own file": EOSIN,
    "missing": ERROR,
    "damaged": ERROR,
}
_QUIET = "rgba(128, 128, 128, 255)"


class ModelCard(QWidget):
    """Name and state, and below them what counts when choosing; a bar while it is fetched.

    Parameters
    ----------
    entry : Entry
    """

    def __init__(self, entry: Entry, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.entry = entry
        checkpoint = entry.checkpoint
        known = checkpoint.licence != "unknown"
        licence = checkpoint.licence if known else "licence unknown"
        self._about = f"{checkpoint.role} · {size_text(checkpoint.size_bytes)} · {licence}"
        self.name, self.state = _eliding(checkpoint.name), QLabel()
        self.about, self.bar = _eliding(self._about), StepBar()
        self._lay_out()
        self.show_rest()

    def show_rest(self) -> None:
        """Show what it is; nothing happens to it."""
        state = "damaged" if self.entry.damaged else self.entry.state
        self._show_state(state, _COLOURS.get(state, _QUIET))
        self.about.setText(self._about)
        self.bar.hide()

    def show_waiting(self) -> None:
        """Show that it will be fetched after others."""
        self._show_state("waiting", _QUIET)
        self.bar.show_step(0, 1)

    def show_bytes(self, done_bytes: int, size_bytes: int, text: str) -> None:
        """Show how far its download is."""
        self._show_state(f"{100 * done_bytes // max(size_bytes, 1)} %", EOSIN)
        self.about.setText(text)
        # Qt counts with 32 bits, and large models have more bytes.
        self.bar.show_step(done_bytes // 1024, max(size_bytes // 1024, 1))

    def _show_state(self, state: str, colour: str) -> None:
        self.state.setText(state)
        self.state.setStyleSheet(f"background: transparent; font-size: 8pt; color: {colour};")

    def _lay_out(self) -> None:
        self.name.setStyleSheet("background: transparent; font-weight: 600;")
        self.about.setStyleSheet("background: transparent; font-size: 8pt;")
        self.bar.setFixedHeight(3)
        first = QHBoxLayout()
        first.setSpacing(8)
        first.addWidget(self.name, 1)
        first.addWidget(self.state)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 4)
        layout.setSpacing(2)
        layout.addLayout(first)
        layout.addWidget(self.about)
        layout.addWidget(self.bar)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)  # the list is clicked


def _eliding(text: str) -> QElidingLabel:
    label = QElidingLabel(text)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return label
