"""The codes of the training tiles, which stay with the weights to be drawn from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from napari_nudiff.diffusion.appearance import appearance_of
from napari_nudiff.diffusion.unet import UNet
from napari_nudiff.training.tiles import Tile


def code_bank(unet: UNet, tiles: Sequence[Tile]) -> Tensor | None:
    """Appearance of each training image once, (B, 16); None if the network has no encoder."""
    if not unet.config.has("appearance"):
        return None
    looks = {id(tile.look): tile.look for tile in tiles if tile.look is not None}
    return torch.stack([appearance_of(unet.appearance, np.asarray(v)) for v in looks.values()])
