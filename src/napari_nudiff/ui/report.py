"""What a bug report needs: versions, devices, settings and what kind of layers there are."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = (
    "napari-nudiff",
    "torch",
    "napari",
    "npe2",
    "qtpy",
    "PyQt6",
    "PySide6",
    "numpy",
    "scipy",
    "scikit-image",
    "safetensors",
    "tifffile",
    "zarr",
)


def bug_report(viewer: Any) -> str:
    """A report to paste into an issue; it has no names of layers, and no pixels."""
    return "\n".join(
        [
            "### napari-nudiff report",
            f"{platform.platform()}, Python {platform.python_version()}",
            *_versions(),
            f"devices: {_devices()}",
            *_settings(viewer),
            *_layers(viewer),
        ]
    )


def _versions() -> Iterator[str]:
    for name in _PACKAGES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            continue


def _devices() -> str:
    """What torch computes on. It is not imported for this: that would freeze the window."""
    torch = sys.modules.get("torch")
    if torch is None:
        return "unknown (nothing was rendered yet)"
    if torch.cuda.is_available():
        return ", ".join(
            torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())
        )
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _settings(viewer: Any) -> Iterator[str]:
    """The settings of the docks that are open, without the user's name in paths."""
    home = json.dumps(str(Path.home()))[1:-1]
    docks = getattr(viewer.window, "dock_widgets", {})  # napari before 0.6.2 has no such attribute
    for name, dock in docks.items():
        values = getattr(getattr(dock, "session", None), "values", None)
        if callable(values):
            yield f"{name}: {json.dumps(values(), default=str).replace(home, '~')}"


def _layers(viewer: Any) -> Iterator[str]:
    for layer in viewer.layers:
        scale = ", ".join(f"{side:g}" for side in layer.scale)
        units = ", ".join(str(unit) for unit in layer.units)
        shape = layer.data.shape if hasattr(layer.data, "shape") else "?"
        yield f"layer: {type(layer).__name__}, {shape}, {layer.dtype}, scale ({scale}) ({units})"
