"""The stain of the next render: evented, so that widgets can follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from psygnal import SignalGroupDescriptor

from napari_nudiff.nuclei.stain import AXES, MEAN, PRESETS, Style, adjust_style, vary_style


@dataclass
class StainSettings:
    """The stain of the next render."""

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    # A name of `PRESETS`; "" = the reference, or as it comes.
    preset: str = ""
    # Style of an image, six numbers; None = as it comes.
    reference: Style | None = None
    # Adjustments, in standard deviations of real stains; see `AXES`.
    lightness: float = 0.0
    contrast: float = 0.0
    redness: float = 0.0
    # Another stain with each seed, this far from the chosen one; 1 = as real slides differ.
    vary: bool = False
    spread: float = 0.5

    def style(self, seed: int) -> Style | None:
        """The style of an image with a seed; None = as it comes."""
        base = self.base()
        if self.vary:
            return vary_style(base, self.spread, seed)
        return base

    def base(self) -> Style | None:
        """The chosen style, adjusted; None = as it comes."""
        chosen = PRESETS.get(self.preset, self.reference)
        if not self.adjusted:
            return chosen
        offsets = {name: getattr(self, name) for name in AXES}
        return adjust_style(MEAN if chosen is None else chosen, **offsets)

    @property
    def adjusted(self) -> bool:
        """Whether a slider is away from its middle."""
        return any(getattr(self, name) for name in AXES)

    def choose(self, preset: str) -> None:
        """Take a preset instead of a reference; "" = neither, as it comes."""
        self.preset, self.reference = preset, None

    def reset(self) -> None:
        """Leave the chosen stain as it is."""
        self.lightness = self.contrast = self.redness = 0.0

    def recall(self, style: Style | None) -> None:
        """Set the style to a stored one, as it is."""
        self.preset, self.vary = "", False
        self.reset()
        self.reference = None if style is None else tuple(style)
