"""Where a layer lies in the world, as plain values that can be stored."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from napari.layers import Layer
from napari.utils.transforms import Affine
from numpy.typing import NDArray

_LINEAR = ("scale", "rotate", "shear")


@dataclass(frozen=True)
class Frame:
    """Where a layout lies in the world, and what it is called.

    Attributes
    ----------
    name : str
    spatial : dict
        Scale, translation, rotation, shear, affine, units and axis labels: JSON values, and
        arguments of the viewer's ``add_image`` and ``add_labels``.
    """

    name: str
    spatial: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, layer: Layer) -> Frame:
        """The frame of a layer; a paired Labels layer goes by the name of its layout."""
        name = re.sub(r"^labels (.+) s\d+( \[\d+\])?$", r"\1", layer.name)
        return cls(
            name,
            {
                "scale": np.asarray(layer.scale).tolist(),
                "translate": np.asarray(layer.translate).tolist(),
                "rotate": np.asarray(layer.rotate).tolist(),
                "shear": np.asarray(layer.shear).tolist(),
                "affine": layer.affine.affine_matrix.tolist(),
                "units": [str(unit) for unit in layer.units],
                "axis_labels": list(layer.axis_labels),
            },
        )

    def shifted(self, rows: float, cols: float) -> Frame:
        """The frame of data whose first pixel lies these rows and columns further."""
        linear = self._linear()
        before = np.asarray(self.spatial.get("translate", (0.0, 0.0)))
        moved = (before + linear @ np.array([rows, cols], dtype=float)).tolist()
        return Frame(self.name, self.spatial | {"translate": moved})

    def enlarged(self, factor: float) -> Frame:
        """The frame of the same picture with fewer pixels, each this many times as wide."""
        scale = np.asarray(self.spatial.get("scale", (1.0, 1.0))) * factor
        centre = (factor - 1) / 2  # of the first large pixel, in small ones
        moved = self.shifted(centre, centre)
        return Frame(self.name, moved.spatial | {"scale": scale.tolist()})

    def _linear(self) -> NDArray[np.float64]:
        values = {key: self.spatial[key] for key in _LINEAR if key in self.spatial}
        return np.asarray(Affine(**values, ndim=2).linear_matrix)
