"""Sample data as napari layer data, without napari and without a network.

All of it is made by the package: no image here is of a real slide. `scripts/make_sample_data.py`
makes the rendered pair.
"""

from __future__ import annotations

import copy
from importlib.resources import as_file, files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.dataset.pair import Pair
from napari_nudiff.dataset.pair_file import read_pair
from napari_nudiff.nuclei.descriptors import UM_PER_PX
from napari_nudiff.nuclei.layout import scatter_nuclei

LayerData = tuple[NDArray[Any], dict[str, Any], str]
"""What napari makes a layer from: the data, the layer's attributes, the layer's type."""

RENDERED_PAIR = "rendered.nudiff"
"""A layout that the default models sampled, with its render, as a file in this folder."""

_SCATTERED = {
    "density": 0.22,
    "mean_area_px": 400.0,
    "eccentricity": 0.6,
    "min_gap_px": 2.0,
    "seed": 0,
}


def sampled_layout() -> list[LayerData]:
    """A layout of the default structure model, 512 x 512 px at 0.25 um."""
    pair = _pair()
    return [(pair.labels, _synthetic("Sampled layout", pair.notes["layout"]), "labels")]


def rendered_pair() -> list[LayerData]:
    """The layout of `sampled_layout` with its render by the default image model."""
    sample = _pair()
    assert sample.image is not None
    image, labels = (
        _synthetic(name, sample.provenance) for name in ("Rendered tissue", "Sampled layout")
    )
    return [(sample.image, image | {"rgb": True}, "image"), (sample.labels, labels, "labels")]


def generated_layout() -> list[LayerData]:
    """A layout of scattered ellipses, 256 x 256 px, the same each time."""
    return [_scattered(256, "Generated layout")]


def large_layout() -> list[LayerData]:
    """A layout as `generated_layout`, 2048 x 2048 px: some 2,300 nuclei."""
    return [_scattered(2048, "Large generated layout")]


def _pair() -> Pair:
    with as_file(files(__name__) / RENDERED_PAIR) as path:
        return read_pair(path)


def _synthetic(name: str, provenance: dict[str, Any]) -> dict[str, Any]:
    licence = provenance["checkpoint"]["licence"]
    return _attributes(name, {"licence": licence, "nudiff": provenance})


def _scattered(side_px: int, name: str) -> LayerData:
    labels = scatter_nuclei((side_px, side_px), **_SCATTERED)  # type: ignore[arg-type]
    metadata = {"licence": "none needed: generated", "generator": "scatter_nuclei", **_SCATTERED}
    return np.asarray(labels), _attributes(name, metadata), "labels"


def _attributes(name: str, metadata: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "scale": (UM_PER_PX, UM_PER_PX),
        "units": ("um", "um"),
        "axis_labels": ("y", "x"),
        "metadata": copy.deepcopy(metadata),  # the layer's owner may write into it
    }
