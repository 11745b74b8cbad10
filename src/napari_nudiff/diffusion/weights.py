"""Weights as safetensors with their configuration in the header, and the authors' ``.pt`` files."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from napari_nudiff.diffusion.denoiser import EpsDenoiser, NetworkDenoiser, VDenoiser
from napari_nudiff.diffusion.fused import FusedUNet
from napari_nudiff.diffusion.unet import UNet, UNetConfig
from napari_nudiff.errors import CheckpointError
from napari_nudiff.files import parse_json

FORMAT = "nudiff-1"
# Keys below which trainers save weights, the averaged ones first, and what DataParallel,
# torch.compile and modules around a network put before their names.
_WRAPPERS = ("ema", "ema_state_dict", "state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.")
_BANKS = {"image": "appearance_bank", "structure": "density_bank"}


@dataclass(frozen=True)
class Header:
    """What a checkpoint says of itself.

    Attributes
    ----------
    role : str
        "structure" or "image".
    network : UNetConfig
    parametrisation : str
        "v" (compact) or "eps" (the authors').
    card : dict
        Licence, training data, training configuration, um per px and whatever else belongs to
        the model card; plain values.
    """

    role: str
    network: UNetConfig
    parametrisation: str = "v"
    card: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """A network ready to denoise, with what its checkpoint says of it.

    Attributes
    ----------
    header : Header
    unet : UNet
    bank : Tensor, or None
        To draw from, of the training images: appearances (B, 16) of an image model; density, size
        and um per px of their fields (B, 3) of a structure model.
    """

    header: Header
    unet: UNet
    bank: Tensor | None = None
    _fused: dict[torch.dtype, FusedUNet] = field(default_factory=dict, repr=False, compare=False)

    def move_to(self, device: torch.device) -> None:
        """Move the network to a device, in the memory layout that convolutions are fastest in."""
        if next(self.unet.parameters()).device != device:
            self._fused.clear()
        self.unet.to(device)
        self.unet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def denoiser(
        self, dtype: torch.dtype = torch.float32, *, literal: bool = False
    ) -> NetworkDenoiser:
        """Wrap the network in the denoiser of its parametrisation.

        Parameters
        ----------
        dtype : torch.dtype
            Precision of the arithmetic.
        literal : bool
            Run the network as it is trained, under autocast: slower, and with the rounding of
            versions before `FusedUNet`.
        """
        kind = EpsDenoiser if self.header.parametrisation == "eps" else VDenoiser
        if literal:
            return kind(self.unet, None if dtype == torch.float32 else dtype)
        if dtype not in self._fused:
            self._fused[dtype] = FusedUNet(self.unet, dtype)
        return kind(self._fused[dtype])


def write_weights(
    path: Path, unet: UNet, header: Header, dtype: torch.dtype, bank: Tensor | None = None
) -> None:
    """Write a network as safetensors in ``dtype``, with its header and its bank.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    tensors = {k: v.detach().to("cpu", dtype).contiguous() for k, v in unet.state_dict().items()}
    if bank is not None:
        tensors[_BANKS[header.role]] = bank.to("cpu", dtype).contiguous()
    metadata = {"format": FORMAT, "header": json.dumps(asdict(header))}
    try:
        save_file(tensors, path, metadata=metadata)
    except SafetensorError as error:  # a full disk, for one
        raise OSError(str(error)) from error


def read_header(path: Path) -> Header:
    """Read what a checkpoint says of itself, without its weights.

    Raises
    ------
    CheckpointError
        The file is missing, is not safetensors or not napari-nudiff's, or its header is damaged.
    """
    with _opened(path) as file:
        metadata = file.metadata() or {}
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is a safetensors file but no nudiff checkpoint (its header says "
            f"{metadata.get('format')!r}, not {FORMAT!r})."
        )
    try:
        return _parsed_header(metadata["header"])
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{path} says that it is a nudiff checkpoint, but its header cannot be used "
            f"({type(error).__name__}: {error}). It may be damaged or of a newer version; fetch or "
            "copy it again, or update napari-nudiff."
        ) from error


def load_weights(path: Path) -> Model:
    """Load a checkpoint written by `write_weights`, in float32 on the CPU.

    Raises
    ------
    CheckpointError
        The file is damaged, not napari-nudiff's, or holds NaN or infinite weights.
    """
    header = read_header(path)
    with _opened(path) as file:
        tensors = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    bank = tensors.pop(_BANKS[header.role], None)
    return Model(header, _filled(header.network, tensors, path), bank)


def load_official(path: Path, *, head_channels: int = 64) -> Model:
    """Load the authors' checkpoint: structure or image model, raw or EMA.

    Parameters
    ----------
    path : Path
        ``model*.pt`` or ``ema_*.pt``, a dictionary of tensors, or one that holds such a dictionary
        as ``state_dict``, ``model`` or ``ema``; nothing else is unpickled.
    head_channels : int
        Width of an attention head; it is not in the file.

    Raises
    ------
    CheckpointError
        The file is missing, is no such dictionary, or its shapes fit no network of the authors;
        or the heads have no width.
    """
    if head_channels < 1:
        raise CheckpointError(
            f"The width of an attention head is {head_channels} channels; expected at least 1 (64 "
            f"in the published configuration). {path} was not loaded."
        )
    state = _read_official(path)
    config = _infer_official(state, head_channels, path)
    renamed = {_official_name(key): value.float() for key, value in state.items()}
    role = "image" if config.cond_channels else "structure"
    return Model(Header(role, config, "eps"), _filled(config, renamed, path))


def _parsed_header(text: str) -> Header:
    values = parse_json(text)
    header = Header(**{**values, "network": UNetConfig.from_dict(values["network"])})
    known = {"role": ("structure", "image"), "parametrisation": ("v", "eps")}
    for key, expected in known.items():
        if getattr(header, key) not in expected:
            raise ValueError(f"{key} is {getattr(header, key)!r}; expected one of {expected}")
    if not isinstance(header.card, dict):
        raise TypeError(f"card is {header.card!r}; expected a table")
    side = header.card.get("um_per_px", 1.0)
    if not isinstance(side, int | float) or not 0 < side < math.inf:
        raise ValueError(f"um_per_px is {side!r}; expected a number above 0")
    return header


def _opened(path: Path) -> Any:
    if not Path(path).is_file():
        raise CheckpointError(f"The checkpoint {path} does not exist.")
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} cannot be read as safetensors ({error}); it may be damaged or cut short. "
            "Fetch or copy it again."
        ) from error


def _filled(config: UNetConfig, tensors: Mapping[str, Tensor], path: Path) -> UNet:
    bad = [key for key, value in tensors.items() if not bool(value.isfinite().all())]
    if bad:
        raise CheckpointError(
            f"{path} holds NaN or infinite weights ({bad[0]} and {len(bad) - 1} more); images "
            "made with it would be blank. It was not loaded; use another checkpoint."
        )
    try:
        with torch.device("meta"):
            unet = UNet(config)
        unet.load_state_dict(dict(tensors), strict=True, assign=True)
    except (RuntimeError, ValueError, TypeError, ArithmeticError) as error:
        raise CheckpointError(f"{path} does not fit its network: {str(error)[:300]}") from error
    return unet.eval().requires_grad_(False)


def _read_official(path: Path) -> dict[str, Tensor]:
    if not Path(path).is_file():
        raise CheckpointError(f"The checkpoint {path} does not exist.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types for damaged or unsafe files
        raise CheckpointError(
            f"{path} is no checkpoint that can be loaded safely: {str(error).splitlines()[0]}"
        ) from error
    weights = _unwrapped(state)
    if weights is None:
        raise CheckpointError(f"{path} holds no plain dictionary of tensors.")
    return weights


def _unwrapped(state: object) -> dict[str, Tensor] | None:
    """The weights in what trainers save: below a key, with a prefix; None where there are none."""
    if not isinstance(state, dict):
        return None
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        inner = (_unwrapped(state[key]) for key in _WRAPPERS if key in state)
        return next((weights for weights in inner if weights is not None), None)
    for prefix in _PREFIXES:
        if all(str(key).startswith(prefix) for key in state):
            return _unwrapped({key.removeprefix(prefix): v for key, v in state.items()})
    return state


def _infer_official(state: Mapping[str, Tensor], head_channels: int, path: Path) -> UNetConfig:
    """Read the configuration off the names and shapes; the heads' width is not among them."""
    try:
        base, in_channels = state["input_blocks.0.0.weight"].shape[:2]
        widths, per_level = _official_widths(state)
        out_channels = len(state["out.2.bias"])
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{path} is no Nudiff U-Net of the authors: {error}.") from error
    attended = [i for i in range(len(widths)) if f"input_blocks.{i + 1}.1.qkv.weight" in state]
    shared = state.get("middle_block.0.in_norm.mlp_shared.0.weight")
    return UNetConfig(
        in_channels=in_channels,
        out_channels=out_channels,
        base_channels=base,
        multipliers=tuple(width // base for width in widths[:: per_level + 1]),
        blocks_per_level=per_level,
        attention_levels=tuple(sorted({i // (per_level + 1) for i in attended})),
        head_channels=head_channels,
        norm_groups=32,
        cond_channels=0 if shared is None else shared.shape[1],
        spade="own",
        spade_hidden=128 if shared is None else shared.shape[0],
        null_token=False,
        stem=1,
        resample_blocks=True,
    )


def _official_widths(state: Mapping[str, Tensor]) -> tuple[list[int], int]:
    """Width of every encoder block after the first convolution, and residual blocks per level.

    With L levels of b blocks the encoder has L b blocks and L - 1 that halve the resolution, and
    the decoder L (b + 1); the decoder's L - 1 doubling blocks, which come last in their group,
    give L.
    """
    encoder = _block_numbers(state, r"input_blocks\.(\d+)\.0\.emb_layers\.1\.bias")
    decoder = _block_numbers(state, r"output_blocks\.(\d+)\.0\.emb_layers\.1\.bias")
    doubling = _block_numbers(state, r"output_blocks\.(\d+)\.[12]\.emb_layers\.1\.bias")
    levels = len(doubling) + 1
    if len(decoder) % levels or len(encoder) != len(decoder) - 1:
        raise ValueError(
            f"{len(encoder)} encoder and {len(decoder)} decoder blocks fit no {levels} levels"
        )
    widths = [len(state[f"input_blocks.{i}.0.emb_layers.1.bias"]) // 2 for i in sorted(encoder)]
    return widths, len(decoder) // levels - 1


def _block_numbers(state: Mapping[str, Tensor], pattern: str) -> set[int]:
    matches = (re.fullmatch(pattern, key) for key in state)
    return {int(match[1]) for match in matches if match}


_OFFICIAL_NAMES = (
    (r"^input_blocks\.", "encoder."),
    (r"^middle_block\.", "middle."),
    (r"^output_blocks\.", "decoder."),
    (r"^out\.0\.", "out_norm."),
    (r"^out\.2\.", "out_conv."),
    (r"in_layers\.0\.", "norm1."),
    (r"in_layers\.[12]\.", "conv1."),
    (r"emb_layers\.1\.", "embed."),
    (r"out_layers\.0\.", "norm2."),
    (r"out_layers\.[23]\.", "conv2."),
    (r"skip_connection\.", "skip."),
    (r"in_norm\.", "norm1."),
    (r"out_norm\.(?=mlp)", "norm2."),
    (r"mlp_shared\.0\.", "shared."),
    (r"mlp_(gamma|beta)\.", r"\1."),
)


def _official_name(key: str) -> str:
    """Our name of a tensor of the authors' network."""
    for pattern, name in _OFFICIAL_NAMES:
        key = re.sub(pattern, name, key)
    return key
