"""Layouts changed at random, so that one layout makes many that are no copies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.errors import LayoutError, RequestError
from napari_nudiff.nuclei import editing
from napari_nudiff.nuclei.edit import Edit
from napari_nudiff.nuclei.layout import relabel_contiguous, remove_specks, split_disconnected

Labels = NDArray[np.int32]

_SHARES = {"move": 0.35, "turn": 0.25, "resize": 0.2, "copy": 0.1, "delete": 0.1}
_FARTHEST = 1.0  # of a move, in radii of the nucleus
_COPY_FARTHEST = 5.0
_SIZES = (0.85, 1.18)  # factor of the lengths
_LEAST_SEEN = 0.6  # of its area, or a nucleus stays as it was: others would leave a crescent
_SPECK_PX = 31  # less has no distances in the structure maps


def perturb(labels: NDArray[np.integer], share: float, seed: int) -> Labels:
    """Move, turn, resize, copy and delete some nuclei.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
    share : float
        Of the nuclei that are changed, 0 to 1.
    seed : int
        The same seed gives the same layout.

    Returns
    -------
    ndarray, (H, W), int32
        Nuclei 1..N, none a speck. Where two meet the changed one goes under the other; if little
        of it is left, it stays as it was.

    Raises
    ------
    RequestError
        The share is out of its range.
    """
    if not 0 <= share <= 1:
        raise RequestError(f"The share of perturbed nuclei is {share:g}; expected 0 to 1.")
    changed: Labels = relabel_contiguous(labels)
    count = int(changed.max(initial=0))
    random = np.random.default_rng(seed)
    for nucleus in random.permutation(count)[: round(share * count)] + 1:
        change = str(random.choice(list(_SHARES), p=list(_SHARES.values())))
        # Drawn before it is known whether the change can be made: the others must not depend on it.
        values = random.random(4)
        _apply(changed, int(nucleus), change, values)
    if share == 0:
        return changed
    whole = remove_specks(split_disconnected(changed), _SPECK_PX, keep_cut=True)
    return relabel_contiguous(whole)


def _apply(labels: Labels, nucleus: int, change: str, values: NDArray[np.float64]) -> None:
    """Make a change where it can be made: others may have covered the nucleus."""
    area_px = int(np.count_nonzero(labels == nucleus))
    if not area_px:
        return
    try:
        edit = _CHANGES[change](labels, nucleus, values, float(np.sqrt(area_px / np.pi)))
    except LayoutError:
        return  # it would vanish
    edit.apply(labels)
    placed = int(labels.max()) if change == "copy" else nucleus
    if change != "delete" and np.count_nonzero(labels == placed) < _LEAST_SEEN * area_px:
        edit.revert(labels)


def _offset(values: NDArray[np.float64], farthest_px: float) -> tuple[float, float]:
    """Evenly over a disc."""
    distance, angle = farthest_px * np.sqrt(values[0]), 2 * np.pi * values[1]
    return float(distance * np.sin(angle)), float(distance * np.cos(angle))


def _move(labels: Labels, nucleus: int, values: NDArray[np.float64], radius_px: float) -> Edit:
    return editing.move(labels, nucleus, _offset(values, _FARTHEST * radius_px))


def _turn(labels: Labels, nucleus: int, values: NDArray[np.float64], radius_px: float) -> Edit:
    return editing.rotate(labels, nucleus, 360 * float(values[0]))


def _resize(labels: Labels, nucleus: int, values: NDArray[np.float64], radius_px: float) -> Edit:
    smallest, largest = np.log(_SIZES)
    factor = np.exp(smallest + (largest - smallest) * values[0])
    return editing.scale(labels, nucleus, float(factor))


def _copy(labels: Labels, nucleus: int, values: NDArray[np.float64], radius_px: float) -> Edit:
    return editing.duplicate(labels, nucleus, _offset(values, _COPY_FARTHEST * radius_px))


def _delete(labels: Labels, nucleus: int, values: NDArray[np.float64], radius_px: float) -> Edit:
    return editing.delete(labels, nucleus)


_CHANGES: dict[str, Callable[[Labels, int, NDArray[np.float64], float], Edit]] = {
    "move": _move,
    "turn": _turn,
    "resize": _resize,
    "copy": _copy,
    "delete": _delete,
}
