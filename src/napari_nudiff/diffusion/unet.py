"""One U-Net for both stages of Nudiff, in the authors' size and in the compact one.

The forward pass is split so that nothing is computed twice: `UNet.encode` sees the noisy image but
not the structure (it is shared by both branches of classifier-free guidance), `UNet.modulation`
sees the structure but neither image nor time (it is computed once per request), and `UNet.decode`
joins them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_nudiff.diffusion.blocks import (
    GroupNorm,
    ResBlock,
    Scale,
    SelfAttention,
    SpadeNorm,
    StructurePyramid,
    downsample,
    time_embedding,
    upsample,
    zeroed,
)

Modulation = list[Scale]
"""Scale and shift of every SPADE norm, in the order in which `UNet.decode` meets them."""

How = Callable[[Tensor], Tensor]
"""A plain change of resolution."""


@dataclass(frozen=True)
class UNetConfig:
    """Shape of a `UNet`; it is stored in the header of its weights.

    The defaults are those of "nudiff-compact".
    """

    in_channels: int = 3
    # 3, or 6 where the network also predicts the variance of each step.
    out_channels: int = 3
    base_channels: int = 48
    # Width of each level as a multiple of base_channels, the finest first.
    multipliers: tuple[int, ...] = (1, 2, 3, 4)
    # Residual blocks per level in the encoder; the decoder has one more.
    blocks_per_level: int = 1
    # Levels (0 = finest) with self-attention after each block; the bottleneck always has one.
    attention_levels: tuple[int, ...] = ()
    head_channels: int = 48
    norm_groups: int = 16
    # Channels of the structure; 0 = no structure, plain group normalisation everywhere.
    cond_channels: int = 0
    # "own": every norm convolves the structure itself (the authors'); "pyramid": one shared trunk.
    spade: Literal["own", "pyramid"] = "pyramid"
    spade_hidden: int = 32
    # True: the condition carries one more channel, 1 where a structure is given and 0 for "none",
    # so that an empty layout and no layout differ. The authors' networks use zeros for both.
    null_token: bool = True
    # Numbers that describe the whole image (stain style, or density and size); 0 = none.
    global_channels: int = 0
    # Side of the pixel blocks folded into channels before the first convolution.
    stem: int = 2
    # True: learned residual blocks change the resolution (the authors'); False: plain resampling.
    resample_blocks: bool = False
    dropout: float = 0.0

    @property
    def multiple_px(self) -> int:
        """Image sides must be multiples of this many pixels."""
        return int(self.stem * 2 ** (len(self.multipliers) - 1))

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level, the finest first."""
        return tuple(self.base_channels * m for m in self.multipliers)


@dataclass
class Encoded:
    """What the encoder found in a noisy image: bottleneck, skips and embedding."""

    bottleneck: Tensor
    skips: list[Tensor]
    emb: Tensor


class UNet(nn.Module):
    """Denoising U-Net, unconditional or conditioned on a nuclei structure.

    Parameters
    ----------
    config : UNetConfig
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        self._emb_channels = 4 * config.base_channels
        fold = config.stem**2
        self.time_embed = _mlp(config.base_channels, self._emb_channels)
        if config.global_channels:
            self.global_embed = _mlp(config.global_channels + 1, self._emb_channels)
        self.pyramid = self._make_pyramid()
        self.encoder, skip_widths = self._make_encoder(config.in_channels * fold)
        self.middle = self._make_middle()
        self.decoder = self._make_decoder(skip_widths)
        self.out_norm = nn.GroupNorm(config.norm_groups, config.widths[0])
        out = nn.Conv2d(config.widths[0], config.out_channels * fold, 3, padding=1)
        self.out_conv = zeroed(out)

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        modulation: Modulation | None = None,
        globals_: Tensor | None = None,
    ) -> Tensor:
        """Run the network: ``decode(encode(x, t, globals_), modulation)``."""
        return self.decode(self.encode(x, t, globals_), modulation)

    def encode(self, x: Tensor, t: Tensor, globals_: Tensor | None = None) -> Encoded:
        """Encode a noisy image; the result does not depend on the structure.

        Parameters
        ----------
        x : Tensor, (N, in_channels, H, W)
            Noisy images; sides are multiples of ``config.multiple_px``.
        t : Tensor, (N,)
            Noise times, 0..1000.
        globals_ : Tensor, (N, global_channels), optional
            Numbers that describe the whole image; None or a row of NaN = not told.
        """
        emb = self.time_embed(time_embedding(t, self.config.base_channels))
        if self.config.global_channels:
            emb = emb + self._embed_globals(globals_, len(x), emb)
        h = F.pixel_unshuffle(x, self.config.stem) if self.config.stem > 1 else x
        skips = []
        for block in _blocks(self.encoder):
            h = _run(block, h, emb, repeat(None))
            skips.append(h)
        return Encoded(h, skips, emb)

    def modulation(self, structure: Tensor | None, like: Tensor | None = None) -> Modulation | None:
        """Compute every SPADE norm's scale and shift; they depend on neither image nor time.

        Parameters
        ----------
        structure : Tensor, (N, cond_channels, H, W), or None
            Structure maps; None = no structure, for a canvas shaped as ``like``.
        like : Tensor, (N, cond_channels, H, W), optional
            Only its shape, device and type are used, and only when ``structure`` is None.
        """
        if not self.config.cond_channels:
            return None
        if structure is not None:
            cond, told = structure, 1.0
        elif like is not None:
            cond, told = torch.zeros_like(like), 0.0
        else:
            raise ValueError("modulation(None) needs `like` to know the size of the canvas")
        if self.config.null_token:
            cond = torch.cat([cond, torch.full_like(cond[:, :1], told)], dim=1)
        return self.modulation_from(cond)

    def modulation_from(self, cond: Tensor) -> Modulation:
        """`modulation` for a condition that already carries its null-token channel."""
        features = self._condition_levels(cond)
        return [norm.scale(features[level]) for level, norm in self._spade_norms()]

    def decode(self, encoded: Encoded, modulation: Modulation | None = None) -> Tensor:
        """Decode what `encode` returned, under what `modulation` returned.

        Returns
        -------
        Tensor, (N, out_channels, H, W)
        """
        scales: Iterator[Scale | None] = iter(modulation) if modulation else repeat(None)
        skips = list(encoded.skips)
        h = _run(self.middle, encoded.bottleneck, encoded.emb, scales)
        for block in _blocks(self.decoder):
            h = _run(block, torch.cat([h, skips.pop()], dim=1), encoded.emb, scales)
        h = self.out_conv(F.silu(self.out_norm(h)))
        return F.pixel_shuffle(h, self.config.stem) if self.config.stem > 1 else h

    def _embed_globals(self, globals_: Tensor | None, n: int, like: Tensor) -> Tensor:
        if globals_ is None:
            globals_ = like.new_full((n, self.config.global_channels), torch.nan)
        told = ~globals_.isnan().any(dim=1, keepdim=True)
        values = torch.where(told, globals_, 0.0)
        emb: Tensor = self.global_embed(torch.cat([values, told.to(values)], dim=1))
        return emb

    def _condition_levels(self, cond: Tensor) -> list[Tensor]:
        if self.pyramid is not None:
            folded = F.pixel_unshuffle(cond, self.config.stem) if self.config.stem > 1 else cond
            levels: list[Tensor] = self.pyramid(folded)
            return levels
        size = cond.shape[-2:]
        return [
            F.interpolate(cond, (size[0] // f, size[1] // f), mode="nearest")
            for f in (self.config.stem * 2**level for level in range(len(self.config.widths)))
        ]

    def _spade_norms(self) -> Iterator[tuple[int, SpadeNorm]]:
        """Every SPADE norm with the level of the feature map that it normalises."""
        level = len(self.config.widths) - 1
        for block in (self.middle, *_blocks(self.decoder)):
            for layer in block:
                if isinstance(layer, ResBlock):
                    yield level, layer.norm1  # type: ignore[misc]
                    level -= layer.resample is upsample
                    yield level, layer.norm2  # type: ignore[misc]
                elif isinstance(layer, Resample):
                    level -= 1

    def _make_pyramid(self) -> StructurePyramid | None:
        c = self.config
        if not c.cond_channels or c.spade == "own":
            return None
        channels = (c.cond_channels + c.null_token) * c.stem**2
        return StructurePyramid(channels, c.spade_hidden, len(c.widths))

    def _res_block(
        self, in_channels: int, out_channels: int, *, cond: bool, resample: How | None = None
    ) -> ResBlock:
        c = self.config
        norm: Callable[[int], nn.Module] = partial(GroupNorm, c.norm_groups)
        if cond and c.cond_channels:
            own = c.spade == "own"
            norm = partial(
                SpadeNorm,
                groups=c.norm_groups,
                cond_channels=c.cond_channels + c.null_token if own else c.spade_hidden,
                hidden=c.spade_hidden if own else 0,
            )
        return ResBlock(
            in_channels,
            out_channels,
            self._emb_channels,
            norm,
            resample=resample,
            dropout=c.dropout,
        )

    def _attention(self, level: int) -> list[nn.Module]:
        c = self.config
        if level not in c.attention_levels:
            return []
        return [SelfAttention(c.widths[level], c.head_channels, c.norm_groups)]

    def _resample(self, channels: int, how: How, *, cond: bool) -> nn.Module:
        if self.config.resample_blocks:
            return self._res_block(channels, channels, cond=cond, resample=how)
        return Resample(how)

    def _make_encoder(self, in_channels: int) -> tuple[nn.ModuleList, list[int]]:
        c = self.config
        blocks = [nn.ModuleList([nn.Conv2d(in_channels, c.widths[0], 3, padding=1)])]
        skip_widths = [c.widths[0]]
        for level, width in enumerate(c.widths):
            for _ in range(c.blocks_per_level):
                block = self._res_block(skip_widths[-1], width, cond=False)
                blocks.append(nn.ModuleList([block, *self._attention(level)]))
                skip_widths.append(width)
            if level < len(c.widths) - 1:
                blocks.append(nn.ModuleList([self._resample(width, downsample, cond=False)]))
                skip_widths.append(width)
        return nn.ModuleList(blocks), skip_widths

    def _make_middle(self) -> nn.ModuleList:
        c, width = self.config, self.config.widths[-1]
        attention = SelfAttention(width, c.head_channels, c.norm_groups)
        return nn.ModuleList(
            [
                self._res_block(width, width, cond=True),
                attention,
                self._res_block(width, width, cond=True),
            ]
        )

    def _make_decoder(self, skip_widths: list[int]) -> nn.ModuleList:
        c, skips = self.config, list(skip_widths)
        channels = c.widths[-1]
        blocks = []
        for level, width in reversed(list(enumerate(c.widths))):
            for i in range(c.blocks_per_level + 1):
                block = self._res_block(channels + skips.pop(), width, cond=True)
                layers = [block, *self._attention(level)]
                if level and i == c.blocks_per_level:
                    layers.append(self._resample(width, upsample, cond=True))
                blocks.append(nn.ModuleList(layers))
                channels = width
        return nn.ModuleList(blocks)


class Resample(nn.Module):
    """Plain change of resolution, without parameters."""

    def __init__(self, how: How) -> None:
        super().__init__()
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        """Resample ``x`` (N, C, H, W)."""
        return self.how(x)


def _blocks(blocks: nn.ModuleList) -> Iterable[nn.ModuleList]:
    return cast(Iterable[nn.ModuleList], blocks)


def _mlp(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(in_channels, out_channels), nn.SiLU(), nn.Linear(out_channels, out_channels)
    )


def _run(
    layers: Iterable[nn.Module], h: Tensor, emb: Tensor, scales: Iterator[Scale | None]
) -> Tensor:
    for layer in layers:
        scaled = (emb, next(scales), next(scales)) if isinstance(layer, ResBlock) else ()
        h = layer(h, *scaled)
    return h
