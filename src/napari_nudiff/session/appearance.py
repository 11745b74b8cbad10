"""The appearance of the next render: evented, so that widgets can follow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from psygnal import SignalGroupDescriptor

from napari_nudiff.checkpoints import find_checkpoint
from napari_nudiff.errors import CheckpointError

Code = tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Reference:
    """An image whose appearance is asked for.

    Attributes
    ----------
    image : ndarray, (H, W, 3), uint8
    um_per_px : float
    """

    image: NDArray[np.uint8]
    um_per_px: float


@dataclass
class AppearanceSettings:
    """The appearance of the next render; drawn by its seed where nothing is chosen."""

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    # Numbers of a stored request, and the fingerprint of the model that they are of.
    code: Code | None = None
    checkpoint_sha256: str = ""
    # An image instead; it is not stored with the settings.
    reference: Reference | None = field(default=None, metadata={"stored": False})

    def choose(self, reference: Reference | None) -> None:
        """Take the appearance of an image; None = drawn by the seed."""
        self.code, self.reference = None, reference

    def recall(self, request: dict[str, Any]) -> None:
        """Take the appearance of a stored request."""
        code = request.get("appearance")
        self.checkpoint_sha256 = str(request.get("checkpoint_sha256", ""))
        self.code, self.reference = None if code is None else tuple(code), None

    def is_recalled(self, checkpoint: str) -> bool:
        """Whether a recalled appearance is chosen that a model can be given."""
        if self.reference is not None or self.code is None or not takes(checkpoint, "appearance"):
            return False
        return find_checkpoint(checkpoint).sha256 == self.checkpoint_sha256

    def code_for(self, checkpoint: str) -> Code | None:
        """The recalled numbers where a model can be given them; None = drawn by the seed."""
        return self.code if self.is_recalled(checkpoint) else None

    def reference_for(self, checkpoint: str) -> Reference | None:
        """The image to follow where a model can be given an appearance."""
        return self.reference if takes(checkpoint, "appearance") else None


def takes(checkpoint: str, condition: str) -> bool:
    """Whether a model can be given a condition; not where there is none of this name."""
    try:
        return condition in find_checkpoint(checkpoint).conditions
    except CheckpointError:  # its job will say so
        return False
