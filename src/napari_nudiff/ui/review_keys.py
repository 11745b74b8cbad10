"""Keys of a review: they go before those of napari, as long as somebody reviews."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QShortcut, QWidget

from napari_nudiff.dataset.review import GRADES


class ReviewKey(NamedTuple):
    """A key in Qt's words, and what it does.

    Attributes
    ----------
    qt : str
    does : str
        For lists of keys; "" = not listed.
    """

    qt: str
    does: str = ""


NEXT = ReviewKey("Right", "Next image")
PREVIOUS = ReviewKey("Left", "Image before")
OUTLINES = ReviewKey("O", "Outlines on, off")
FLAG = ReviewKey("F", "Flag the nucleus under the mouse, or unflag it")
COMMENT = ReviewKey("Return", "Write a comment; again to keep it")
REAL = ReviewKey("R", "In a study: real")
SYNTHETIC = ReviewKey("S", "In a study: synthetic")
REASON_KEYS = {"chromatin": "C", "cytoplasm": "Y", "border": "B", "artefact": "A", "stain": "T"}
_REALISM = "Realism 1, and so on to 5; in a study, confidence"
RATE = {n: ReviewKey(str(n), _REALISM if n == 1 else "") for n in GRADES}
_LABELS = "Labels 1, and so on to 5"
RATE_LABELS = {n: ReviewKey(f"Shift+{n}", _LABELS if n == 1 else "") for n in GRADES}
REASONS = {name: ReviewKey(key, f"Reason: {name}") for name, key in REASON_KEYS.items()}

ALL = (
    *RATE.values(),
    *RATE_LABELS.values(),
    REAL,
    SYNTHETIC,
    *REASONS.values(),
    FLAG,
    OUTLINES,
    COMMENT,
    NEXT,
    PREVIOUS,
)
"""In the order in which they are listed."""


class ReviewKeys:
    """Binds keys to actions wherever some widgets have the focus.

    Qt's shortcuts, not napari's keymaps: these give each layer's own keys (1 to 7 are modes) the
    first turn, and take Shift away from digits. Nothing of napari's is changed, so that nothing
    has to be put back.

    Parameters
    ----------
    widgets : iterable of QWidget
        The canvas and the dock.
    actions : mapping of ReviewKey to callable
    """

    def __init__(
        self, widgets: Iterable[QWidget], actions: Mapping[ReviewKey, Callable[[], object]]
    ) -> None:
        self._shortcuts = [
            _shortcut(widget, key.qt, action)
            for widget in widgets
            for key, action in actions.items()
        ]

    def close(self) -> None:
        """Give the keys back."""
        for shortcut in self._shortcuts:
            with suppress(RuntimeError):  # it went with its window
                shortcut.setEnabled(False)
                shortcut.deleteLater()
        self._shortcuts = []


def _shortcut(widget: QWidget, key: str, action: Callable[[], object]) -> QShortcut:
    made = QShortcut(QKeySequence(key), widget)
    made.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
    made.setAutoRepeat(False)
    made.activated.connect(partial(action))
    return made
