"""The image under review as layers of a viewer; the user's own layers are only hidden."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image, Labels
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from napari_nudiff.dataset.pair import Pair
from napari_nudiff.nuclei.descriptors import UM_PER_PX

OUTLINE, FLAGGED = "#35e0ff", "#ffe14d"
"""Colours that H&E has not: of outlines, and of those of flagged nuclei."""


class ReviewCanvas:
    """Shows one image, and outlines of its nuclei, at a time.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._image: Image | None = None
        self._labels: Labels | None = None
        self._hidden: list[Any] = []
        self._flagged: tuple[int, ...] | None = None  # of the image that is shown
        self.outlines_shown = True

    @property
    def native(self) -> Any:
        """The widget that has the focus while somebody looks at the image."""
        return self._viewer.window._qt_viewer.canvas.native

    def show(self, pair: Pair, title: str, *, blind: bool) -> None:
        """Show an image with outlines, or without any, instead of the one before."""
        image, labels = pair.image, pair.labels
        assert image is not None
        same_size = self._image is not None and self._image.data.shape == image.shape
        self._flagged = None
        self._hide_others()
        self._show_image(image, pair, title)
        if blind:
            self._remove(self._labels)
            self._labels = None
        else:
            self._show_labels(labels, pair, title)
        if not same_size:
            self._viewer.reset_view()

    def show_flags(self, flagged: tuple[int, ...]) -> None:
        """Mark nuclei, and keep it in the features of the Labels layer."""
        layer = self._labels
        if layer is None or flagged == self._flagged:
            return
        self._flagged = flagged
        ids = np.unique(layer.data)
        layer.features = {"index": ids, "flagged": np.isin(ids, flagged)}
        colours: dict[int | None, Any] = {None: OUTLINE, 0: "transparent"}
        layer.colormap = DirectLabelColormap(color_dict=colours | dict.fromkeys(flagged, FLAGGED))

    def toggle_outlines(self) -> bool:
        """Show or hide the outlines; of all images to come, too.

        Returns
        -------
        bool
            Whether they are shown now.
        """
        self.outlines_shown = not self.outlines_shown
        if self._labels is not None:
            self._labels.visible = self.outlines_shown
        return self.outlines_shown

    def nucleus_under_mouse(self) -> int:
        """The label where the mouse was last; 0 = none."""
        if self._labels is None:
            return 0
        point = self._labels.world_to_data(self._viewer.cursor.position)
        row, col = (int(np.floor(value + 0.5)) for value in point[-2:])
        height, width = self._labels.data.shape
        inside = 0 <= row < height and 0 <= col < width
        return int(self._labels.data[row, col]) if inside else 0

    def close(self) -> None:
        """Take the image away and show what was there before."""
        for layer in (self._image, self._labels):
            self._remove(layer)
        self._image = self._labels = None
        for layer in self._hidden:
            layer.visible = True
        self._hidden = []

    def _show_image(self, image: NDArray[np.uint8], pair: Pair, title: str) -> None:
        place = self._place(pair)
        if self._image is None or self._image not in self._viewer.layers:
            self._image = self._viewer.add_image(image, rgb=True, **place)
        else:
            self._image.data, self._image.scale = image, place["scale"]
        self._image.name = title
        self._image.metadata = _about(pair)

    def _show_labels(self, labels: NDArray[np.integer], pair: Pair, title: str) -> None:
        place = self._place(pair)
        if self._labels is None or self._labels not in self._viewer.layers:
            self._labels = self._viewer.add_labels(labels, **place)
            self._labels.contour = 1
            self._labels.editable = False  # a stray brush would change what is graded
            self._viewer.layers.selection.active = self._image
        else:
            self._labels.data, self._labels.scale = labels, place["scale"]
        self._labels.visible = self.outlines_shown
        self._labels.name = f"labels {title}"
        self._labels.metadata = _about(pair)

    def _place(self, pair: Pair) -> dict[str, Any]:
        """Micrometres, unless all other layers are in pixels: napari cannot show both."""
        others = [layer for layer in self._viewer.layers if not self._is_ours(layer)]
        if others and all(str(unit) == "pixel" for layer in others for unit in layer.units):
            return {"scale": (1.0, 1.0)}
        um_per_px = pair.um_per_px or UM_PER_PX
        return {"scale": (um_per_px, um_per_px), "units": ("um", "um")}

    def _hide_others(self) -> None:
        for layer in self._viewer.layers:
            if layer.visible and not self._is_ours(layer):
                layer.visible = False
                self._hidden.append(layer)

    def _is_ours(self, layer: Any) -> bool:
        return layer is self._image or layer is self._labels

    def _remove(self, layer: Any) -> None:
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)


def _about(pair: Pair) -> dict[str, Any]:
    return {"nudiff": pair.provenance} if pair.provenance else {}
