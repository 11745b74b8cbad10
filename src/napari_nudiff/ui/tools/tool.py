"""The protocol of a tool: its callbacks for the mouse."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from napari_nudiff.nuclei.editing import Point
from napari_nudiff.ui.tools.editor import LayoutEditor

_CLICK_PX = 3  # what moves less than this between press and release is a click


class Pointer(NamedTuple):
    """Where the mouse is, and which keys are held.

    Attributes
    ----------
    point : (float, float)
        Row and column in the layout.
    canvas_px : (float, float)
        On the screen: x, y.
    shift, control, alt : bool
    """

    point: Point
    canvas_px: tuple[float, float]
    shift: bool = False
    control: bool = False
    alt: bool = False

    @classmethod
    def of(cls, layer: Any, event: Any) -> Pointer:
        """The pointer of one of napari's mouse events."""
        row, col = layer.world_to_data(event.position)[-2:]
        return cls(
            (float(row), float(col)),
            (float(event.pos[0]), float(event.pos[1])),
            *(key in event.modifiers for key in ("Shift", "Control", "Alt")),
        )

    def is_click_from(self, start: Pointer) -> bool:
        """Whether the mouse hardly moved on the screen since then."""
        x, y = (abs(a - b) for a, b in zip(self.canvas_px, start.canvas_px, strict=True))
        return bool(max(x, y) < _CLICK_PX)


class Tool(Protocol):
    """What the mouse does in a layout as long as the tool is active."""

    cursor: str
    """One of napari's."""

    def start(self, editor: LayoutEditor) -> None:
        """Become active."""

    def stop(self) -> None:
        """End, also in the middle of a drag; what was drawn to guide the user disappears."""

    def hover(self, pointer: Pointer) -> None:
        """The mouse moves, no button is held."""

    def press(self, pointer: Pointer) -> None:
        """The left button goes down."""

    def drag(self, pointer: Pointer) -> None:
        """The mouse moves with the button held."""

    def release(self, pointer: Pointer) -> None:
        """The button goes up."""
