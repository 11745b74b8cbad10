"""Numbers that describe a whole image or layout: the models' global conditions."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

MIN_SIDE_PX = 64
"""A canvas with a shorter side cannot be rendered."""

UM_PER_PX = 0.25
"""Resolution of an image that does not say: a scan at 40x."""

LEARNED_UM_PER_PX = (UM_PER_PX, 0.5)
"""Finest and coarsest that models with the condition "resolution" are trained at."""

SIZE_SCALE_PX = 32.0
"""The structure model takes the side of the mean nucleus as a fraction of this length."""


def stain_style(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Stain style of an image: the mean, then the deviation of each colour channel.

    Parameters
    ----------
    image : ndarray, (H, W, 3), uint8

    Returns
    -------
    ndarray, (6,), float32
        On the scale of -1..1.
    """
    # Through the histograms, six times as fast: training does this for every crop.
    counts = np.stack(
        [np.bincount(plane.ravel(), minlength=256) for plane in np.moveaxis(image, 2, 0)]
    )
    share = counts / counts.sum(axis=1, keepdims=True)
    levels = np.arange(256) / 127.5 - 1
    mean = share @ levels
    deviation = np.sqrt(((levels - mean[:, None]) ** 2 * share).sum(axis=1))
    return np.concatenate([mean, deviation]).astype(np.float32)


def resolution_number(um_per_px: float) -> float:
    """The resolution of an image as the models are given it: 0 at 40x (0.25 um), 1 at 20x."""
    return math.log2(um_per_px / UM_PER_PX)


def layout_globals(labels: NDArray[np.integer]) -> NDArray[np.float32]:
    """Density and size of a layout's nuclei, the structure model's condition.

    Parameters
    ----------
    labels : ndarray, (H, W), integer

    Returns
    -------
    ndarray, (2,), float32
        Foreground fraction, and the root of the mean area over `SIZE_SCALE_PX`; 0, 0 if empty.
    """
    areas = np.unique(labels[labels > 0], return_counts=True)[1]
    if not len(areas):
        return np.zeros(2, dtype=np.float32)
    return density_globals(areas.sum() / labels.size, areas.mean())


def density_globals(density: float, mean_area_px: float) -> NDArray[np.float32]:
    """The same two numbers from a foreground fraction and a mean nucleus area (pixels)."""
    return np.array([density, np.sqrt(mean_area_px) / SIZE_SCALE_PX], dtype=np.float32)
