"""What the user is editing: evented, so that widgets can follow."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from psygnal import SignalGroupDescriptor

from napari_nudiff.checkpoints import default_checkpoint
from napari_nudiff.nuclei.descriptors import UM_PER_PX
from napari_nudiff.synthesis.defaults import GUIDANCE, LAYOUT_STEPS, RENDER_STEPS, SAMPLER

if TYPE_CHECKING:
    from napari_nudiff.synthesis.request import EditRequest, LayoutRequest, RenderRequest

MAX_SEED = 999_999  # of those drawn here: short enough to read out

SAMPLERS = {
    "dpmpp_2m": "DPM-Solver++ (fast, the default)",
    "dpmpp_2m_sde": "DPM-Solver++ with noise",
    "heun": "Heun (two evaluations a step)",
    "ddim": "DDIM",
    "ddpm": "DDPM (the paper's; wants 100 steps or more)",
}
"""The samplers and what to call them; their code is only imported by a job."""

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

    def values(self) -> dict[str, Any]:
        """The fields of a `LayoutRequest`, but for the device."""
        return {
            "checkpoint": self.checkpoint or default_checkpoint("structure").name,
            "height_px": self.height_px,
            "width_px": self.width_px,
            "density": self.density,
            "mean_area_px": self.mean_area_px * (UM_PER_PX / self.um_per_px) ** 2,
            "um_per_px": self.um_per_px,
            "steps": self.steps,
            "seed": self.seed,
        }


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

    def values(self) -> dict[str, Any]:
        """The fields of a `RenderRequest`, but for stain, appearance and scale."""
        return {
            "checkpoint": self.checkpoint or default_checkpoint("image").name,
            "seed": self.seed,
            "steps": self.steps,
            "guidance": self.guidance,
            "sampler": self.sampler,
            "device": self.device,
        }


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

    def values(self) -> dict[str, Any]:
        """What an `EditRequest` has beyond a `RenderRequest`."""
        return {"strength": self.strength, "margin_px": self.margin_px}


def layout_request(values: dict[str, Any]) -> LayoutRequest:
    """Freeze values into a request; imports torch, so only jobs call it."""
    from napari_nudiff.synthesis.request import LayoutRequest

    return LayoutRequest(**values)


def edit_request(values: dict[str, Any]) -> EditRequest:
    """Freeze values into a request; imports torch, so only jobs call it."""
    from napari_nudiff.synthesis.request import EditRequest

    return EditRequest(**values)


def render_request(values: dict[str, Any]) -> RenderRequest:
    """Freeze values into a request; imports torch, so only jobs call it."""
    from napari_nudiff.synthesis.request import RenderRequest

    return RenderRequest(**values)
