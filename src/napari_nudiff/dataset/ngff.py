"""What OME-Zarr (NGFF 0.5) says of an image and its labels: axes, levels, colours, places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_VERSION = "0.5"


def image_metadata(levels: int, um_per_px: float | None) -> dict[str, Any]:
    """Attributes of an RGB image (c, y, x), each level of which is the mean of the one before."""
    # Pixels of a mean lie in the middle of those that they came from.
    return _multiscales("image", "cyx", levels, um_per_px, centred=True) | {"omero": _OMERO}


def labels_metadata(
    levels: int, um_per_px: float | None, classes: Mapping[int, str] | None = None
) -> dict[str, Any]:
    """Attributes of labels (y, x), each level of which has every other pixel of the one before.

    Parameters
    ----------
    levels : int
    um_per_px : float or None
        None where nobody knows.
    classes : mapping of int to str, optional
        Class of a nucleus by its id.
    """
    scales = _multiscales("nuclei", "yx", levels, um_per_px, centred=False)
    named = [{"label-value": nucleus, "class": name} for nucleus, name in (classes or {}).items()]
    about = {"properties": named} if named else {}
    return scales | {"image-label": {"source": {"image": "../../"}, **about}}


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
    name: str, axes: str, levels: int, um_per_px: float | None, *, centred: bool
) -> dict[str, Any]:
    side = um_per_px or 1.0
    return {
        "version": _VERSION,
        "multiscales": [
            {
                "name": name,
                "axes": [_axis(axis, is_known=um_per_px is not None) for axis in axes],
                "datasets": [
                    {
                        "path": str(level),
                        "coordinateTransformations": _place(axes, 2**level, side, centred),
                    }
                    for level in range(levels)
                ],
            }
        ],
    }


def _axis(name: str, *, is_known: bool) -> dict[str, str]:
    if name == "c":
        return {"name": name, "type": "channel"}
    return {"name": name, "type": "space"} | ({"unit": "micrometer"} if is_known else {})


def _place(axes: str, factor: int, side: float, centred: bool) -> list[dict[str, Any]]:
    scale = [1.0 if axis == "c" else factor * side for axis in axes]
    shift = (factor - 1) / 2 * side if centred else 0.0
    translation = [0.0 if axis == "c" else shift for axis in axes]
    return [
        {"type": "scale", "scale": scale},
        {"type": "translation", "translation": translation},
    ]
