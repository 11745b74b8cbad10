"""One U-Net for both stages of Nudiff, in the authors' size and in the compact ones.

The forward pass is split so that nothing is computed twice: `UNet.modulation` sees the structure
but neither image nor time (it is computed once per request), `UNet.encode` sees the noisy image,
and `UNet.decode` joins them. Where the structure does not enter the encoder, both branches of
classifier-free guidance share one encoder pass.

This module is the network as it is trained, one operation after another. `fused.FusedUNet` is the
same network as it is run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_nudiff.diffusion.appearance import AppearanceEncoder
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

How = Callable[[Tensor], Tensor]
"""A plain change of resolution."""

CONDITIONS = {"style": 6, "density": 2, "resolution": 1, "appearance": 16}
"""What a network can be given about the whole image, and how many numbers that is.

style: mean and deviation of each colour channel, on -1..1. density: foreground fraction and size of
the nuclei. resolution: see `napari_nudiff.nuclei.descriptors.resolution_number`. appearance: what
an `AppearanceEncoder` says of another part of the same tissue.
"""


# What a file may ask for: more is damage, and would be built for hours before it is noticed.
_MOST = 16  # levels, multiples of a width, and blocks of a level
_WIDEST = {"in_channels": 64, "out_channels": 64, "stem": 16} | dict.fromkeys(
    ("base_channels", "head_channels", "norm_groups", "spade_hidden"), 4096
)


@dataclass
class Modulation:
    """Everything that depends on the structure alone.

    Attributes
    ----------
    entry : Tensor, (N, widths[0], H / stem, W / stem), or None
        What joins the first feature map of the encoder, where the structure enters there.
    scales : list of Scale
        Scale and shift of every SPADE norm, in the order in which `UNet.decode` meets them.
    """

    entry: Tensor | None
    scales: list[Scale]


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
    # Residual blocks per level in the encoder, one number for all or one for each level, the finest
    # first; the decoder has one more.
    blocks_per_level: int | tuple[int, ...] = 1
    # Levels (0 = finest) with self-attention after each block; the bottleneck always has one.
    attention_levels: tuple[int, ...] = ()
    head_channels: int = 48
    norm_groups: int = 16
    # Channels of the structure; 0 = no structure, plain group normalisation everywhere.
    cond_channels: int = 0
    # "own": every norm convolves the structure itself (the authors'); "pyramid": one shared trunk.
    spade: Literal["own", "pyramid"] = "pyramid"
    spade_hidden: int = 32
    # The finest level that has SPADE norms; finer ones have plain norms, which are much faster.
    spade_from_level: int = 0
    # Whether the structure also joins the noisy image at the first convolution. The encoder then
    # knows the layout, and guidance costs a whole second pass.
    structure_at_input: bool = False
    # True: the condition carries one more channel, 1 where a structure is given and 0 for "none",
    # so that an empty layout and no layout differ. The authors' networks use zeros for both.
    null_token: bool = True
    # What is given about the whole image, see CONDITIONS, in this order.
    conditions: tuple[str, ...] = ()
    # Side of the pixel blocks folded into channels before the first convolution.
    stem: int = 2
    # True: learned residual blocks change the resolution (the authors'); False: plain resampling.
    resample_blocks: bool = False
    # True: the decoder narrows its features to the width of a level before it enlarges them.
    narrow_first: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        blocks = self.blocks_per_level
        levels = (blocks,) * len(self.multipliers) if isinstance(blocks, int) else blocks
        if not 1 <= len(self.multipliers) == len(levels) <= _MOST:
            raise ValueError(
                f"multipliers {self.multipliers!r} and blocks_per_level {blocks!r} must be of one "
                f"length, of 1 to {_MOST} levels"
            )
        for name, most in {"multipliers": _MOST, "blocks_per_level": _MOST, **_WIDEST}.items():
            value = getattr(self, name)
            numbers = value if isinstance(value, tuple) else (value,)
            if not all(isinstance(n, int) and 1 <= n <= most for n in numbers):
                raise ValueError(f"{name} is {value!r}; whole numbers of 1 to {most} were expected")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> UNetConfig:
        """Build a configuration from plain values, those of earlier versions included."""
        known: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        if (numbers := known.pop("global_channels", 0)) and "conditions" not in known:
            known["conditions"] = {6: ("style",), 2: ("density",)}[numbers]
        return cls(**known)

    @property
    def global_channels(self) -> int:
        """How many numbers describe the whole image."""
        return sum(CONDITIONS[name] for name in self.conditions)

    def has(self, condition: str) -> bool:
        """Whether the network can be given one of `CONDITIONS`."""
        return condition in self.conditions

    def blocks_at(self, level: int) -> int:
        """Residual blocks of a level of the encoder."""
        blocks = self.blocks_per_level
        return blocks if isinstance(blocks, int) else blocks[level]

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
        if config.conditions:
            inputs = config.global_channels + len(config.conditions)
            self.global_embed = _mlp(inputs, self._emb_channels)
        if config.has("appearance"):
            self.appearance = AppearanceEncoder(CONDITIONS["appearance"])
        if config.structure_at_input:
            channels = (config.cond_channels + config.null_token) * fold
            self.entry = nn.Conv2d(channels, config.widths[0], 3, padding=1)
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
        """Run the network: ``decode(encode(x, t, globals_, modulation), modulation)``."""
        return self.decode(self.encode(x, t, globals_, modulation), modulation)

    def encode(
        self,
        x: Tensor,
        t: Tensor,
        globals_: Tensor | None = None,
        modulation: Modulation | None = None,
    ) -> Encoded:
        """Encode a noisy image.

        Parameters
        ----------
        x : Tensor, (N, in_channels, H, W)
            Noisy images; sides are multiples of ``config.multiple_px``.
        t : Tensor, (N,)
            Noise times, 0..1000.
        globals_ : Tensor, (N, global_channels), optional
            Numbers that describe the whole image, those of `UNetConfig.conditions` one after the
            other. A condition that holds NaN is not given; None = none is.
        modulation : Modulation, optional
            Only its ``entry`` is used here: without ``structure_at_input`` the result does not
            depend on the structure.
        """
        emb = self.embed(t, globals_)
        h = F.pixel_unshuffle(x, self.config.stem) if self.config.stem > 1 else x
        skips: list[Tensor] = []
        for block in _blocks(self.encoder):
            h = _run(block, h, emb, iter(()))
            if not skips and modulation is not None and modulation.entry is not None:
                h = h + modulation.entry
            skips.append(h)
        return Encoded(h, skips, emb)

    def embed(self, t: Tensor, globals_: Tensor | None) -> Tensor:
        """Embedding (N, E) of noise times and of the numbers that describe the whole image."""
        emb: Tensor = self.time_embed(time_embedding(t, self.config.base_channels))
        if self.config.conditions:
            emb = emb + self._embed_globals(globals_, len(t), emb)
        return emb

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
            cond, given = structure, 1.0
        elif like is not None:
            cond, given = torch.zeros_like(like), 0.0
        else:
            raise ValueError("modulation(None) needs `like` to know the size of the canvas")
        if self.config.null_token:
            cond = torch.cat([cond, torch.full_like(cond[:, :1], given)], dim=1)
        return self.modulation_from(cond)

    def modulation_from(self, cond: Tensor) -> Modulation:
        """`modulation` for a condition that already carries its null-token channel."""
        folded = F.pixel_unshuffle(cond, self.config.stem) if self.config.stem > 1 else cond
        entry = self.entry(folded) if self.config.structure_at_input else None
        features = self._condition_levels(cond, folded)
        scales = [norm.scale(features[level]) for level, norm in self.spade_norms()]
        return Modulation(entry, scales)

    def decode(self, encoded: Encoded, modulation: Modulation | None = None) -> Tensor:
        """Decode what `encode` returned, under what `modulation` returned.

        Returns
        -------
        Tensor, (N, out_channels, H, W)
        """
        scales = iter(modulation.scales) if modulation is not None else iter(())
        skips = list(encoded.skips)
        h = _run(self.middle, encoded.bottleneck, encoded.emb, scales)
        for block in _blocks(self.decoder):
            h = _run(block, torch.cat([h, skips.pop()], dim=1), encoded.emb, scales)
        h = self.out_conv(F.silu(self.out_norm(h)))
        return F.pixel_shuffle(h, self.config.stem) if self.config.stem > 1 else h

    def _embed_globals(self, globals_: Tensor | None, n: int, like: Tensor) -> Tensor:
        if globals_ is None:
            globals_ = like.new_full((n, self.config.global_channels), torch.nan)
        sizes = [CONDITIONS[name] for name in self.config.conditions]
        values, given = [], []
        for numbers in torch.split(globals_, sizes, dim=1):
            known = ~numbers.isnan().any(dim=1, keepdim=True)
            values.append(torch.where(known, numbers, 0.0))
            given.append(known.to(numbers))
        emb: Tensor = self.global_embed(torch.cat([*values, *given], dim=1))
        return emb

    def _condition_levels(self, cond: Tensor, folded: Tensor) -> list[Tensor]:
        if self.pyramid is not None:
            levels: list[Tensor] = self.pyramid(folded)
            return levels
        size = cond.shape[-2:]
        return [
            F.interpolate(cond, (size[0] // f, size[1] // f), mode="nearest")
            for f in (self.config.stem * 2**level for level in range(len(self.config.widths)))
        ]

    def spade_norms(self) -> Iterator[tuple[int, SpadeNorm]]:
        """Every SPADE norm with the level of the feature map that it normalises."""
        level = len(self.config.widths) - 1
        for block in (self.middle, *_blocks(self.decoder)):
            for layer in block:
                if isinstance(layer, ResBlock):
                    if isinstance(layer.norm1, SpadeNorm):
                        yield level, layer.norm1
                    level -= layer.resample is upsample
                    if isinstance(layer.norm2, SpadeNorm):
                        yield level, layer.norm2
                elif isinstance(layer, Resample):
                    level -= 1

    def _make_pyramid(self) -> StructurePyramid | None:
        c = self.config
        if not c.cond_channels or c.spade == "own":
            return None
        channels = (c.cond_channels + c.null_token) * c.stem**2
        return StructurePyramid(channels, c.spade_hidden, len(c.widths))

    def _res_block(
        self, in_channels: int, out_channels: int, *, level: int | None, resample: How | None = None
    ) -> ResBlock:
        """A block of the decoder at a level, or one of the encoder, which has no level here."""
        c = self.config
        norm: Callable[[int], nn.Module] = partial(GroupNorm, c.norm_groups)
        if level is not None and c.cond_channels and level >= c.spade_from_level:
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

    def _resample(self, channels: int, how: How, *, level: int | None) -> nn.Module:
        if self.config.resample_blocks:
            return self._res_block(channels, channels, level=level, resample=how)
        return Resample(how)

    def _make_encoder(self, in_channels: int) -> tuple[nn.ModuleList, list[int]]:
        c = self.config
        blocks = [nn.ModuleList([nn.Conv2d(in_channels, c.widths[0], 3, padding=1)])]
        skip_widths = [c.widths[0]]
        for level, width in enumerate(c.widths):
            for _ in range(c.blocks_at(level)):
                block = self._res_block(skip_widths[-1], width, level=None)
                blocks.append(nn.ModuleList([block, *self._attention(level)]))
                skip_widths.append(width)
            if level < len(c.widths) - 1:
                blocks.append(nn.ModuleList([self._resample(width, downsample, level=None)]))
                skip_widths.append(width)
        return nn.ModuleList(blocks), skip_widths

    def _make_middle(self) -> nn.ModuleList:
        c, width, level = self.config, self.config.widths[-1], len(self.config.widths) - 1
        attention = SelfAttention(width, c.head_channels, c.norm_groups)
        return nn.ModuleList(
            [
                self._res_block(width, width, level=level),
                attention,
                self._res_block(width, width, level=level),
            ]
        )

    def _make_decoder(self, skip_widths: list[int]) -> nn.ModuleList:
        c, skips = self.config, list(skip_widths)
        channels = c.widths[-1]
        blocks = []
        for level, width in reversed(list(enumerate(c.widths))):
            for i in range(c.blocks_at(level) + 1):
                block = self._res_block(channels + skips.pop(), width, level=level)
                layers: list[nn.Module] = [block, *self._attention(level)]
                channels = width
                if level and i == c.blocks_at(level):
                    if c.narrow_first:
                        channels = c.widths[level - 1]
                        layers.append(nn.Conv2d(width, channels, 1))
                    layers.append(self._resample(channels, upsample, level=level))
                blocks.append(nn.ModuleList(layers))
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


def _run(layers: Iterable[nn.Module], h: Tensor, emb: Tensor, scales: Iterator[Scale]) -> Tensor:
    for layer in layers:
        h = layer(h, emb, *layer.take(scales)) if isinstance(layer, ResBlock) else layer(h)
    return h
