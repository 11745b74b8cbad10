"""Areas of nuclei as people speak of them: as the diameter of a round one."""

from __future__ import annotations

import math

from napari_nudiff.nuclei.descriptors import UM_PER_PX


def diameter_um(area_px: float) -> float:
    """The diameter of a disc of this area (pixels of 0.25 um), in micrometres."""
    return 2 * math.sqrt(area_px / math.pi) * UM_PER_PX


def area_px(diameter_um: float, um_per_px: float = UM_PER_PX) -> float:
    """The area of a disc of this diameter (micrometres, to a tenth), in pixels."""
    return round(math.pi * (round(diameter_um, 1) / um_per_px / 2) ** 2, 1)
