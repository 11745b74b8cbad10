"""The look of a tissue in a few numbers, learned along with the network that is given them.

Stain style says which colours there are; it cannot say fat, mucus, fibre, blur or a crushed
section. While the image model trains, a small encoder looks at *another* part of the tile that a
crop comes from, and the network is given what it says. So the code holds what parts of a tissue
have in common and not where things are. (Style codes of this kind: STEDM, arXiv 2403.14429.) The
codes of the training tiles stay with the weights, as a bank to draw from.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

APPEARANCE_UM_PER_PX = 0.5
"""The encoder sees tissue at this resolution only, so that a code means the same at every other."""

_WIDTHS = (32, 64, 96)
_NEIGHBOURS = 4
_WINDOW_PX = 96  # what the encoder was trained on


class AppearanceEncoder(nn.Module):
    """Describe the look of an image, whatever its size and whatever is where in it.

    Parameters
    ----------
    channels : int
        How many numbers.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inward = (12, *_WIDTHS[:-1])
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1) for a, b in zip(inward, _WIDTHS, strict=True)
        )
        self.out = nn.Linear(2 * sum(_WIDTHS), channels)

    def forward(self, image: Tensor) -> Tensor:
        """Codes (N, channels) on -1..1 of images (N, 3, H, W) on -1..1; H and W multiples of 8."""
        h, found = F.pixel_unshuffle(image, 2), []
        for conv in self.convs:
            h = F.silu(conv(h))
            variance, mean = torch.var_mean(h.float(), dim=(2, 3), correction=0)
            # The root of nothing at all, as on empty glass, has no gradient.
            found += [mean, (variance + 1e-4).sqrt()]
            h = F.avg_pool2d(h, 2)
        code: Tensor = self.out(torch.cat(found, dim=1)).tanh()
        return code


@torch.no_grad()
def appearance_of(encoder: nn.Module, image: NDArray[np.uint8]) -> Tensor:
    """Code (channels,) of a whole image, the mean over windows of it.

    Parameters
    ----------
    encoder : AppearanceEncoder
    image : ndarray, (H, W, 3), uint8
        At `APPEARANCE_UM_PER_PX`; at least 8 px a side.
    """
    weight = next(encoder.parameters())
    x = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 127.5 - 1
    height, width = image.shape[:2]
    x = F.pad(x, (0, -width % 8, 0, -height % 8), mode="replicate").to(weight.device)
    codes = [encoder(x[:, :, rows, cols].to(weight.dtype)) for rows, cols in _windows(x.shape[-2:])]
    return torch.cat(codes).float().mean(dim=0).cpu()


def drawn_code(bank: Tensor, seed: int, spread: float = 0.0) -> Tensor:
    """Draw a code between one of a bank and one of its nearest neighbours.

    Parameters
    ----------
    bank : Tensor, (B, channels)
    seed : int
    spread : float
        How far from there it may lie, in deviations of the bank.

    Returns
    -------
    Tensor, (channels,)
    """
    random = torch.Generator().manual_seed(seed)
    chosen = bank[int(torch.randint(len(bank), (), generator=random))]
    near = (bank - chosen).square().sum(dim=1).argsort(stable=True)[: _NEIGHBOURS + 1]
    other = bank[near[int(torch.randint(len(near), (), generator=random))]]
    share = 0.5 * torch.rand((), generator=random)
    code = chosen.lerp(other, float(share))
    if spread:
        code = code + spread * bank.std(dim=0) * torch.randn(code.shape, generator=random)
    return code.clamp(-1, 1)


def _windows(size: Sequence[int]) -> Iterator[tuple[slice, slice]]:
    """Windows over an image, (rows, columns), overlapping by no more than they have to."""
    sides = []
    for side in size:
        count = -(-side // _WINDOW_PX)
        starts = [i * max(side - _WINDOW_PX, 0) // max(count - 1, 1) for i in range(count)]
        sides.append([slice(start, start + _WINDOW_PX) for start in starts])
    return itertools.product(*sides)
