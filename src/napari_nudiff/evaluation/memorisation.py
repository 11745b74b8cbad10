"""Did the model copy? The nearest training crop of each synthetic image, at every position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

_REDUCE = 4  # copies are sought at a quarter of the resolution
_SIDE = 24  # side of the compared windows there: 96 px of the image
_STRIDE = 8  # of the windows of a query
_EPSILON = 1e-4


@dataclass(frozen=True)
class Nearest:
    """The training window that is most like a part of an image.

    Attributes
    ----------
    distance : float
        1 - correlation: 0 = the same but for brightness and contrast, 1 = unrelated.
    image : int
        Number of the training image.
    turn : int
        Quarter turns, plus 4 where it is mirrored.
    window : tuple of int
        Top and left corner in the query.
    at : tuple of int
        Top and left corner in the turned training image.
    """

    distance: float
    image: int
    turn: int
    window: tuple[int, int]
    at: tuple[int, int]


@dataclass(frozen=True)
class Memorisation:
    """Distances of synthetic and of held-out real images to the training images.

    Attributes
    ----------
    synthetic, held_out : list of Nearest
    copies : int
        Synthetic images closer than every held-out one, by more than chance explains.
    threshold : float
        The distance below which an image counts as a copy.
    """

    synthetic: list[Nearest]
    held_out: list[Nearest]
    copies: int
    threshold: float


def find_copies(
    synthetic: Sequence[NDArray[np.uint8]],
    training: Sequence[NDArray[np.uint8]],
    held_out: Sequence[NDArray[np.uint8]],
) -> Memorisation:
    """Compare synthetic images with training images, as held-out images are compared with them.

    Parameters
    ----------
    synthetic, training, held_out : sequences of ndarray, (H, W, 3) or (H, W), uint8
        Images, or layouts as grey pictures.
    """
    made = nearest(synthetic, training)
    real = nearest(held_out, training)
    distances = np.array([n.distance for n in real])
    # Held-out images were never seen: nothing closer than they ever come is chance. Three
    # deviations below the closest of them leave room for how few they are.
    threshold = max(float(distances.min() - 3 * distances.std() / np.sqrt(len(distances))), 0.02)
    copies = sum(n.distance < threshold for n in made)
    return Memorisation(made, real, copies, threshold)


def nearest(
    queries: Sequence[NDArray[np.uint8]], training: Sequence[NDArray[np.uint8]]
) -> list[Nearest]:
    """The training window most like a window of each query, over positions and 8 orientations."""
    best: list[Nearest | None] = [None] * len(queries)
    windows = [_windows(_reduced(query)) for query in queries]
    for number, image in enumerate(training):
        for turn in range(8):
            field = _reduced(_turned(image, turn))
            for i, (patches, corners) in enumerate(windows):
                found = _closest(patches, corners, field, number, turn)
                if best[i] is None or found.distance < best[i].distance:  # type: ignore[union-attr]
                    best[i] = found
    return [found for found in best if found is not None]


def _turned(image: NDArray[np.uint8], turn: int) -> NDArray[np.uint8]:
    turned = np.rot90(image, turn % 4)
    return np.ascontiguousarray(turned[:, ::-1] if turn >= 4 else turned)


def _reduced(image: NDArray[np.uint8]) -> Tensor:
    """Grey, a quarter of the size, (1, 1, H, W)."""
    grey = image.astype(np.float32)
    grey = grey.mean(axis=2) if grey.ndim == 3 else grey
    return F.avg_pool2d(torch.from_numpy(grey)[None, None] / 255, _REDUCE)


def _windows(image: Tensor) -> tuple[Tensor, list[tuple[int, int]]]:
    """Windows of an image with mean 0 and norm 1, (N, 1, S, S), and their corners."""
    side = min(_SIDE, *image.shape[2:])
    rows, cols = (range(0, n - side + 1, _STRIDE) for n in image.shape[2:])
    corners = [(y, x) for y in rows for x in cols]
    patches = torch.cat([image[:, :, y : y + side, x : x + side] for y, x in corners])
    patches = patches - patches.mean(dim=(2, 3), keepdim=True)
    norm = patches.square().sum(dim=(2, 3), keepdim=True).sqrt()
    # A window without any structure is like every other: it tells nothing.
    lively = (norm > 0.02 * side).flatten()
    kept = [c for c, k in zip(corners, lively.tolist(), strict=True) if k]
    return (patches / norm.clamp(min=_EPSILON))[lively], kept


def _closest(
    patches: Tensor, corners: list[tuple[int, int]], field: Tensor, number: int, turn: int
) -> Nearest:
    """Highest correlation of any window with any place of a field."""
    if not corners or min(field.shape[2:]) < patches.shape[-1]:
        return Nearest(1.0, number, turn, (0, 0), (0, 0))
    side = patches.shape[-1]
    ones = torch.ones(1, 1, side, side)
    total, squares = F.conv2d(field, ones), F.conv2d(field.square(), ones)
    norm = (squares - total.square() / side**2).clamp(min=_EPSILON).sqrt()
    correlation = F.conv2d(field, patches)[0] / norm[0]
    place = int(correlation.argmax())
    window, rest = divmod(place, correlation[0].numel())
    row, col = divmod(rest, correlation.shape[2])
    y, x = corners[window]
    return Nearest(
        1 - float(correlation.flatten()[place]),
        number,
        turn,
        (y * _REDUCE, x * _REDUCE),
        (row * _REDUCE, col * _REDUCE),
    )
