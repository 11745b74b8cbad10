"""Keys of the viewer: bound in code, because napari's manifests ignore them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from app_model.types import KeyBinding, KeyCode, KeyMod
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QShortcut, QWidget


class Key(NamedTuple):
    """A key in the words of napari (where the canvas has the focus) and of Qt (in the dock)."""

    napari: int
    qt: str


# Ctrl is Cmd on macOS, in both.
RENDER_KEY = Key(KeyMod.CtrlCmd | KeyCode.Enter, "Ctrl+Return")
CANCEL_KEY = Key(KeyMod.Shift | KeyCode.KeyX, "Shift+X")


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
