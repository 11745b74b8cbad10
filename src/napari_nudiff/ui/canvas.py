"""The only module that touches the viewer's layers."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray
from psygnal import Signal

from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.nuclei.descriptors import UM_PER_PX
from napari_nudiff.nuclei.edit import as_edit
from napari_nudiff.nuclei.stain import style_of
from napari_nudiff.session.appearance import Reference
from napari_nudiff.ui.class_features import classes_in, features_of
from napari_nudiff.ui.frame import Frame, scale_of

if TYPE_CHECKING:
    from napari_nudiff.dataset.pyramid import Pyramid

PREVIEW_NAME = "[preview]"
OUTLINES_NAME = "[outlines]"
_PREVIEW_INTERVAL_S = 0.1
_BRUSH_PX = 20
_REMEMBERED_PX = 4096 * 4096  # a copy of a larger layout would take too much memory
_STYLE_PX = 1024 * 1024  # are enough for means and deviations
_REFERENCE_PX = 2048  # a side; are enough for an appearance


class HasMask(Protocol):
    """A part of a layer."""

    def mask_in(self, layer: Layer) -> NDArray[np.bool_]:
        """Its pixels, (H, W)."""


class Canvas:
    """Layouts and results as layers of a viewer; the user's own layers are never changed.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    layers_changed = Signal()
    layout_edited = Signal(object)  # the Labels layer

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._preview: Image | None = None
        self._next_s = 0.0
        self._outlines: Labels | None = None
        self._events = layer_list_events(viewer)
        for event in self._events:
            event.connect(self._on_layers_changed)
        self._watched: list[Labels] = []
        self._first_seen: WeakKeyDictionary[Labels, NDArray[Any]] = WeakKeyDictionary()
        self._watch()

    def close(self) -> None:
        """Stop following the viewer and remove the preview."""
        for event in self._events:
            event.disconnect(self._on_layers_changed)
        self._watch(closing=True)
        self.clear_preview()
        self.show_outlines(None)

    @property
    def viewer(self) -> Any:
        """The viewer, for those who need its camera or its mouse."""
        return self._viewer

    # What there is

    def layouts(self) -> list[Labels]:
        """The layers that can be rendered: one plane of integer labels; the newest first."""
        layers = reversed(self._viewer.layers)
        return [layer for layer in layers if _is_layout(layer) and layer is not self._outlines]

    def references(self) -> list[Image]:
        """The layers whose stain can be taken: RGB images; the newest first."""
        return [layer for layer in reversed(self._viewer.layers) if self._is_reference(layer)]

    def reason_against(self) -> str:
        """Why no Labels layer of the viewer is a layout; "" where there is no Labels layer."""
        for layer in self._viewer.layers:
            if isinstance(layer, Labels):
                planes = "multiscale" if layer.multiscale else f"{layer.ndim}D"
                return f"“{layer.name}” is {planes}; one plane of labels is needed."
        return ""

    @staticmethod
    def copy_of(layer: Labels) -> Layout:
        """The layout as it is now: the user may go on painting."""
        return Layout(np.array(layer.data), classes_in(layer.features))

    def original_of(self, layer: Labels) -> NDArray[Any] | None:
        """The labels as they were when the layout was first seen here; None if it was too large.

        What changed in a real image is what changed since then.
        """
        return self._first_seen.get(layer)

    @staticmethod
    def pixels_of(layer: Image) -> NDArray[np.uint8]:
        """An RGB layer in 8 bits, as napari shows it."""
        return _in_bytes(np.asarray(layer.data[..., :3]))

    @staticmethod
    def style_of(layer: Image, region: HasMask | None = None) -> tuple[float, ...]:
        """The stain style of an RGB layer, or of a region of it.

        Raises
        ------
        NudiffError
            The region has no pixel of it.
        """
        stride = math.ceil(math.sqrt(layer.data.size / 3 / _STYLE_PX))
        mask = None if region is None else region.mask_in(layer)[::stride, ::stride]
        return style_of(_in_bytes(np.asarray(layer.data[::stride, ::stride, :3])), mask)

    @staticmethod
    def reference_of(layer: Image, region: HasMask | None = None) -> Reference:
        """An RGB layer, or the rectangle around a region of it; of a large one the middle.

        Raises
        ------
        NudiffError
            The region has no pixel of it.
        """
        ranges = [(0, side) for side in layer.data.shape[:2]]
        if region is not None:
            mask = region.mask_in(layer)
            inside = (np.flatnonzero(mask.any(axis=1 - axis)) for axis in (0, 1))
            ranges = [(int(at[0]), int(at[-1]) + 1) for at in inside]
        rows, cols = (_middle(start, stop, _REFERENCE_PX) for start, stop in ranges)
        pixels = np.asarray(layer.data[rows, cols, :3])
        return Reference(_in_bytes(pixels), scale_of(layer).um_per_px)

    # What is made

    def new_frame(self, name: str, um_per_px: float = UM_PER_PX) -> Frame:
        """The frame of a new layout: micrometres, unless all other layers are in pixels."""
        layers = self._viewer.layers
        if layers and all(str(unit) == "pixel" for layer in layers for unit in layer.units):
            return Frame(name)
        scale, units = (um_per_px, um_per_px), ("um", "um")
        return Frame(name, {"scale": scale, "units": units, "axis_labels": ("y", "x")})

    def add_layout(self, layout: Layout, frame: Frame, provenance: Any = None) -> Labels:
        """Add a layout, as the active layer: the user will paint in it."""
        metadata = {} if provenance is None else {"nudiff": provenance}
        about = {"metadata": metadata} | features_of(layout.classes) | frame.spatial
        return self._viewer.add_labels(layout.labels, name=frame.name, **about)

    def add_sampled(self, sample: Pair, frame: Frame) -> Labels:
        """Add a sampled layout; its seed is part of its name."""
        name = f"{frame.name} s{sample.provenance['request']['seed']}"
        return self.add_layout(sample.layout, replace(frame, name=name), sample.provenance)

    @staticmethod
    def change_layout(layer: Labels, before: NDArray[Any], after: NDArray[Any]) -> bool:
        """Change a layout in one step of napari's undo.

        Returns
        -------
        bool
            Whether it was still as it was ``before``; else nothing was changed.
        """
        if not np.array_equal(layer.data, before):
            return False
        edit = as_edit(before, after)
        layer.data_setitem(edit.indices, edit.after)
        return True

    @staticmethod
    def start_painting(layer: Labels) -> None:
        """Hand the user a brush of the size of a nucleus."""
        layer.brush_size = _BRUSH_PX
        layer.selected_label = 1
        layer.mode = "paint"

    def add_pair(self, sample: Pair, frame: Frame) -> tuple[Image, Labels]:
        """Add a rendered image and, as outlines over it, its labels."""
        ending = f"{frame.name} s{sample.provenance['request']['seed']}"
        with self._selection_kept():
            image = self._finished_preview(sample, frame)
            image.name = f"render {ending}"
            image.metadata["nudiff"] = sample.provenance
            about = features_of(sample.classes) | frame.spatial
            labels = self._viewer.add_labels(sample.labels, name=f"labels {ending}", **about)
            labels.metadata["nudiff"] = copy.deepcopy(sample.provenance)
            labels.contour = 1
        return image, labels

    def add_pyramid(self, pyramid: Pyramid, frame: Frame) -> tuple[Image, Labels]:
        """Add a large image and its labels; their pixels are read from the disk when seen."""
        ending = f"{frame.name} s{pyramid.provenance['request']['seed']}"
        with self._selection_kept():
            image = self._viewer.add_image(
                pyramid.image, rgb=True, multiscale=True, name=f"render {ending}", **frame.spatial
            )
            about = features_of(pyramid.classes) | frame.spatial
            labels = self._viewer.add_labels(
                pyramid.labels, multiscale=True, name=f"labels {ending}", **about
            )
        for layer in (image, labels):
            layer.metadata["nudiff"] = copy.deepcopy(pyramid.provenance)
        labels.contour = 1
        return image, labels

    def show_result(self, image: NDArray[np.uint8], frame: Frame) -> None:
        """Show a finished image above the layers, until it is applied or another is shown."""
        self._next_s = 0.0
        if self._preview is not None and (
            self._preview not in self._viewer.layers or self._preview.data.shape != image.shape
        ):
            self.clear_preview()
        self.show_preview(image, frame)

    def _finished_preview(self, sample: Pair, frame: Frame) -> Image:
        """The preview with the final image in it: quicker than another layer, without a flicker."""
        image, self._preview = self._preview, None
        if image is None or image not in self._viewer.layers:
            return self._viewer.add_image(sample.image, rgb=True, **frame.spatial)
        image.data = sample.image
        image.visible = True
        return image

    def show_preview(self, image: NDArray[np.uint8], frame: Frame) -> None:
        """Show a forming image over the layout; some are skipped, to leave time for the user."""
        now_s = time.monotonic()
        if self._preview is None:
            with self._selection_kept():
                self._preview = self._viewer.add_image(
                    image, rgb=True, name=PREVIEW_NAME, **frame.spatial
                )
                self._raise_outlines()
        elif self._preview not in self._viewer.layers:
            return  # the user deleted it
        elif now_s < self._next_s:
            return
        else:
            self._preview.data = image
        cost_s = time.monotonic() - now_s
        self._next_s = now_s + max(_PREVIEW_INTERVAL_S, 5 * cost_s)

    def _raise_outlines(self) -> None:
        if self._outlines is not None and self._outlines in self._viewer.layers:
            layers = self._viewer.layers
            layers.move(layers.index(self._outlines), len(layers))

    def clear_preview(self) -> None:
        """Remove the preview."""
        preview, self._preview = self._preview, None
        if preview is not None and preview in self._viewer.layers:
            with self._selection_kept():
                self._viewer.layers.remove(preview)

    def show_outlines(self, layer: Labels | None) -> None:
        """Draw the outlines of a layout above everything, as it is painted; None = no longer."""
        outlines, self._outlines = self._outlines, None
        with self._selection_kept():
            if outlines is not None and outlines in self._viewer.layers:
                self._viewer.layers.remove(outlines)
            if layer is not None:
                self._outlines = Labels(layer.data, name=OUTLINES_NAME, **Frame.of(layer).spatial)
                self._outlines.contour = 1
                self._outlines.editable = False
                self._viewer.add_layer(self._outlines)

    @contextmanager
    def _selection_kept(self) -> Iterator[None]:
        """Adding a layer would make it the active one, under the user's brush."""
        selection = self._viewer.layers.selection
        before = set(selection)
        yield
        selection.clear()
        selection.update(layer for layer in before if layer in self._viewer.layers)

    def _is_reference(self, layer: Layer) -> bool:
        return (
            isinstance(layer, Image)
            and layer.rgb
            and layer.ndim == 2
            and not layer.multiscale
            and layer is not self._preview
            and layer.name != PREVIEW_NAME
        )

    def _on_layers_changed(self, event: object = None) -> None:
        self._watch()
        self.layers_changed.emit()

    def _watch(self, *, closing: bool = False) -> None:
        """Follow the layouts that there are, and no others."""
        for layer in self._watched:
            for event in _edit_events(layer):
                event.disconnect(self._on_edited)
        self._watched = [] if closing else self.layouts()
        for layer in self._watched:
            if layer not in self._first_seen and layer.data.size <= _REMEMBERED_PX:
                self._first_seen[layer] = self.copy_of(layer).labels
        for layer in self._watched:
            for event in _edit_events(layer):
                event.connect(self._on_edited)

    def _on_edited(self, event: Any) -> None:
        if self._outlines is not None and self._outlines.data is event.source.data:
            self._outlines.refresh()
        self.layout_edited.emit(event.source)


def layer_list_events(viewer: Any) -> tuple[Any, ...]:
    """What happens to a viewer's list of layers; napari before 0.9 emits nothing for new names."""
    names = "inserted", "removed", "reordered", "renamed"
    events = viewer.layers.events
    return tuple(getattr(events, name) for name in names if hasattr(events, name))


def _edit_events(layer: Labels) -> tuple[Any, ...]:
    """The events of a changed layout; `set_data` is the only one after an undo in napari."""
    events = layer.events
    return events.data, events.set_data, events.labels_update, events.paint


def _middle(start: int, stop: int, longest: int) -> slice:
    start += max(stop - start - longest, 0) // 2
    return slice(start, min(start + longest, stop))


def _in_bytes(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return pixels
    scaled = np.clip(pixels.astype(np.float32), 0, 1) * 255  # napari shows floats of 0 to 1
    return scaled.round().astype(np.uint8)


def _is_layout(layer: Layer) -> bool:
    return (
        isinstance(layer, Labels)
        and layer.ndim == 2
        and not layer.multiscale
        and np.issubdtype(layer.dtype, np.integer)
    )
