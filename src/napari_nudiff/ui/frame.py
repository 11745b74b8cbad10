"""Where a layer lies in the world, as plain values that can be stored."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from napari.layers import Layer
from napari.utils.transforms import Affine
from numpy.typing import NDArray

from napari_nudiff.nuclei.descriptors import UM_PER_PX

_EVEN = 1.01  # sides that differ by less are equal
_LINEAR = ("scale", "rotate", "shear")


class Scale(NamedTuple):
    """Side of a pixel of a layer.

    Attributes
    ----------
    um_per_px : float
        The mean of height and width; 0.25 where it is unknown.
    sides_um : (float, float) or None
        Height and width, where they are known.
    """

    um_per_px: float
    sides_um: tuple[float, float] | None

    @property
    def is_even(self) -> bool:
        """Whether pixels are square, as far as is known."""
        return self.sides_um is None or max(self.sides_um) < _EVEN * min(self.sides_um)


def scale_of(layer: Layer) -> Scale:
    """Side of a pixel of a layer of one plane: by its units, else by what was stored on it."""
    frame, units = Frame.of(layer), layer.units[-2:]
    if all(unit.is_compatible_with("um") for unit in units):
        linear = layer.affine.linear_matrix[-2:, -2:] @ frame.linear()
        sides = np.linalg.norm(linear, axis=0) * [(1 * unit).to("um").magnitude for unit in units]
        return Scale(float(sides.mean()), (float(sides[0]), float(sides[1])))
    stored = layer.metadata.get("nudiff")
    known = stored.get("um_per_px") if isinstance(stored, dict) else None
    if isinstance(known, int | float) and known > 0:
        return Scale(float(known), (float(known), float(known)))
    return Scale(UM_PER_PX, None)


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
        linear = self.linear()
        before = np.asarray(self.spatial.get("translate", (0.0, 0.0)))
        moved = (before + linear @ np.array([rows, cols], dtype=float)).tolist()
        return Frame(self.name, self.spatial | {"translate": moved})

    def enlarged(self, factor: float) -> Frame:
        """The frame of the same picture with fewer pixels, each this many times as wide."""
        scale = np.asarray(self.spatial.get("scale", (1.0, 1.0))) * factor
        centre = (factor - 1) / 2  # of the first large pixel, in small ones
        moved = self.shifted(centre, centre)
        return Frame(self.name, moved.spatial | {"scale": scale.tolist()})

    def linear(self) -> NDArray[np.float64]:
        """Scale, rotation and shear as a matrix, (2, 2)."""
        values = {key: self.spatial[key] for key in _LINEAR if key in self.spatial}
        return np.asarray(Affine(**values, ndim=2).linear_matrix)
