"""Keys of the viewer: bound in code, because napari's manifests ignore them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from app_model.types import KeyBinding

RENDER_KEY = "Ctrl+Return"
CANCEL_KEY = "Shift+X"


class Keys:
    """Binds keys to actions as long as a dock is open, and gives back what was bound before.

    Parameters
    ----------
    viewer : napari.Viewer
    actions : mapping of str to callable
        Keys in Qt's words.
    """

    def __init__(self, viewer: Any, actions: Mapping[str, Callable[[], object]]) -> None:
        self._viewer = viewer
        self._bound: dict[KeyBinding, tuple[Any, Any]] = {}  # ours, and what it replaced
        for keys, action in actions.items():
            self._bind(KeyBinding.from_str(keys.replace("Return", "Enter")), action)

    def close(self) -> None:
        """Unbind the keys, unless another dock has bound them since."""
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
