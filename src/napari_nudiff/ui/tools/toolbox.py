"""Which tool is in the hand: the only place where tools meet napari's mouse and keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from app_model.types import KeyBinding, KeyCode
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_nudiff.ui.tools.editor import LayoutEditor
from napari_nudiff.ui.tools.tool import Pointer, Tool

LEAVE_KEY = int(KeyCode.Escape)
_PAN_KEY = int(KeyCode.Space)
_PAN_MODE_KEYS = int(KeyCode.Digit6), int(KeyCode.KeyZ)  # napari's; it is in that mode already
_LEFT = 1


class Toolbox:
    """Tools of which one at most is active; then it has the mouse, and napari's brush has not.

    A tool is left by `leave`, by Escape, by one of napari's own modes, and when another layer
    becomes the active one.

    Parameters
    ----------
    viewer : napari.Viewer
    editor : LayoutEditor
    tools : mapping of str to Tool
    keys : mapping of str to mapping of int to callable, optional
        What keys do in the layer while a tool is active, by the tool's name.
    """

    active_changed = Signal(str)  # the tool's name, or ""

    def __init__(
        self,
        viewer: Any,
        editor: LayoutEditor,
        tools: Mapping[str, Tool],
        keys: Mapping[str, Mapping[int, Callable[[], object]]] | None = None,
    ) -> None:
        self._viewer, self._editor, self._tools = viewer, editor, tools
        self._keys = keys or {}
        self._layer: Any = None  # that has our callbacks
        self._active = ""
        self._mode_before = ""
        self._pan_button: Any = None
        self._keymap_before: dict[KeyBinding, Any] = {}
        editor.layer_changed.connect(self.leave)
        viewer.layers.selection.events.active.connect(self._on_active_layer_changed)

    @property
    def active(self) -> str:
        """The name of the active tool, or ""."""
        return self._active

    def take(self, name: str) -> None:
        """Make a tool active instead of another one; it works on the editor's layer."""
        if self._editor.layer is None or name == self._active:
            return
        if self._active:
            self._tools[self._active].stop()
            self._bind_keys(False)
        else:
            self._enter(self._editor.layer)
        self._active = name
        self._bind_keys(True)
        self._layer.cursor = self._tools[name].cursor
        self._tools[name].start(self._editor)
        self.active_changed.emit(name)

    def leave(self) -> None:
        """Put the tool away; the layer gets back the mode that it had."""
        if self._active:
            mode = self._mode_before
            layer = self._let_go()
            layer.cursor, layer.mouse_pan = "standard", True  # as in pan_zoom, where it is
            layer.mode = mode
            self.active_changed.emit("")

    def close(self) -> None:
        """Put the tool away and let go of the viewer."""
        self.leave()
        self.active_changed.disconnect()
        self._editor.layer_changed.disconnect(self.leave, missing_ok=True)
        self._viewer.layers.selection.events.active.disconnect(self._on_active_layer_changed)

    def _enter(self, layer: Any) -> None:
        self._layer = layer
        self._viewer.layers.selection.active = layer  # napari sends mouse events to no other layer
        self._mode_before = layer.mode
        layer.mode = "pan_zoom"  # in which napari's own callbacks do nothing
        layer.mouse_pan = False
        layer.mouse_drag_callbacks.append(self._on_drag)
        layer.mouse_move_callbacks.append(self._on_move)
        layer.events.mode.connect(self._on_mode_changed)
        self._pan_button = _pan_button_of(self._viewer, layer)
        if self._pan_button is not None:
            self._pan_button.clicked.connect(self._on_pan_clicked)
        self._viewer.window._qt_viewer.canvas.native.setFocus()  # so that keys go there

    def _let_go(self) -> Any:
        """Remove all callbacks and overlays from the layer."""
        self._tools[self._active].stop()
        self._bind_keys(False)
        layer, self._layer, self._active = self._layer, None, ""
        layer.events.mode.disconnect(self._on_mode_changed)
        for callbacks, ours in (
            (layer.mouse_drag_callbacks, self._on_drag),
            (layer.mouse_move_callbacks, self._on_move),
        ):
            if ours in callbacks:
                callbacks.remove(ours)
        if self._pan_button is not None:
            with suppress(RuntimeError, TypeError):  # it went with its layer or window
                self._pan_button.clicked.disconnect(self._on_pan_clicked)
        return layer

    # The mouse

    def _on_drag(self, layer: Any, event: Any) -> Iterator[None]:
        if event.button != _LEFT or layer.mouse_pan or len(event.dims_displayed) != 2:
            return
        name = self._active
        tool = self._tools[name]
        tool.press(Pointer.of(layer, event))
        yield
        while event.type == "mouse_move":
            if self._active == name:
                tool.drag(Pointer.of(layer, event))
            yield
        if self._active == name:
            tool.release(Pointer.of(layer, event))

    def _on_move(self, layer: Any, event: Any) -> None:
        if self._active and len(event.dims_displayed) == 2:
            self._tools[self._active].hover(Pointer.of(layer, event))

    # What ends it

    def _on_mode_changed(self, _: object) -> None:
        """The user took one of napari's own tools: leave it to him as it is."""
        self._let_go()
        self.active_changed.emit("")

    def _on_pan_clicked(self, _: object = None) -> None:
        self._mode_before = "pan_zoom"
        self.leave()

    def _on_active_layer_changed(self, _: object = None) -> None:
        # A layer that is added is the active one for a moment, as when a render appears: decide
        # when the selection is settled, or the tool is lost in the middle of drawing.
        QTimer.singleShot(0, self._leave_if_elsewhere)

    def _leave_if_elsewhere(self) -> None:
        if self._active and self._viewer.layers.selection.active is not self._layer:
            self.leave()

    # Keys

    def _bind_keys(self, bind: bool) -> None:
        keymap = self._layer.keymap
        if not bind:
            for key, before in self._keymap_before.items():
                keymap.pop(key, None)
                if before is not None:
                    keymap[key] = before
            self._keymap_before = {}
            return
        ours: dict[int, Any] = {_PAN_KEY: _hold_to_pan, LEAVE_KEY: _pressing(self.leave)}
        ours |= {key: _pressing(self._on_pan_clicked) for key in _PAN_MODE_KEYS}
        ours |= {key: _pressing(act) for key, act in self._keys.get(self._active, {}).items()}
        for code, press in ours.items():
            key = KeyBinding.from_int(code)
            self._keymap_before[key] = keymap.get(key)
            keymap[key] = press


def _pressing(action: Callable[[], object]) -> Callable[[Any], None]:
    def press(_: Any) -> None:
        action()

    return press


def _pan_button_of(viewer: Any, layer: Any) -> Any:
    """The button of the mode that a tool works in: no other listener gets its click."""
    controls = viewer.window._qt_viewer.controls.widgets.get(layer)
    return getattr(controls, "panzoom_button", None)


def _hold_to_pan(layer: Any) -> Iterator[None]:
    """As napari's own Space does in the other modes."""
    layer.mouse_pan = True
    yield
    layer.mouse_pan = False
