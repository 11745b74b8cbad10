"""What the user is editing: evented, so that widgets can follow."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from psygnal import SignalGroupDescriptor

from napari_nudiff.checkpoints import default_checkpoint
from napari_nudiff.nuclei.descriptors import UM_PER_PX
from napari_nudiff.synthesis.defaults import GUIDANCE, LAYOUT_STEPS, RENDER_STEPS, SAMPLER
from napari_nudiff.synthesis.request import LayoutRequest, RenderRequest

Request = TypeVar("Request", bound=RenderRequest)

MAX_SEED = 999_999  # of those drawn here: short enough to read out

DEVICES = {
    "auto": "the fastest there is",
    "cpu": "processor (CPU)",
    "cuda": "NVIDIA graphics card (CUDA)",
    "mps": "Apple graphics (MPS)",
}


SCOPES = {
    "whole": "the whole layout",
    "changes": "what changed",
    "region": "a region",
}
"""What a render is of."""


def draw_seed() -> int:
    """A random seed, 0 to `MAX_SEED`."""
    return secrets.randbelow(MAX_SEED + 1)


@dataclass
class LayoutSettings:
    """The next layout, empty or sampled."""

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    checkpoint: str = ""  # "" = the default one
    height_px: int = 256
    width_px: int = 256
    um_per_px: float = UM_PER_PX
    # Foreground fraction, and mean area of a nucleus in pixels of 0.25 um, whatever those here.
    density: float = 0.25
    mean_area_px: float = 360.0
    steps: int = LAYOUT_STEPS
    # Of the sample made last.
    seed: int = 0

    @property
    def model(self) -> str:
        """Name of the checkpoint that is chosen."""
        return self.checkpoint or default_checkpoint("structure").name

    def request(self, device: str) -> LayoutRequest:
        """The settings as they are now, for a device.

        Raises
        ------
        RequestError
            A value is out of range.
        """
        return LayoutRequest(
            checkpoint=self.model,
            height_px=self.height_px,
            width_px=self.width_px,
            density=self.density,
            mean_area_px=self.mean_area_px * (UM_PER_PX / self.um_per_px) ** 2,
            um_per_px=self.um_per_px,
            steps=self.steps,
            seed=self.seed,
            device=device,
        )


@dataclass
class RenderSettings:
    """The next render."""

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    checkpoint: str = ""  # "" = the default one
    seed: int = 0
    # Draw a seed before each render.
    new_seed: bool = False
    # Variations: this many images, with seeds one after another.
    count: int = 1
    steps: int = RENDER_STEPS
    # Classifier-free guidance; 1 = off.
    guidance: float = GUIDANCE
    sampler: str = SAMPLER
    device: str = "auto"

    @property
    def model(self) -> str:
        """Name of the checkpoint that is chosen."""
        return self.checkpoint or default_checkpoint("image").name

    def request(self, kind: type[Request], **changes: Any) -> Request:
        """The settings as they are now, with values that go before them.

        Parameters
        ----------
        kind : type
            `RenderRequest`, or one that is derived from it.
        **changes
            Fields of it.

        Raises
        ------
        RequestError
            A value is out of range.
        """
        same = ("seed", "steps", "guidance", "sampler", "device")
        values = {name: getattr(self, name) for name in same}
        return kind(**{"checkpoint": self.model} | values | changes)


@dataclass
class EditSettings:
    """What a render is of: the whole layout, or a part of an image that is there."""

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    # A name of `SCOPES`.
    scope: str = "whole"
    # 1 = filled anew; less = refined from what is there.
    strength: float = 1.0
    # Pixels further from the changed nuclei than this stay as they are.
    margin_px: int = 12
