"""Outlines of nuclei as line segments: (M, 2, 2), start and end, row and column."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_nudiff.nuclei.editing import Ellipse, Point

Segments = NDArray[np.float64]

_ELLIPSE_POINTS = 64


def mask_outline(mask: NDArray[np.bool_], corner: Point = (0, 0)) -> Segments:
    """The sides of pixels between a mask and its surroundings.

    Parameters
    ----------
    mask : ndarray, (h, w), bool
    corner : (float, float)
        Row and column of its first pixel.

    Returns
    -------
    ndarray, (M, 2, 2)
    """
    padded = np.pad(mask, 1)
    above = np.argwhere(padded[1:, 1:] != padded[:-1, 1:])  # sides along a row
    before = np.argwhere(padded[1:, 1:] != padded[1:, :-1])  # sides along a column
    starts = np.concatenate([above, before]) - 0.5
    steps = np.repeat([[0.0, 1.0], [1.0, 0.0]], [len(above), len(before)], axis=0)
    return np.stack([starts, starts + steps], axis=1) + corner


def ellipse_outline(ellipse: Ellipse) -> Segments:
    """The outline of an ellipse."""
    angle = np.linspace(0, 2 * np.pi, _ELLIPSE_POINTS + 1)
    unit = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return path(transformed(unit * ellipse.radii, ellipse.angle) + ellipse.centre)


def path(points: ArrayLike) -> Segments:
    """The segments from point to point, (P, 2)."""
    at = np.asarray(points, dtype=float)
    return np.stack([at[:-1], at[1:]], axis=1)


def transformed(
    points: NDArray[Any], degrees: float = 0.0, factor: float = 1.0, about: ArrayLike = (0, 0)
) -> NDArray[np.float64]:
    """Points, (..., 2), turned counter-clockwise on the screen and scaled about another one."""
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    centre = np.asarray(about, dtype=float)
    moved: NDArray[np.float64] = factor * (points - centre) @ turn.T + centre
    return moved


def degrees_between(start: Point, end: Point, about: ArrayLike) -> float:
    """How far one sees the mouse turn about a point: counter-clockwise, -180 to 180."""
    before, after = (np.subtract(point, about) for point in (start, end))
    turned = math.atan2(-after[0], after[1]) - math.atan2(-before[0], before[1])
    return math.degrees(math.remainder(turned, 2 * math.pi))
