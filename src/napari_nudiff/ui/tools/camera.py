"""The viewer's camera brought to a place in a layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_nudiff.nuclei.editing import Bounds
from napari_nudiff.ui.tools.guide import world_points

_SHARE = 0.15  # of the canvas that a nucleus fills


def look_at(viewer: Any, layer: Any, bounds: Bounds) -> None:
    """Centre a part of a layer, and zoom in if it would be too small to see.

    Parameters
    ----------
    viewer : napari.Viewer
    layer : napari.layers.Labels
    bounds : (slice, slice)
        Rows and columns.
    """
    corners = np.array([[side.start, side.stop] for side in bounds], dtype=float).T
    world = world_points(layer, corners - 0.5)
    extent = max(float(np.ptp(world, axis=0).max()), np.finfo(float).tiny)
    side_px = min(viewer.window._qt_viewer.canvas.size)
    camera = getattr(viewer, "scene", viewer).camera  # of its scene since napari 0.9
    camera.center = tuple(world.mean(axis=0))
    camera.zoom = max(camera.zoom, _SHARE * side_px / extent)
