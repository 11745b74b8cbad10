"""Did the model copy? The nearest training crop of each synthetic image, at every position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_nudiff.dataset.pair import turned

_REDUCE = 4  # copies are sought at a quarter of the resolution
_DETAIL = 9  # pixels there; larger structures do not count
LEAST_CONTRAST = 0.035
"""Deviation of the detail of a window, on a scale of 0..1; with less it is like many others."""
_STRIDES = 3  # windows of a query overlap by two thirds
_EPSILON = 1e-4
_AT_A_TIME = 512


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
        Synthetic images below the threshold.
    threshold : float
        The distance below which an image counts as a copy: that of the closest held-out image, or
        half of their median where that is less.
    """

    synthetic: list[Nearest]
    held_out: list[Nearest]
    copies: int
    threshold: float

    @property
    def chances(self) -> list[float]:
        """How often a held-out image comes as close as each synthetic one: its p-value."""
        return rank_chances(
            [n.distance for n in self.synthetic], [n.distance for n in self.held_out]
        )

    @property
    def uncompared(self) -> int:
        """Synthetic images with too little in them to be compared: nothing is known of these."""
        return sum(n.distance >= 1 for n in self.synthetic)


def rank_chances(distances: Sequence[float], unseen: Sequence[float]) -> list[float]:
    """One-sided p-value of each distance among those of images that were never seen.

    With n of these it is never less than 1 / (n + 1); without any effect it is below p for p of the
    images.
    """
    ordered = np.sort(np.asarray(unseen, dtype=float))
    as_close = np.searchsorted(ordered, np.asarray(distances, dtype=float), side="right")
    return [float(p) for p in (1 + as_close) / (1 + len(ordered))]


def find_copies(
    synthetic: Sequence[NDArray[np.uint8]],
    training: Sequence[NDArray[np.uint8]],
    held_out: Sequence[NDArray[np.uint8]],
    window_px: int = 96,
    least_contrast: float = LEAST_CONTRAST,
) -> Memorisation:
    """Compare synthetic images with training images, as held-out images are compared with them.

    Parameters
    ----------
    synthetic, training, held_out : sequences of ndarray, (H, W, 3) or (H, W), uint8
        Images, or layouts as grey pictures. Held-out ones best of the size of synthetic ones and
        as typical: the more windows an image has, the closer its closest comes by chance.
    window_px : int
        Side of the windows that are compared.
    least_contrast : float
        Windows with less in them are left out.
    """
    made = nearest(synthetic, training, window_px, least_contrast)
    real = nearest(held_out, training, window_px, least_contrast)
    distances = np.array([n.distance for n in real])
    # Held-out images were never seen: what they come to is chance. Disguised copies (turned, noisy,
    # brighter) of real tissue lie below a third of their median.
    threshold = float(min(distances.min(), np.median(distances) / 2))
    copies = sum(n.distance < threshold for n in made)
    return Memorisation(made, real, copies, threshold)


def nearest(
    queries: Sequence[NDArray[np.uint8]],
    training: Sequence[NDArray[np.uint8]],
    window_px: int = 96,
    least_contrast: float = LEAST_CONTRAST,
) -> list[Nearest]:
    """The training window most like a window of each query, over positions and 8 orientations."""
    best = [Nearest(1.0, 0, 0, (0, 0), (0, 0)) for _ in queries]
    side = window_px // _REDUCE
    windows = [_windows(_reduced(query), side, least_contrast) for query in queries]
    owner = [i for i, (_, corners) in enumerate(windows) for _ in corners]
    corners = [corner for _, of_query in windows for corner in of_query]
    if not corners:
        return best
    patches = torch.cat([patches for patches, _ in windows])
    for number, image in enumerate(training):
        for turn in range(8):
            highest, places = _correlate(patches, _reduced(oriented(image, turn)))
            for window, (value, at) in enumerate(zip(highest, places, strict=True)):
                if 1 - value < best[owner[window]].distance:
                    where = corners[window], at
                    best[owner[window]] = Nearest(1 - value, number, turn, *where)
    return best


def oriented(image: NDArray[np.uint8], turn: int) -> NDArray[np.uint8]:
    """An image in the orientation that `Nearest.turn` numbers, 0 to 7."""
    return turned(image, turn % 4, turn >= 4)


def _reduced(image: NDArray[np.uint8]) -> Tensor:
    """Detail of an image: grey, a quarter of the size, without what is larger, (1, 1, H, W).

    The edge of a gap in the tissue is like that of every other; what lies in the tissue is not.
    """
    grey = image.astype(np.float32)
    grey = grey.mean(axis=2) if grey.ndim == 3 else grey
    small = F.avg_pool2d(torch.from_numpy(grey)[None, None] / 255, _REDUCE)
    blurred = F.avg_pool2d(small, _DETAIL, 1, _DETAIL // 2, count_include_pad=False)
    return small - blurred


def _windows(
    image: Tensor, side: int, least_contrast: float
) -> tuple[Tensor, list[tuple[int, int]]]:
    """Windows of an image with mean 0 and norm 1, (N, 1, S, S), and their corners in it."""
    rows, cols = (range(0, max(n - side, 0) + 1, max(side // _STRIDES, 1)) for n in image.shape[2:])
    corners = [(y, x) for y in rows for x in cols]
    patches = torch.cat([image[:, :, y : y + side, x : x + side] for y, x in corners])
    patches = patches - patches.mean(dim=(2, 3), keepdim=True)
    norm = patches.square().sum(dim=(2, 3), keepdim=True).sqrt()
    lively = (norm > least_contrast * side).flatten()
    kept = [
        (y * _REDUCE, x * _REDUCE)
        for (y, x), textured in zip(corners, lively.tolist(), strict=True)
        if textured
    ]
    return (patches / norm.clamp(min=_EPSILON))[lively], kept


def _correlate(patches: Tensor, field: Tensor) -> tuple[list[float], list[tuple[int, int]]]:
    """Of each window its highest correlation with any place of a field, and that place."""
    side = patches.shape[-1]
    if min(field.shape[2:]) < side:
        return [0.0] * len(patches), [(0, 0)] * len(patches)
    ones = torch.ones(1, 1, side, side)
    total, squares = F.conv2d(field, ones), F.conv2d(field.square(), ones)
    norm = (squares - total.square() / side**2).clamp(min=_EPSILON).sqrt()[0]
    values, places = [], []
    for part in patches.split(_AT_A_TIME):  # type: ignore[no-untyped-call]
        correlation = F.conv2d(field, part)[0] / norm
        highest, place = correlation.flatten(1).max(dim=1)
        values += highest.tolist()
        places += [divmod(at, correlation.shape[2]) for at in place.tolist()]
    return values, [(row * _REDUCE, col * _REDUCE) for row, col in places]
