"""Lines drawn over a layer to guide the hand: no layer, so nothing to select, save or forget."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vispy.scene.visuals import Line

from napari_nudiff.ui.tools.outline import Segments

# Seen on tissue, on black and on any label: a light line with a dark one below.
_STROKES = (((0.05, 0.03, 0.1, 0.85), 3.5), ((1.0, 1.0, 1.0, 1.0), 1.5))
_ON_TOP = 1_000_000


class Guide:
    """Lines in the pixels of a layer, in the scene that napari draws the layer in.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._lines: list[Any] = []

    @property
    def is_shown(self) -> bool:
        """Whether there is something to see."""
        return any(line.visible for line in self._lines)

    def show(self, layer: Any, segments: Segments) -> None:
        """Draw these lines instead of those before.

        Parameters
        ----------
        layer : napari.layers.Labels
        segments : ndarray, (M, 2, 2)
            Start and end of each; row and column.
        """
        scene, axes = self._scene_of(layer), self._displayed_axes()
        if scene is None or axes is None or not len(segments):
            self.clear()
            return
        points = world_points(layer, segments.reshape(-1, 2))[:, axes[::-1]]  # x, y
        for line in self._in(scene):
            line.set_data(pos=points.astype(np.float32))
            line.visible = True

    def clear(self) -> None:
        """Draw nothing."""
        for line in self._lines:
            line.visible = False

    def close(self) -> None:
        """Leave the canvas as it was."""
        for line in self._lines:
            with suppress(RuntimeError):  # the window is gone, and the canvas with it
                line.parent = None
        self._lines = []

    def _in(self, scene: Any) -> list[Any]:
        if not self._lines:
            self._lines = [_line(colour, width) for colour, width in _STROKES]
        for line in self._lines:
            if line.parent is not scene:  # napari moves layers between scenes for its grid
                line.parent = scene
        return self._lines

    def _scene_of(self, layer: Any) -> Any:
        visual = self._viewer.window._qt_viewer.canvas.layer_to_visual.get(layer)
        return None if visual is None else visual.node.parent

    def _displayed_axes(self) -> list[int] | None:
        """Which of a plane's axes go down and across; None where the plane is not in view."""
        dims = self._viewer.dims
        axes = [axis - dims.ndim + 2 for axis in dims.displayed]
        return axes if sorted(axes) == [0, 1] else None


def world_points(layer: Any, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where points of a layer, (P, 2), lie in the world; napari maps them one by one."""
    origin, down, across = (np.array(layer.data_to_world(p)) for p in ((0, 0), (1, 0), (0, 1)))
    world: NDArray[np.float64] = points @ np.stack([down - origin, across - origin]) + origin
    return world


def _line(colour: tuple[float, ...], width: float) -> Any:
    line = Line(pos=np.zeros((2, 2)), color=colour, width=width, connect="segments", method="gl")
    line.set_gl_state("translucent", depth_test=False)
    line.order = _ON_TOP
    return line
