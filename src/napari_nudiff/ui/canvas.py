"""The only module that touches the viewer's layers."""

from __future__ import annotations

import copy
import math
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray
from psygnal import Signal

from napari_nudiff.dataset.sample import Sample
from napari_nudiff.nuclei.descriptors import stain_style
from napari_nudiff.session.settings import UM_PER_PX

PREVIEW_NAME = "[preview]"
_SPATIAL = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
_PREVIEW_INTERVAL_S = 0.1
_BRUSH_PX = 20
_COUNTABLE_PX = 1024 * 1024  # counting the nuclei of a larger layout would hold up the brush
_STYLE_PX = 1024 * 1024  # are enough for means and deviations


@dataclass(frozen=True)
class Frame:
    """Where a layout lies in the world, and what it is called.

    Attributes
    ----------
    name : str
    spatial : dict
        Scale, translation, rotation, shear, affine, units and axis labels.
    """

    name: str
    spatial: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, layer: Layer) -> Frame:
        """The frame of a layer; a paired Labels layer goes by the name of its layout."""
        name = re.sub(r"^labels (.+) s\d+( \[\d+\])?$", r"\1", layer.name)
        return cls(name, {key: getattr(layer, key) for key in _SPATIAL})


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
        events = viewer.layers.events
        self._events = (events.inserted, events.removed, events.reordered, events.renamed)
        for event in self._events:
            event.connect(self._on_layers_changed)
        self._watched: list[Labels] = []
        self._watch()

    def close(self) -> None:
        """Stop following the viewer and remove the preview."""
        for event in self._events:
            event.disconnect(self._on_layers_changed)
        self._watch(closing=True)
        self.clear_preview()

    # What there is

    def layouts(self) -> list[Labels]:
        """The layers that can be rendered: one plane of integer labels; the newest first."""
        return [layer for layer in reversed(self._viewer.layers) if _is_layout(layer)]

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
    def copy_of(layer: Labels) -> NDArray[Any]:
        """The labels as they are now: the user may go on painting."""
        return np.array(layer.data)

    @staticmethod
    def style_of(layer: Image) -> tuple[float, ...]:
        """The stain style of an RGB layer."""
        stride = math.ceil(math.sqrt(layer.data.size / 3 / _STYLE_PX))
        pixels = np.asarray(layer.data[::stride, ::stride, :3])
        if pixels.dtype != np.uint8:  # napari shows floats of 0 to 1
            pixels = (np.clip(pixels.astype(np.float32), 0, 1) * 255).round().astype(np.uint8)
        return tuple(float(value) for value in stain_style(pixels))

    @staticmethod
    def nuclei_in(layer: Labels) -> int | None:
        """How many nuclei a layout has; None where counting would take too long."""
        labels = np.asarray(layer.data)
        if labels.size > _COUNTABLE_PX:
            return None
        return len(np.unique(labels[labels != 0]))

    # What is made

    def new_frame(self, name: str) -> Frame:
        """The frame of a new layout: micrometres, unless all other layers are in pixels."""
        layers = self._viewer.layers
        if layers and all(str(unit) == "pixel" for layer in layers for unit in layer.units):
            return Frame(name)
        scale, units = (UM_PER_PX, UM_PER_PX), ("um", "um")
        return Frame(name, {"scale": scale, "units": units, "axis_labels": ("y", "x")})

    def add_layout(self, labels: NDArray[Any], frame: Frame, provenance: Any = None) -> Labels:
        """Add a layout, as the active layer: the user will paint in it."""
        metadata = {} if provenance is None else {"nudiff": provenance}
        return self._viewer.add_labels(labels, name=frame.name, metadata=metadata, **frame.spatial)

    def add_sampled(self, sample: Sample, frame: Frame) -> Labels:
        """Add a sampled layout; its seed is part of its name."""
        name = f"{frame.name} s{sample.provenance['request']['seed']}"
        return self.add_layout(sample.labels, replace(frame, name=name), sample.provenance)

    @staticmethod
    def start_painting(layer: Labels) -> None:
        """Hand the user a brush of the size of a nucleus."""
        layer.brush_size = _BRUSH_PX
        layer.selected_label = 1
        layer.mode = "paint"

    def add_pair(self, sample: Sample, frame: Frame) -> tuple[Image, Labels]:
        """Add a rendered image and, as outlines over it, its labels."""
        ending = f"{frame.name} s{sample.provenance['request']['seed']}"
        with self._selection_kept():
            image = self._finished_preview(sample, frame)
            image.name = f"render {ending}"
            image.metadata["nudiff"] = sample.provenance
            labels = self._viewer.add_labels(
                sample.labels, name=f"labels {ending}", **frame.spatial
            )
            labels.metadata["nudiff"] = copy.deepcopy(sample.provenance)
            labels.contour = 1
        return image, labels

    def _finished_preview(self, sample: Sample, frame: Frame) -> Image:
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
        elif self._preview not in self._viewer.layers:
            return  # the user deleted it
        elif now_s < self._next_s:
            return
        else:
            self._preview.data = image
        cost_s = time.monotonic() - now_s
        self._next_s = now_s + max(_PREVIEW_INTERVAL_S, 5 * cost_s)

    def clear_preview(self) -> None:
        """Remove the preview."""
        preview, self._preview = self._preview, None
        if preview is not None and preview in self._viewer.layers:
            with self._selection_kept():
                self._viewer.layers.remove(preview)

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
            for event in (layer.events.data, layer.events.labels_update, layer.events.paint):
                event.disconnect(self._on_edited)
        self._watched = [] if closing else self.layouts()
        for layer in self._watched:
            for event in (layer.events.data, layer.events.labels_update, layer.events.paint):
                event.connect(self._on_edited)

    def _on_edited(self, event: Any) -> None:
        self.layout_edited.emit(event.source)


def _is_layout(layer: Layer) -> bool:
    return (
        isinstance(layer, Labels)
        and layer.ndim == 2
        and not layer.multiscale
        and np.issubdtype(layer.dtype, np.integer)
    )
