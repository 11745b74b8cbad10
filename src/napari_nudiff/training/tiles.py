"""Pairs at the resolutions that a model is trained at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.dataset.masks import resample_image, resample_labels
from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.diffusion.appearance import APPEARANCE_UM_PER_PX
from napari_nudiff.nuclei.descriptors import UM_PER_PX

LOOK_PX = 96
"""Side of what the appearance encoder sees of a tile while it is trained."""

_SAME = 1.1  # resolutions within a tenth are one


@dataclass(frozen=True, eq=False)
class Tile(Pair):
    """A pair at one resolution.

    Attributes
    ----------
    look : ndarray, (H', W', 3), uint8, or None
        The image as the appearance encoder sees it, if it does.
    """

    look: NDArray[np.uint8] | None = None

    @property
    def um_per_px(self) -> float:
        """Side of a pixel; of a pair that does not say, that of 40x."""
        return self.layout.um_per_px or UM_PER_PX


def tiles_of(
    pairs: Sequence[Pair],
    um_per_px: Sequence[float] = (),
    crop_px: int = 1,
    *,
    with_look: bool = False,
) -> list[Tile]:
    """Reduce each pair to every resolution that it is fine enough for.

    Parameters
    ----------
    pairs : sequence of Pair
    um_per_px : sequence of float
        The resolutions; () = each pair as it is. A pair coarser than all of them stays as it is.
    crop_px : int
        No pair is reduced to less than this.
    with_look : bool
        Whether there is an appearance encoder.
    """
    tiles = []
    for pair in pairs:
        own, full = pair.um_per_px or UM_PER_PX, pair.image
        look = None if full is None or not with_look else appearance_view(full, own)
        coarsest = own * min(pair.labels.shape) / crop_px
        for target in [um for um in um_per_px if own / _SAME <= um <= coarsest] or [own]:
            image, labels = full, pair.labels
            if target > own * _SAME:
                labels = resample_labels(labels, own / target)
                image = None if image is None else resample_image(image, own / target)
            else:
                target = own
            layout = Layout(labels, pair.classes, target)
            tile = Tile(layout, image, pair.name, pair.group, source=pair.source, look=look)
            tiles.append(tile)
    return tiles


def shares_of(tiles: Sequence[Tile]) -> NDArray[np.float64]:
    """How often each tile is drawn, in fractions of 1.

    All resolutions alike; within one the sets by the root of their area, so that a large one does
    not drown a small one; within a set by area.
    """
    sets: Counter[tuple[float, str]] = Counter()
    for tile in tiles:
        sets[_kind(tile)] += tile.labels.size
    roots: Counter[float] = Counter()
    for (um_per_px, _), area in sets.items():
        roots[um_per_px] += area**0.5
    return np.array(
        [t.labels.size / sets[_kind(t)] ** 0.5 / roots[_kind(t)[0]] / len(roots) for t in tiles]
    )


def _kind(tile: Tile) -> tuple[float, str]:
    return round(tile.um_per_px, 2), tile.source


def appearance_view(image: NDArray[np.uint8], um_per_px: float) -> NDArray[np.uint8]:
    """An image (H, W, 3) as the appearance encoder sees it, and not smaller than its window."""
    if um_per_px * _SAME < APPEARANCE_UM_PER_PX:
        image = resample_image(image, um_per_px / APPEARANCE_UM_PER_PX)
    missing = [max(LOOK_PX - side, 0) for side in image.shape[:2]]
    return np.pad(image, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")
