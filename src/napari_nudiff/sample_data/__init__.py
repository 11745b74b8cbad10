"""Sample data as napari layer data, without napari and without a network."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import Any

import imageio.v3 as iio
import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_nudiff.nuclei.descriptors import UM_PER_PX
from napari_nudiff.nuclei.layout import scatter_nuclei

LayerData = tuple[NDArray[Any], dict[str, Any], str]
"""What napari makes a layer from: the data, the layer's attributes, the layer's type."""

RENDERED_PAIR = "rendered.nudiff"
"""An image that the embedded models made, with its layout, as a file in this folder."""

_TNBC = {
    "licence": "CC BY 4.0",
    "citation": (
        "P. Naylor, M. Laé, F. Reyal, T. Walter. Segmentation of Nuclei in Histopathology Images "
        "by Deep Regression of the Distance Map. IEEE Transactions on Medical Imaging, 2018."
    ),
    "source": "https://doi.org/10.5281/zenodo.1175282",
    "changes": "The instances are the connected components of the published mask.",
    "held_out": "Patient 10, which the embedded models never saw.",
}
_SCATTERED = {
    "density": 0.22,
    "mean_area_px": 400.0,
    "eccentricity": 0.6,
    "min_gap_px": 2.0,
    "seed": 0,
}


def tnbc_layout() -> list[LayerData]:
    """A real layout: 191 nuclei of breast cancer and its lymphocytes, 512 x 512 px at 0.25 um."""
    with as_file(files(__name__) / "tnbc_10_1_labels.tif") as path:
        labels = tifffile.imread(path)  # (512, 512), uint16
    return [(labels, _attributes("TNBC 10-1 layout", _TNBC), "labels")]


def tnbc_pair() -> list[LayerData]:
    """The real H&E image of `tnbc_layout`, with that layout."""
    with as_file(files(__name__) / "tnbc_10_1.png") as path:
        image = iio.imread(path)  # (512, 512, 3), uint8
    attributes = {**_attributes("TNBC 10-1", _TNBC), "rgb": True}
    return [(image, attributes, "image"), *tnbc_layout()]


def generated_layout() -> list[LayerData]:
    """A layout of scattered ellipses, 256 x 256 px, the same each time."""
    return [_scattered(256, "Generated layout")]


def large_layout() -> list[LayerData]:
    """A layout as `generated_layout`, 2048 x 2048 px: some 2,300 nuclei."""
    return [_scattered(2048, "Large generated layout")]


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
        "metadata": dict(metadata),  # a copy: the layer's owner may write into it
    }
