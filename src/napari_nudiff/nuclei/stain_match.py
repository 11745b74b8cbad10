"""Bring an image to a stain style exactly, where a model only came near.

Light that passes a stained section is absorbed: what is measured as a colour is the exponential of
the amount of dye (Beer and Lambert; Ruifrok and Johnston, 2001). So the curves act on the optical
density, and glass, whose density is zero, stays white. Carrying mean and deviation over in RGB
(Reinhard et al., 2001) would tint it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from napari_nudiff.nuclei.stain import Style

_DENSITY = -np.log(np.maximum(np.arange(256), 1) / 255)
# Of the logarithms of amount and steepness: beyond, an image falls apart into a few levels.
_FURTHEST = ([-2.0, -1.0], [2.0, 1.0])


def match_stain(image: NDArray[np.uint8], style: Style) -> NDArray[np.uint8]:
    """An image in another stain: each channel's mean and deviation become those of the style.

    Parameters
    ----------
    image : ndarray, (H, W, 3), uint8
    style : tuple of float
        Mean and deviation of R, G, B on -1..1.

    Returns
    -------
    ndarray, (H, W, 3), uint8
        As near as curves can bring it that keep white white and the order of brightness.
    """
    matched = np.empty_like(image)
    for i in range(3):
        channel = image[..., i]
        share = np.bincount(channel.ravel(), minlength=256) / channel.size
        matched[..., i] = _curve(share, style[i], style[i + 3])[channel]
    return matched


def _curve(share: NDArray[np.float64], mean: float, deviation: float) -> NDArray[np.uint8]:
    """The new level of each of 256, by how often each occurs."""

    def levels(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        amount, steepness = np.exp(parameters)
        return np.asarray(2 * np.exp(-amount * _DENSITY**steepness) - 1)

    def missing(parameters: NDArray[np.float64]) -> list[float]:
        new = levels(parameters)
        centre = share @ new
        return [centre - mean, np.sqrt(share @ (new - centre) ** 2) - deviation]

    found = least_squares(missing, [0.0, 0.0], bounds=_FURTHEST).x
    return np.round((levels(found) + 1) * 127.5).astype(np.uint8)
