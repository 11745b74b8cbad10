"""What stays with the weights to be drawn from: appearances, and how dense layouts are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from napari_nudiff.diffusion.appearance import appearance_of
from napari_nudiff.diffusion.unet import UNet
from napari_nudiff.nuclei.descriptors import layout_globals
from napari_nudiff.training.tiles import Tile

_FIELD_PX = 256


def bank_of(unet: UNet, tiles: Sequence[Tile]) -> Tensor | None:
    """The bank of a model: `density_bank`, `code_bank`, or None."""
    if unet.config.has("density"):
        return density_bank(tiles)
    return code_bank(unet, tiles)


def density_bank(tiles: Sequence[Tile]) -> Tensor:
    """Density, size (see `layout_globals`) and um per px of fields of the tiles, (B, 3)."""
    rows = []
    for tile in tiles:
        height, width = (max(n // _FIELD_PX, 1) for n in tile.labels.shape)
        for y, x in np.ndindex(height, width):
            field = tile.labels[y * _FIELD_PX :, x * _FIELD_PX :][:_FIELD_PX, :_FIELD_PX]
            rows.append([*layout_globals(field), tile.um_per_px])
    return torch.tensor(np.array(rows), dtype=torch.float32)


def code_bank(unet: UNet, tiles: Sequence[Tile]) -> Tensor | None:
    """Appearance of each training image once, (B, 16); None if the network has no encoder."""
    if not unet.config.has("appearance"):
        return None
    looks = {id(tile.look): tile.look for tile in tiles if tile.look is not None}
    return torch.stack([appearance_of(unet.appearance, np.asarray(v)) for v in looks.values()])
