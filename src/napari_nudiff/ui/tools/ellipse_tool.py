"""A new nucleus by a drag."""

from __future__ import annotations

import numpy as np

from napari_nudiff.nuclei import editing
from napari_nudiff.nuclei.editing import Ellipse
from napari_nudiff.ui.tools.editor import LayoutEditor
from napari_nudiff.ui.tools.guide import Guide
from napari_nudiff.ui.tools.outline import ellipse_outline
from napari_nudiff.ui.tools.tool import Pointer

_MIN_RADIUS_PX = 1.0
_TOO_SMALL = "Drag from one corner of the new nucleus to the other; a click draws nothing."


class EllipseTool:
    """Draws an ellipse from corner to corner; Shift: a circle; Ctrl: from the centre.

    Parameters
    ----------
    guide : Guide
    """

    cursor = "cross"

    def __init__(self, guide: Guide) -> None:
        self._guide = guide
        self._start: Pointer | None = None

    def start(self, editor: LayoutEditor) -> None:
        """Become active."""
        self._editor = editor

    def stop(self) -> None:
        """End; a nucleus that was only begun is not drawn."""
        self._start = None
        self._guide.clear()

    def hover(self, pointer: Pointer) -> None:
        """Nothing to see yet."""

    def press(self, pointer: Pointer) -> None:
        """Begin."""
        self._start = pointer

    def drag(self, pointer: Pointer) -> None:
        """Show what would be drawn."""
        if self._start is not None:
            self._guide.show(self._editor.layer, ellipse_outline(_ellipse(self._start, pointer)))

    def release(self, pointer: Pointer) -> None:
        """Draw it."""
        start = self._start
        self.stop()
        if start is None:
            return
        ellipse = _ellipse(start, pointer)
        if pointer.is_click_from(start) or min(ellipse.radii) < _MIN_RADIUS_PX:
            self._editor.refused.emit(_TOO_SMALL)
            return
        overlap = self._editor.overlap
        self._editor.edit(lambda la: editing.add_ellipse(la, *ellipse, on_overlap=overlap))


def _ellipse(start: Pointer, end: Pointer) -> Ellipse:
    if not end.control:
        return editing.ellipse_between(start.point, end.point, circle=end.shift)
    reach = np.abs(np.subtract(end.point, start.point))
    down, across = np.full(2, reach.max()) if end.shift else reach
    return Ellipse(start.point, (float(down), float(across)))
