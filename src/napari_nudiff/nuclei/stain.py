"""Stain styles: presets, adjustments in words, and variations as between real slides.

A style is what `napari_nudiff.nuclei.descriptors.stain_style` measures: the mean and the deviation
of red, green and blue on -1..1. All numbers here are statistics of 434 crops of 256 px from the 71
images of TNBC (Naylor et al.) and MoNuSeg (Kumar et al.).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.errors import RequestError
from napari_nudiff.nuclei.descriptors import stain_style

Style = tuple[float, ...]

PRESETS: dict[str, Style] = {
    # Each is one crop, the palest first: a medoid of clusters (k-means of 16), or an extreme of
    # redness; those whose renders look alike left out.
    "pale": (0.68, 0.55, 0.67, 0.15, 0.17, 0.13),  # TNBC 03-5
    "bright pink": (0.81, 0.34, 0.69, 0.22, 0.33, 0.22),  # MoNuSeg, prostate
    "even": (0.49, 0.35, 0.55, 0.19, 0.19, 0.13),  # TNBC 05-1
    "salmon": (0.68, 0.21, 0.46, 0.19, 0.21, 0.17),  # MoNuSeg, breast
    "clear": (0.43, 0.21, 0.52, 0.28, 0.38, 0.22),  # TNBC 04-4
    "strong": (0.41, -0.02, 0.26, 0.41, 0.43, 0.35),  # MoNuSeg, kidney
    "violet": (0.08, -0.12, 0.24, 0.30, 0.29, 0.22),  # MoNuSeg, breast
    "red": (0.28, -0.30, 0.03, 0.34, 0.28, 0.25),  # MoNuSeg, breast
}
"""Styles by how they look."""

MEAN: Style = (0.445, 0.137, 0.380, 0.282, 0.306, 0.237)
"""The mean style of real crops."""

AXES: dict[str, Style] = {
    # Principal components, each one standard deviation long: 87, 8 and 4 % of the variance.
    "lightness": (0.214, 0.329, 0.242, -0.095, -0.072, -0.067),
    "contrast": (0.009, 0.028, 0.028, 0.065, 0.097, 0.071),
    "redness": (0.093, -0.038, -0.027, 0.0, 0.006, 0.006),
}
"""How real stains differ, in standard deviations: light or dark, flat or clear, violet or pink."""

_LOWEST = (-0.4, -0.9, -0.4, 0.02, 0.02, 0.02)
_HIGHEST = (0.9, 0.9, 0.9, 0.65, 0.65, 0.55)


def adjust_style(style: Style, **offsets: float) -> Style:
    """A style moved along the axes on which real stains differ.

    Parameters
    ----------
    style : tuple of float
    **offsets
        Standard deviations by the names of `AXES`; 0 = as it is.

    Returns
    -------
    tuple of float
        Within the range of real stains and a little beyond, or as far out as it was.
    """
    before = np.asarray(style, dtype=float)
    moved = before + sum(offset * np.asarray(AXES[name]) for name, offset in offsets.items())
    # Where the style itself is beyond, a small step must stay small.
    low, high = np.minimum(before, _LOWEST), np.maximum(before, _HIGHEST)
    return tuple(float(value) for value in np.clip(moved, low, high))


def offsets_of(style: Style) -> dict[str, float]:
    """How far a style is from the mean of real ones: what `adjust_style` would need."""
    away = np.asarray(style, dtype=float) - MEAN
    axes = np.stack(list(AXES.values()), axis=1)
    offsets = np.linalg.lstsq(axes, away, rcond=None)[0]
    return dict(zip(AXES, offsets.tolist(), strict=True))


def vary_style(style: Style | None, spread: float, seed: int) -> Style:
    """Another style, as of another slide.

    Parameters
    ----------
    style : tuple of float, optional
        What to vary; None = the mean of real stains.
    spread : float
        1 = as real slides differ from each other.
    seed : int
        The same seed gives the same style, whatever else is made beside it.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(0x57A1,))
    drawn = np.random.default_rng(sequence).standard_normal(len(AXES)) * spread
    return adjust_style(MEAN if style is None else style, **dict(zip(AXES, drawn, strict=True)))


def style_of(image: NDArray[np.uint8], mask: NDArray[np.bool_] | None = None) -> Style:
    """The style of an image, or of a part of it.

    White gaps count: they did when the models learned what a style is.

    Parameters
    ----------
    image : ndarray, (H, W, 3), uint8
    mask : ndarray, (H, W), bool, optional

    Raises
    ------
    RequestError
        If the part has no pixel.
    """
    pixels = image if mask is None else image[mask][None]
    if not pixels.size:
        raise RequestError("The region has no pixel in this image. Choose another part of it.")
    return tuple(float(value) for value in stain_style(pixels))


def colours_of(style: Style) -> list[tuple[int, int, int]]:
    """Three colours that show a style: of gaps, of tissue and of nuclei, as 8-bit RGB."""
    mean, deviation = np.asarray(style[:3]), np.asarray(style[3:])
    shades = np.stack([mean + 1.5 * deviation, mean, mean - 1.8 * deviation])
    levels = np.clip((shades + 1) * 127.5, 0, 255).round().astype(int)
    return [(int(r), int(g), int(b)) for r, g, b in levels]
