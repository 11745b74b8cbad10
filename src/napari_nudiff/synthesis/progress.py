"""What running work tells; without torch, so that whoever shows it needs none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Progress:
    """What a running request tells.

    Attributes
    ----------
    stage : str
        "fetch", "load", "sample" or "render".
    step, steps : int
        Steps done, of how many (of a fetch: bytes); 0 steps = nobody knows how many.
    preview : ndarray, (H, W, 3), uint8, or None
        The forming result.
    note : str
        What the user should be told, once; "" = nothing.
    """

    stage: str
    step: int
    steps: int
    preview: NDArray[np.uint8] | None = None
    note: str = ""
