"""Requests: everything that determines a result, frozen and stored beside it; torch-free."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self, TypeVar

from napari_nudiff.checkpoints import DEFAULT_IMAGE, DEFAULT_STRUCTURE
from napari_nudiff.diffusion.names import SAMPLER_NAMES
from napari_nudiff.errors import RequestError
from napari_nudiff.files import parse_json
from napari_nudiff.nuclei.descriptors import MIN_SIDE_PX
from napari_nudiff.synthesis.defaults import GUIDANCE, LAYOUT_STEPS, RENDER_STEPS, SAMPLER

MAX_SEED = 2**63 - 1
MIN_STRENGTH = 0.05
"""Of an `EditRequest`: less cannot be seen."""


@dataclass(frozen=True)
class SynthesisRequest:
    """What layouts and renders have in common."""

    # Name of the checkpoint, and the fingerprint that it must have ("" = whatever it has).
    checkpoint: str
    checkpoint_sha256: str = ""
    sampler: str = SAMPLER
    steps: int = LAYOUT_STEPS
    seed: int = 0
    # "bf16" or "fp32" arithmetic, or "auto" = what this machine is fast at; resolved before a run.
    precision: str = "auto"
    # "auto", "cpu", "cuda", "cuda:1", "mps"; resolved before a run.
    device: str = "auto"
    # Side of the windows that a canvas is denoised in, a multiple of 64: less memory, more time.
    # None = whole up to 512 px, else 384.
    window_px: int | None = None
    # Side of a pixel; resolved before a run, None = that of the checkpoint. Only models that have
    # learned several resolutions make another than their own.
    um_per_px: float | None = None
    # True: compute as version 0.1 did, operation by operation under autocast. Slower, and only for
    # what was made that way: bf16 rounds differently.
    literal: bool = False

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLER_NAMES:
            _refuse("sampler", self.sampler, f"one of {', '.join(SAMPLER_NAMES)}")
        if not 1 <= self.steps <= 1000:
            _refuse("steps", self.steps, "1 to 1000")
        if not 0 <= self.seed <= MAX_SEED:
            _refuse("seed", self.seed, f"0 to {MAX_SEED}")
        if self.precision not in {"auto", "bf16", "fp32"}:
            _refuse("precision", self.precision, "auto, bf16 or fp32")
        if self.window_px is not None and not is_window(self.window_px):
            _refuse("window_px", self.window_px, "a multiple of 64 px, 64 to 4096, or None")
        if self.um_per_px is not None and not 0.1 <= self.um_per_px <= 2:
            _refuse("um_per_px", self.um_per_px, "0.1 to 2 um, or None")
        if not self.device:
            _refuse("device", self.device, "auto, cpu, cuda or mps")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, as `from_dict` reads them."""
        values = asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build a request from plain values.

        Raises
        ------
        RequestError
            A name is unknown, or a value is out of range or of the wrong type.
        """
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise RequestError(f"Unknown setting in the request: {', '.join(unknown)}.")
        try:
            frozen: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
            }
            return cls(**frozen)
        except TypeError as error:
            raise RequestError(f"A value of the request has the wrong type: {error}") from error


@dataclass(frozen=True)
class LayoutRequest(SynthesisRequest):
    """A layout of nuclei to sample with the structure model."""

    checkpoint: str = DEFAULT_STRUCTURE
    height_px: int = 256
    width_px: int = 256
    # Foreground fraction and mean area of the nuclei to ask for; None = those of a field of the
    # training images, drawn by the seed, where the model has them, else as it comes.
    density: float | None = None
    mean_area_px: float | None = None
    # Outlines of the nuclei are smoothed on this scale; 0 = as the model drew them.
    smoothing_px: float = 2.0
    # Smaller nuclei are left out, but for those that the border cuts; None = below 5 um2, as are
    # few real nuclei (1.7 % in TNBC) and many specks of a model that draws a nearly empty field.
    min_nucleus_px: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("height_px", "width_px"):
            if not MIN_SIDE_PX <= getattr(self, name) <= 8192:
                _refuse(name, getattr(self, name), f"{MIN_SIDE_PX} to 8192")
        if (self.density is None) != (self.mean_area_px is None):
            raise RequestError("density and mean_area_px go together: give both or neither.")
        if self.density is not None and not 0 <= self.density <= 0.9:
            _refuse("density", self.density, "a fraction of the area, 0 to 0.9")
        if self.mean_area_px is not None and not 0 <= self.mean_area_px <= 10_000:
            _refuse("mean_area_px", self.mean_area_px, "0 to 10000 px")
        if not 0 <= self.smoothing_px <= 10:
            _refuse("smoothing_px", self.smoothing_px, "0 to 10")
        if self.min_nucleus_px is not None and not 0 <= self.min_nucleus_px <= 10_000:
            _refuse("min_nucleus_px", self.min_nucleus_px, "0 to 10000")


@dataclass(frozen=True)
class RenderRequest(SynthesisRequest):
    """An image to render from a layout; the layout itself is stored beside the request."""

    checkpoint: str = DEFAULT_IMAGE
    steps: int = RENDER_STEPS
    # Classifier-free guidance u + s (c - u); 1 = off.
    guidance: float = GUIDANCE
    # Noise levels between which guidance acts.
    guidance_interval: tuple[float, float] = (0.0, math.inf)
    # Stain style: mean and deviation of R, G, B on the scale -1..1; None = as it comes.
    style: tuple[float, ...] | None = None
    # Styles that the model knows, the lowest six numbers, then the highest; others are carried into
    # this range and back. () = that of the checkpoint, resolved before a run, if it is known.
    stain_range: tuple[float, ...] = ()
    # Appearance of the tissue: numbers that the model's encoder gave an image. None = drawn by the
    # seed from those of the training images, resolved before a run; () = left to the model.
    appearance: tuple[float, ...] | None = None
    # How far a drawn appearance may lie from those of the training images; 1 = as these differ.
    appearance_spread: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not math.isfinite(self.guidance) or not 0 <= self.guidance <= 20:
            _refuse("guidance", self.guidance, "0 to 20")
        low, high = self.guidance_interval
        if not 0 <= low <= high:
            _refuse("guidance_interval", self.guidance_interval, "0 <= low <= high")
        style = self.style or (0.0,) * 6
        if len(style) != 6 or not all(map(math.isfinite, style)):
            _refuse("style", self.style, "six finite numbers")
        if not all(map(math.isfinite, self.appearance or ())):
            _refuse("appearance", self.appearance, "finite numbers")
        if not 0 <= self.appearance_spread <= 3:
            _refuse("appearance_spread", self.appearance_spread, "0 to 3")
        lowest, highest = self.stain_range[:6], self.stain_range[6:]
        if len(lowest) != len(highest) or any(map(_exceeds, lowest, highest)):
            _refuse("stain_range", self.stain_range, "the lowest six numbers, then the highest")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; an unlimited guidance interval ends in None."""
        values = super().to_dict()
        low, high = self.guidance_interval
        values["guidance_interval"] = [low, None if math.isinf(high) else high]
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build a request from plain values; see `SynthesisRequest.from_dict`."""
        values = dict(values)
        if "guidance_interval" in values:
            low, high = values["guidance_interval"]
            values["guidance_interval"] = [low, math.inf if high is None else high]
        return super().from_dict(values)


@dataclass(frozen=True)
class EditRequest(RenderRequest):
    """Part of an image to render again; image and layouts are stored, or named, beside it.

    A ``style`` or ``appearance`` of None is that of the image around the edit.
    """

    # How much of the new picture is new: 1 = filled from pure noise, less = refined from what is
    # there, noised to this fraction of the schedule.
    strength: float = 1.0
    # Pixels further from every changed nucleus than this stay as they are, bit for bit.
    margin_px: int = 12
    # Width of the transition from new to old at the margin's outer edge.
    blend_px: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not MIN_STRENGTH <= self.strength <= 1:
            _refuse("strength", self.strength, f"a fraction, {MIN_STRENGTH} to 1")
        if not 0 <= self.margin_px <= 256:
            _refuse("margin_px", self.margin_px, "0 to 256 px")
        if not 0 <= self.blend_px <= self.margin_px:
            _refuse("blend_px", self.blend_px, f"0 to the margin, {self.margin_px} px")


_Request = TypeVar("_Request", bound=SynthesisRequest)


def is_window(side_px: int) -> bool:
    """Whether windows may have this side: the networks need multiples of up to 64 px."""
    return 64 <= side_px <= 4096 and side_px % 64 == 0


def stored_request(kind: type[_Request], provenance: Mapping[str, Any]) -> _Request:
    """The request of a stored sample, as it was computed then.

    Parameters
    ----------
    kind : type
        Which of the requests it is.
    provenance : mapping
        As stored beside a sample.

    Raises
    ------
    RequestError
        See `SynthesisRequest.from_dict`.
    """
    values = dict(provenance["request"])
    if provenance.get("schema") == 1:
        values["literal"] = True
    return kind.from_dict(values)


def load_provenance(path: Path) -> dict[str, Any]:
    """Read a provenance JSON written beside a sample.

    Raises
    ------
    RequestError
        The file cannot be read or holds no request.
    """
    try:
        values = parse_json(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RequestError(f"Cannot read the request {path}: {error}") from error
    if not isinstance(values, dict) or "request" not in values:
        raise RequestError(f"{path} holds no nudiff request (there is no 'request' in it).")
    return values


def _exceeds(low: float, high: float) -> bool:
    return low > high


def _refuse(name: str, value: object, expected: str) -> None:
    raise RequestError(f"{name} is {value!r}; expected {expected}.")
