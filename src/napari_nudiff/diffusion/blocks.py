"""Building blocks of the U-Net: normalisation, residual block, attention, time embedding.

The layout follows ADM (Dhariwal and Nichol 2021, arXiv 2105.05233) with the spatially-adaptive
normalisation of SPADE (Park et al. 2019, arXiv 1903.07291) as used by Nudiff (Yu et al. 2023).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Scale = tuple[Tensor, Tensor]
"""``(1 + gamma, beta)`` of one SPADE normalisation, each (N, C, H, W)."""


def time_embedding(t: Tensor, channels: int, max_period: float = 1e4) -> Tensor:
    """Sinusoidal embedding of noise times: cosines, then sines.

    Parameters
    ----------
    t : Tensor, (N,)
        Noise times, on the scale 0..1000.
    channels : int
        Width of the embedding; even.

    Returns
    -------
    Tensor, (N, channels)
    """
    half = channels // 2
    steps = torch.arange(half, dtype=torch.float32, device=t.device)
    angles = t.float()[:, None] * torch.exp(-math.log(max_period) * steps / half)
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class GroupNorm(nn.GroupNorm):
    """Group normalisation with learned scale and shift; it ignores the structure."""

    def forward(self, x: Tensor, scale: Scale | None = None) -> Tensor:
        """Normalise ``x`` (N, C, H, W)."""
        return super().forward(x)


class SpadeNorm(nn.Module):
    """Group normalisation whose scale and shift are predicted, per pixel, from the structure.

    Parameters
    ----------
    channels : int
        Channels of the feature map that is normalised.
    groups : int
        Groups of the normalisation.
    cond_channels : int
        Channels of the structure (``hidden`` conv of its own) or of the shared pyramid's features.
    hidden : int
        Width of the norm's own first convolution; 0 where a shared pyramid already did that work.
    """

    def __init__(self, channels: int, groups: int, cond_channels: int, hidden: int) -> None:
        super().__init__()
        self.groups = groups
        self.shared = nn.Conv2d(cond_channels, hidden, 3, padding=1) if hidden else None
        kernel = 3 if hidden else 1
        width = hidden or cond_channels
        self.gamma = nn.Conv2d(width, channels, kernel, padding=kernel // 2)
        self.beta = nn.Conv2d(width, channels, kernel, padding=kernel // 2)

    def scale(self, cond: Tensor) -> Scale:
        """Scale and shift for a condition (N, cond_channels, H, W); independent of x and t."""
        features = cond if self.shared is None else F.relu(self.shared(cond))
        return 1 + self.gamma(features), self.beta(features)

    def forward(self, x: Tensor, scale: Scale | None = None) -> Tensor:
        """Normalise ``x`` (N, C, H, W) and apply a scale computed before."""
        if scale is None:
            raise ValueError("SpadeNorm needs the scale that SpadeNorm.scale(structure) returned")
        weight, bias = scale
        return F.group_norm(x, self.groups) * weight + bias


class ResBlock(nn.Module):
    """Residual block: norm, SiLU, conv; then norm scaled by the time embedding, SiLU, conv.

    ``resample`` (up, down or none) acts after the first activation and on the shortcut.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        emb_channels: int,
        norm: Callable[[int], nn.Module],
        *,
        resample: Callable[[Tensor], Tensor] | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.resample = resample
        self.norm1 = norm(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.embed = nn.Linear(emb_channels, 2 * out_channels)
        self.norm2 = norm(out_channels)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = zeroed(nn.Conv2d(out_channels, out_channels, 3, padding=1))
        same = in_channels == out_channels
        self.skip = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)

    def take(self, scales: Iterator[Scale]) -> tuple[Scale | None, Scale | None]:
        """What its two norms need of the scales of all SPADE norms."""
        first = next(scales) if isinstance(self.norm1, SpadeNorm) else None
        return first, next(scales) if isinstance(self.norm2, SpadeNorm) else None

    def forward(
        self, x: Tensor, emb: Tensor, scale1: Scale | None = None, scale2: Scale | None = None
    ) -> Tensor:
        """Map ``x`` (N, in, H, W) with ``emb`` (N, emb) to (N, out, H', W')."""
        h = F.silu(self.norm1(x, scale1))
        if self.resample is not None:
            h, x = self.resample(h), self.resample(x)
        h = self.norm2(self.conv1(h), scale2)
        weight, bias = self.embed(F.silu(emb))[:, :, None, None].to(h).chunk(2, dim=1)
        h = F.silu(h * (1 + weight) + bias)
        out: Tensor = self.skip(x) + self.conv2(self.dropout(h))
        return out


class SelfAttention(nn.Module):
    """Multi-head self-attention over all pixels (ADM's "legacy" order: heads, then q, k, v)."""

    def __init__(self, channels: int, head_channels: int, groups: int) -> None:
        super().__init__()
        self.heads = max(1, channels // head_channels)
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = zeroed(nn.Conv1d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Attend within each image of ``x`` (N, C, H, W)."""
        n, c, height, width = x.shape
        flat = x.reshape(n, c, height * width)
        qkv = self.qkv(self.norm(flat)).reshape(n, self.heads, 3, c // self.heads, -1)
        q, k, v = qkv.transpose(-1, -2).unbind(dim=2)  # each (N, heads, HW, C / heads)
        h = F.scaled_dot_product_attention(q, k, v).transpose(-1, -2).reshape(n, c, -1)
        out: Tensor = flat + self.proj_out(h)
        return out.reshape(n, c, height, width)


class StructurePyramid(nn.Module):
    """Features of the structure at each resolution of the U-Net, shared by its SPADE norms.

    Parameters
    ----------
    in_channels : int
        Channels of the structure after the stem's pixel-unshuffle.
    hidden : int
        Width of the features.
    levels : int
        Number of resolutions, the finest first.
    """

    def __init__(self, in_channels: int, hidden: int, levels: int) -> None:
        super().__init__()
        widths = [in_channels] + [hidden] * (levels - 1)
        self.convs = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, hidden, 3, padding=1, stride=1 if level == 0 else 2),
                nn.SiLU(),
                nn.Conv2d(hidden, hidden, 3, padding=1),
                nn.SiLU(),
            )
            for level, width in enumerate(widths)
        )

    def forward(self, cond: Tensor) -> list[Tensor]:
        """Return one (N, hidden, H / 2**level, W / 2**level) feature map per level."""
        features = []
        for conv in self.convs:
            cond = conv(cond)
            features.append(cond)
        return features


def zeroed(module: nn.Conv2d | nn.Conv1d) -> nn.Module:
    """Start a residual branch at zero, so that a fresh network is close to the identity."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


def downsample(x: Tensor) -> Tensor:
    """Halve the resolution by averaging 2 x 2 pixels."""
    return F.avg_pool2d(x, 2)


def upsample(x: Tensor) -> Tensor:
    """Double the resolution by repeating pixels."""
    return F.interpolate(x, scale_factor=2, mode="nearest")
