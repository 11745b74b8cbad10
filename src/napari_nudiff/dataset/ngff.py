"""What OME-Zarr (NGFF 0.5) says of an image and its labels: axes, levels, colours, places."""

from __future__ import annotations

from typing import Any

_VERSION = "0.5"


def image_metadata(levels: int, um_per_px: float) -> dict[str, Any]:
    """Attributes of an RGB image (c, y, x), each level of which is the mean of the one before."""
    # Pixels of a mean lie in the middle of those that they came from.
    return _multiscales("image", "cyx", levels, um_per_px, centred=True) | {"omero": _OMERO}


def labels_metadata(levels: int, um_per_px: float) -> dict[str, Any]:
    """Attributes of labels (y, x), each level of which has every other pixel of the one before."""
    scales = _multiscales("nuclei", "yx", levels, um_per_px, centred=False)
    return scales | {"image-label": {"source": {"image": "../../"}}}


def names_of_labels(*names: str) -> dict[str, Any]:
    """Attributes of the group in which all labels of an image lie."""
    return {"version": _VERSION, "labels": list(names)}


_OMERO = {
    "channels": [
        {
            "label": name,
            "color": color,
            "active": True,
            "window": {"min": 0, "max": 255, "start": 0, "end": 255},
        }
        for name, color in (("red", "FF0000"), ("green", "00FF00"), ("blue", "0000FF"))
    ],
    "rdefs": {"model": "color"},
}


def _multiscales(
    name: str, axes: str, levels: int, um_per_px: float, *, centred: bool
) -> dict[str, Any]:
    return {
        "version": _VERSION,
        "multiscales": [
            {
                "name": name,
                "axes": [_axis(axis) for axis in axes],
                "datasets": [
                    {
                        "path": str(level),
                        "coordinateTransformations": _place(axes, 2**level, um_per_px, centred),
                    }
                    for level in range(levels)
                ],
            }
        ],
    }


def _axis(name: str) -> dict[str, str]:
    if name == "c":
        return {"name": name, "type": "channel"}
    return {"name": name, "type": "space", "unit": "micrometer"}


def _place(axes: str, factor: int, um_per_px: float, centred: bool) -> list[dict[str, Any]]:
    scale = [1.0 if axis == "c" else factor * um_per_px for axis in axes]
    shift_um = (factor - 1) / 2 * um_per_px if centred else 0.0
    translation = [0.0 if axis == "c" else shift_um for axis in axes]
    return [
        {"type": "scale", "scale": scale},
        {"type": "translation", "translation": translation},
    ]
