"""Stains that a model has never seen.

A model that is given a stain far from those it learned comes only half-way, and patches of it in a
real image stand out. So it works in the nearest stain of its range, and what it made is carried to
the one that was asked for, channel by channel (as Reinhard et al. 2001 carry colours from one image
to another); an image to paint in is carried into the range first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_nudiff.nuclei.stain import Style


@dataclass(frozen=True)
class StainMap:
    """A change of stain: every colour channel times a gain, plus a shift.

    Attributes
    ----------
    style : tuple of float or None
        The style that an image has after it; None = as it comes.
    gain, shift : tuple of float
        Of red, green and blue, on the core's scale.
    """

    style: Style | None
    gain: tuple[float, ...]
    shift: tuple[float, ...]

    @classmethod
    def into_range(cls, style: Style | None, known: tuple[float, ...]) -> StainMap:
        """The change from a style to the nearest one that a model has learned.

        Nothing changes where the style is one of them, or where they are unknown.

        Parameters
        ----------
        style : tuple of float, optional
        known : tuple of float
            See `RenderRequest.stain_range`.
        """
        if style is None:
            return UNCHANGED
        wanted = np.asarray(style, dtype=float)
        if known:
            wanted = np.clip(wanted, known[:6], known[6:])
        mean, deviation = np.asarray(style[:3]), np.maximum(style[3:], 0.01)
        gain = np.where(wanted[3:] == style[3:], 1.0, wanted[3:] / deviation)
        shift = wanted[:3] - gain * mean
        same = (gain == 1) & (wanted[:3] == mean)
        shift = np.where(same, 0.0, shift)
        return cls(tuple(wanted.tolist()), tuple(gain.tolist()), tuple(shift.tolist()))

    def carry(self, image: Tensor) -> Tensor:
        """An image (..., 3, H, W) in the model's range."""
        return image * self._of(self.gain, image) + self._of(self.shift, image)

    def carry_back(self, image: Tensor) -> Tensor:
        """What the model made, in the stain that was asked for."""
        return (image - self._of(self.shift, image)) / self._of(self.gain, image)

    @staticmethod
    def _of(values: tuple[float, ...], image: Tensor) -> Tensor:
        return torch.tensor(values, dtype=image.dtype, device=image.device)[:, None, None]


UNCHANGED = StainMap(None, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
"""The model chooses."""
