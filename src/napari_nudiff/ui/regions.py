"""Parts of a layout: the whole canvas, what the viewer shows, shapes, selected nuclei."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from napari.layers import Shapes
from numpy.typing import NDArray
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QWidget
from scipy import ndimage
from skimage.draw import polygon

from napari_nudiff.errors import LayoutError
from napari_nudiff.nuclei.placement import widened
from napari_nudiff.ui.widgets.fields import shrinkable

Mask = NDArray[np.bool_]

WHOLE, VIEW, SELECTED = "whole", "view", "selected"
_TITLES = {WHOLE: "whole canvas", VIEW: "what is in view", SELECTED: "selected nuclei"}
SELECTED_MARGIN_PX = 16
"""How far the region of selected nuclei reaches beyond them."""
_ELLIPSE_POINTS = 128
_WITHOUT_AREA = {"line", "path"}


class RegionCombo(QComboBox):
    """Offers the regions that there are, and gives the chosen one in a layout's pixels.

    Parameters
    ----------
    viewer : napari.Viewer
    selected_ids : callable, optional
        The labels of the selected nuclei; without it these are not offered.
    """

    region_changed = Signal()

    def __init__(
        self,
        viewer: Any,
        selected_ids: Callable[[], Sequence[int]] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        shrinkable(self)
        self._viewer, self._selected_ids = viewer, selected_ids
        events = viewer.layers.events
        self._events = [events.inserted, events.removed, events.reordered, events.renamed]
        for event in self._events:
            event.connect(self._on_layers_changed)
        self._on_layers_changed()
        self.currentIndexChanged.connect(lambda _: self.region_changed.emit())

    def region(self) -> Any:
        """The chosen one: `WHOLE`, `VIEW`, `SELECTED` or a Shapes layer."""
        return self.currentData()

    def choose(self, region: Any) -> None:
        """Choose one that is offered."""
        self.setCurrentIndex(self._index_of(region))

    def mask_in(self, layer: Any) -> Mask:
        """The chosen region in the pixels of a layout.

        Parameters
        ----------
        layer : napari.layers.Labels

        Returns
        -------
        ndarray, (H, W), bool

        Raises
        ------
        LayoutError
            If it has no pixel there.
        """
        region = self.region()
        if region == WHOLE:
            return np.ones(_size_of(layer), dtype=np.bool_)
        if region == VIEW:
            return view_mask(layer)
        if region == SELECTED:
            ids = self._selected_ids() if self._selected_ids is not None else ()
            return nuclei_mask(np.asarray(layer.data), ids)
        return shapes_mask(region, layer)

    def release(self) -> None:
        """Stop following the viewer."""
        for event in self._events:
            event.disconnect(self._on_layers_changed)
        self._events = []

    def _on_layers_changed(self, _: object = None) -> None:
        before = self.region()
        shapes = [layer for layer in reversed(self._viewer.layers) if isinstance(layer, Shapes)]
        with QSignalBlocker(self):
            self.clear()
            for name, title in _TITLES.items():
                if name != SELECTED or self._selected_ids is not None:
                    self.addItem(title, name)
            for layer in shapes:
                self.addItem(f"shapes: {layer.name}", layer)
            self.setCurrentIndex(max(self._index_of(before), 0))
        if not _is_same(self.region(), before):
            self.region_changed.emit()

    def _index_of(self, region: Any) -> int:
        # Not findData: it would compare layers with ==.
        return next((i for i in range(self.count()) if _is_same(self.itemData(i), region)), -1)


def _is_same(a: Any, b: Any) -> bool:
    return a == b if isinstance(a, str) and isinstance(b, str) else a is b


def _size_of(layer: Any) -> tuple[int, ...]:
    """Height and width of a layout, or of an RGB image."""
    shape: tuple[int, ...] = layer.data.shape
    return shape[:2] if getattr(layer, "rgb", False) else shape[-2:]


def view_mask(layer: Any) -> Mask:
    """What the viewer shows of a layout: a rectangle of its pixels.

    Raises
    ------
    LayoutError
        If it shows nothing of it.
    """
    shape = _size_of(layer)
    mask = np.zeros(shape, dtype=np.bool_)
    (top, left), (bottom, right) = np.clip(layer.corner_pixels[:, -2:], 0, np.array(shape) - 1)
    if bottom > top and right > left:
        mask[top : bottom + 1, left : right + 1] = True
    return _require_pixels(mask, "What is in view", "Move the view over it")


def shapes_mask(shapes: Any, layer: Any) -> Mask:
    """The polygons, rectangles and ellipses of a Shapes layer, in the pixels of a layout.

    Parameters
    ----------
    shapes : napari.layers.Shapes
        If some of its shapes are selected, only these count.
    layer : napari.layers.Labels

    Returns
    -------
    ndarray, (H, W), bool

    Raises
    ------
    LayoutError
        If they cover no pixel of the layout.
    """
    mask = np.zeros(_size_of(layer), dtype=np.bool_)
    for index in sorted(shapes.selected_data) or range(shapes.nshapes):
        kind = shapes.shape_type[index]
        if kind not in _WITHOUT_AREA:
            corners = _corners(np.asarray(shapes.data[index]), kind)
            world = [shapes.data_to_world(corner) for corner in corners]
            rows, cols = np.array([layer.world_to_data(point)[-2:] for point in world]).T
            mask[polygon(rows, cols, mask.shape)] = True
    advice = "Draw a polygon, a rectangle or an ellipse over it"
    return _require_pixels(mask, f"“{shapes.name}”", advice)


def _corners(data: NDArray[np.float64], kind: str) -> NDArray[np.float64]:
    """A shape as a polygon: napari stores an ellipse as the box around it."""
    if kind != "ellipse":
        return data
    angle = np.linspace(0, 2 * np.pi, _ELLIPSE_POINTS, endpoint=False)[:, None]
    one, other = (data[1] - data[0]) / 2, (data[3] - data[0]) / 2
    points: NDArray[np.float64] = data.mean(axis=0) + np.cos(angle) * one + np.sin(angle) * other
    return points


def nuclei_mask(
    labels: NDArray[np.integer], ids: Sequence[int], margin_px: float = SELECTED_MARGIN_PX
) -> Mask:
    """Nuclei and what is around them.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
    ids : sequence of int
    margin_px : float

    Returns
    -------
    ndarray, (H, W), bool

    Raises
    ------
    LayoutError
        If none of them is there.
    """
    mask = np.isin(labels, np.asarray(list(ids), dtype=labels.dtype))
    _require_pixels(mask, "The selection", "Select nuclei first: click them with the arrow tool")
    boxes: list[Any] = ndimage.find_objects(mask.astype(np.uint8))
    window = widened(boxes[0], math.ceil(margin_px), mask.shape)
    mask[window] = ndimage.distance_transform_edt(~mask[window]) <= margin_px
    return mask


def _require_pixels(mask: Mask, what: str, advice: str) -> Mask:
    if not mask.any():
        raise LayoutError(f"{what} covers no pixel of this layout. Nothing was done. {advice}.")
    return mask
