"""Commands of napari's menus."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_nudiff.session.settings import LayoutSettings

if TYPE_CHECKING:
    import napari


def new_layout(viewer: napari.Viewer) -> None:
    """Add an empty layout to paint nuclei into."""
    from napari_nudiff.ui.canvas import Canvas

    settings = LayoutSettings()
    canvas = Canvas(viewer)
    empty = np.zeros((settings.height_px, settings.width_px), dtype=np.int32)
    canvas.start_painting(canvas.add_layout(empty, canvas.new_frame("layout")))
    canvas.close()
