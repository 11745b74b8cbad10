"""The appearance of the next render: evented, so that widgets can follow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

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


class Chosen(NamedTuple):
    """What was chosen when a job was asked for, see `AppearanceSettings`."""

    code: Code | None
    checkpoint_sha256: str
    reference: Reference | None


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

    def chosen(self) -> Chosen:
        """What is chosen now."""
        return Chosen(self.code, self.checkpoint_sha256, self.reference)


def takes(checkpoint: str, condition: str) -> bool:
    """Whether a model can be given a condition; not where there is none of this name."""
    try:
        return condition in find_checkpoint(checkpoint).conditions
    except CheckpointError:  # its job will say so
        return False


def with_appearance(values: dict[str, Any]) -> dict[str, Any]:
    """Values of a request with the numbers of what was chosen; imports torch, so only jobs call it.

    A model that takes no appearance is given none, nor one that is of another model.
    """
    from napari_nudiff.synthesis.appearance import appearance_of_image

    chosen: Chosen = values["appearance"]
    checkpoint = find_checkpoint(values["checkpoint"])
    code = None
    if chosen.reference is not None and "appearance" in checkpoint.conditions:
        reference = chosen.reference
        code = appearance_of_image(values["checkpoint"], reference.image, reference.um_per_px)
    elif chosen.checkpoint_sha256 == checkpoint.sha256:
        code = chosen.code
    return values | {"appearance": code}
