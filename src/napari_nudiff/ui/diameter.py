"""Areas of nuclei as people speak of them: as the diameter of a round one."""

from __future__ import annotations

import math

from napari_nudiff.nuclei.descriptors import UM_PER_PX


def diameter_um(area_px: float) -> float:
    """The diameter of a disc of this area (pixels), in micrometres."""
    return 2 * math.sqrt(area_px / math.pi) * UM_PER_PX


def area_px(diameter_um: float) -> float:
    """The area of a disc of this diameter (micrometres, to a tenth), in pixels."""
    return round(math.pi * (round(diameter_um, 1) / UM_PER_PX / 2) ** 2, 1)
