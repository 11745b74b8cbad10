"""Keys of the viewer: bound in code, because napari's manifests ignore them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from app_model.types import KeyBinding, KeyCode, KeyMod
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QShortcut, QWidget


class Key(NamedTuple):
    """A key in the words of napari (where the canvas has the focus) and of Qt (in the dock).

    Attributes
    ----------
    napari : int
    qt : str
    does : str
        For lists of keys.
    """

    napari: int
    qt: str
    does: str


# Ctrl is Cmd on macOS, in both. None of them is taken by napari 0.9 or by its layers.
_CTRL, _SHIFT, _ENTER = KeyMod.CtrlCmd, KeyMod.Shift, KeyCode.Enter
RENDER = Key(_CTRL | _ENTER, "Ctrl+Return", "Render")
RENDER_NEXT = Key(_CTRL | _SHIFT | _ENTER, "Ctrl+Shift+Return", "Render before what waits")
CANCEL = Key(_SHIFT | KeyCode.KeyX, "Shift+X", "Cancel what runs")
CANCEL_ALL = Key(_CTRL | _SHIFT | KeyCode.KeyX, "Ctrl+Shift+X", "Cancel everything")
LIVE = Key(_CTRL | KeyCode.KeyL, "Ctrl+L", "Live mode on, off")
NEXT = Key(KeyCode.KeyN, "N", "Show the next result")
PREVIOUS = Key(_SHIFT | KeyCode.KeyN, "Shift+N", "Show the result before")
APPLY = Key(_CTRL | _SHIFT | KeyCode.KeyA, "Ctrl+Shift+A", "Add the shown result as layers")
SEED = Key(KeyCode.KeyG, "G", "Draw another seed")


class Keys:
    """Binds keys to actions as long as a dock is open, and gives back what was bound before.

    Parameters
    ----------
    viewer : napari.Viewer
    dock : QWidget
    actions : mapping of Key to callable
    """

    def __init__(
        self, viewer: Any, dock: QWidget, actions: Mapping[Key, Callable[[], object]]
    ) -> None:
        self._viewer = viewer
        self._bound: dict[KeyBinding, tuple[Any, Any]] = {}  # ours, and what it replaced
        for key, action in actions.items():
            self._bind(KeyBinding.validate(key.napari), action)
            shortcut = QShortcut(QKeySequence(key.qt), dock)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(action)

    def close(self) -> None:
        """Unbind the viewer's keys, unless another dock has bound them since."""
        for key, (ours, before) in self._bound.items():
            if self._viewer.keymap.get(key) is ours:
                self._viewer.bind_key(key, before, overwrite=True)
        self._bound = {}

    def _bind(self, key: KeyBinding, action: Callable[[], object]) -> None:
        def press(_: object) -> None:
            action()

        before = self._viewer.keymap.get(key)
        self._viewer.bind_key(key, press, overwrite=True)
        self._bound[key] = press, before
