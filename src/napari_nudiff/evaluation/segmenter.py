"""The judge: a small segmentation network, trained on the spot on real images.

It sees an image and says where its nuclei are. What it says of renders is compared with their
layouts, and what it says of real images with their labels: the second is the ceiling of the first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from scipy import ndimage
from torch import Tensor, nn

from napari_nudiff.dataset.pair import Pair
from napari_nudiff.errors import DatasetError
from napari_nudiff.files import atomic_path
from napari_nudiff.nuclei.instances import decode_instances
from napari_nudiff.nuclei.structure import encode_structure
from napari_nudiff.synthesis.device import resolve_device, resolve_precision
from napari_nudiff.work import Progress, Work

_FORMAT = "nudiff-segmenter-1"
_WIDTHS = (32, 64, 96, 128)
_FOLD = 2  # pixels of a block are folded into channels: four times as fast, outlines as good
_MULTIPLE_PX = _FOLD * 2 ** (len(_WIDTHS) - 1)
_UM_PER_PX = 0.25  # where it is unknown
_TILE_PX, _MARGIN_PX = 768, 64  # larger images are segmented in tiles that overlap


@dataclass(frozen=True)
class SegmenterConfig:
    """How a judge is trained; with the fingerprint of the images it determines the judge."""

    steps: int = 1500
    crop_px: int = 128
    batch_crops: int = 16
    learning_rate: float = 1e-3
    seed: int = 0


class Segmenter(nn.Module):
    """A plain U-Net from an RGB image to structure maps; its encoder also serves as features.

    Parameters
    ----------
    widths : sequence of int
        Channels of each level, the finest first.
    um_per_px : float
        Of the images that it knows.
    """

    def __init__(self, widths: Sequence[int] = _WIDTHS, um_per_px: float = _UM_PER_PX) -> None:
        super().__init__()
        self.um_per_px = um_per_px
        inward = zip((3 * _FOLD**2, *widths[:-1]), widths, strict=True)
        self.encoder = nn.ModuleList(_convolutions(a, b) for a, b in inward)
        outward = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.decoder = nn.ModuleList(_convolutions(a + b, b) for a, b in outward)
        self.out = nn.Conv2d(widths[0], 3 * _FOLD**2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logit of the semantic map, horizontal and vertical map, (N, 3, H, W)."""
        *skips, h = self.levels(x)
        for block in self.decoder:
            h = F.interpolate(h, scale_factor=2, mode="nearest")
            h = block(torch.cat([h, skips.pop()], dim=1))
        return F.pixel_shuffle(self.out(h), _FOLD)

    def levels(self, x: Tensor) -> list[Tensor]:
        """Feature maps of the encoder, the finest first."""
        found: list[Tensor] = []
        x = F.pixel_unshuffle(x, _FOLD)
        for block in self.encoder:
            x = block(x if not found else F.max_pool2d(x, 2))
            found.append(x)
        return found


def train_segmenter(
    pairs: Sequence[Pair], path: Path, config: SegmenterConfig, device: str = "auto"
) -> Work[None]:
    """Train a judge and keep it in a file; at once where the file holds just that judge.

    Parameters
    ----------
    pairs : sequence of Pair
        Real images with their labels, never those that it will judge.
    path : Path
        Where it is kept (safetensors).
    config : SegmenterConfig
    device : str
        See `napari_nudiff.synthesis.device.resolve_device`.

    Yields
    ------
    Progress
        Every 20 steps.

    Raises
    ------
    DatasetError
        There are no images, they are smaller than a crop, or the file cannot be written.
    """
    _check(pairs, config)
    key = _fingerprint(pairs, config)
    if _key_of(path) == key:
        return
    where = resolve_device(device)
    torch.manual_seed(config.seed)
    network = Segmenter().to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=config.steps + 1, pct_start=0.1
    )
    for step in range(config.steps):
        images, structures = draw_crops(pairs, config, step)
        with _precision(where):
            out = network(images.to(where, memory_format=torch.channels_last))
        loss = segmentation_loss(out.float(), structures.to(where))
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        if step % 20 == 19 or step + 1 == config.steps:
            detail = f"loss {float(loss.detach()):.3f}"
            yield Progress("training the judge", step + 1, config.steps, detail=detail)
    with atomic_path(path) as staged:
        tensors = {k: v.cpu().contiguous() for k, v in network.state_dict().items()}
        metadata = {"format": _FORMAT, "key": key, "um_per_px": f"{_um_per_px(pairs):g}"}
        save_file(tensors, staged, metadata=metadata)


def load_segmenter(path: Path) -> Segmenter:
    """Load a judge.

    Raises
    ------
    DatasetError
        The file is none.
    """
    if _key_of(path) is None:
        raise DatasetError(
            f"{path} is no segmenter, such as `nudiff evaluate` and `nudiff data segmenter` write. "
            "Check the path, or delete it and make it again."
        )
    with safe_open(path, framework="pt") as file:
        network = Segmenter(um_per_px=float(file.metadata().get("um_per_px", _UM_PER_PX)))
        network.load_state_dict({k: file.get_tensor(k) for k in file.keys()})  # noqa: SIM118
    return network.eval().requires_grad_(False)


@torch.inference_mode()
def segment(judge: Segmenter, image: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Nuclei of an image as the judge sees them.

    Parameters
    ----------
    judge : Segmenter
    image : ndarray, (H, W, 3), uint8

    Returns
    -------
    ndarray, (H, W), int32
    """
    return decode_instances(predict_maps(judge, image))


@torch.inference_mode()
def foreground(judge: Segmenter, image: NDArray[np.uint8], um_per_px: float) -> NDArray[np.float32]:
    """Where the judge sees nuclei in an image of any scale: it is shown at the judge's own.

    Parameters
    ----------
    judge : Segmenter
    image : ndarray, (H, W, 3), uint8
    um_per_px : float
        Of the image.

    Returns
    -------
    ndarray, (H, W), float32
        Probability of nucleus.
    """
    height, width = image.shape[:2]
    factor = um_per_px / judge.um_per_px
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    shown = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)
    seen = Image.fromarray(predict_maps(judge, np.array(shown))[0])
    back = Image.Resampling.BOX if factor > 1 else Image.Resampling.BILINEAR
    return np.asarray(seen.resize((width, height), back), dtype=np.float32)


def as_sharp_as(pair: Pair, um_per_px: float) -> Pair:
    """A pair whose image is only as sharp as one of another scale; its size stays.

    A segmenter that learned from such copies too knows images of a smaller magnification.
    """
    height, width = pair.labels.shape
    factor = (pair.um_per_px or _UM_PER_PX) / um_per_px
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = Image.fromarray(pair.pixels).resize(size, Image.Resampling.BOX)
    image = np.array(small.resize((width, height), Image.Resampling.BICUBIC))
    return replace(pair, name=f"{pair.name} at {um_per_px:g}", image=image)


@torch.inference_mode()
def predict_maps(judge: Segmenter, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the judge sees, tile by tile where an image is large.

    Parameters
    ----------
    judge : Segmenter
    image : ndarray, (H, W, 3), uint8

    Returns
    -------
    ndarray, (3, H, W), float32
        Probability of nucleus, horizontal and vertical map.
    """
    maps = np.empty((3, *image.shape[:2]), dtype=np.float32)
    for rows, inner_rows in _tiles(image.shape[0]):
        for cols, inner_cols in _tiles(image.shape[1]):
            tile = _maps_of(judge, image[rows, cols])
            top, left = inner_rows.start - rows.start, inner_cols.start - cols.start
            height, width = inner_rows.stop - inner_rows.start, inner_cols.stop - inner_cols.start
            maps[:, inner_rows, inner_cols] = tile[:, top : top + height, left : left + width]
    return maps


def to_input(images: NDArray[np.uint8]) -> Tensor:
    """Images (N, H, W, 3) uint8 as the judge's input (N, 3, H, W) on -1..1."""
    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float()
    return x / 127.5 - 1


def segmentation_loss(out: Tensor, structure: Tensor) -> Tensor:
    """Cross-entropy and Dice of the semantic map, squared error of the others inside nuclei."""
    semantic, maps = structure[:, :1], structure[:, 1:]
    entropy = F.binary_cross_entropy_with_logits(out[:, :1], semantic)
    probable = out[:, :1].sigmoid()
    overlap = 1 - (2 * (probable * semantic).sum() + 1) / (probable.sum() + semantic.sum() + 1)
    apart = ((out[:, 1:] - maps).square() * semantic).sum() / (2 * semantic.sum()).clamp(min=1)
    loss: Tensor = entropy + overlap + apart
    return loss


def draw_crops(pairs: Sequence[Pair], config: SegmenterConfig, step: int) -> tuple[Tensor, Tensor]:
    """Varied crops of a step: images (N, 3, S, S) on -1..1 and their structures."""
    rng = np.random.default_rng((config.seed, step))
    crops = [_varied(pairs, config.crop_px, rng) for _ in range(config.batch_crops)]
    images = to_input(np.stack([image for image, _ in crops]))
    return images, torch.from_numpy(np.stack([encode_structure(labels) for _, labels in crops]))


def _varied(
    pairs: Sequence[Pair], side: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.integer]]:
    """A crop turned, its stain and sharpness varied: the judge meets patients it has not seen."""
    pair = pairs[int(rng.integers(len(pairs)))]
    top, left = (int(rng.integers(n - side + 1)) for n in pair.labels.shape)
    part = pair.window(np.s_[top : top + side, left : left + side])
    crop = part.turned(int(rng.integers(4)), bool(rng.random() < 0.5))
    return _varied_stain(crop.pixels, rng), crop.labels


def _varied_stain(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    density = -np.log((image.astype(np.float32) + 1) / 256)
    density *= rng.uniform(0.6, 1.5) * rng.uniform(0.75, 1.3, size=3)
    # A little of each channel into the others turns the hue.
    density = density @ (np.eye(3) + rng.uniform(-0.12, 0.12, (3, 3))).astype(np.float32)
    varied = 256 * np.exp(-density) - 1
    if rng.random() < 0.3:
        varied = ndimage.gaussian_filter(varied, (*[rng.uniform(0.3, 1.2)] * 2, 0))
    if rng.random() < 0.3:
        varied += rng.normal(0, rng.uniform(2, 10), image.shape)
    return np.asarray(varied.clip(0, 255), dtype=np.uint8)


def _convolutions(inward: int, outward: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inward, outward):
        layers += [
            nn.Conv2d(channels, outward, 3, padding=1, bias=False),
            nn.GroupNorm(8, outward),
            nn.SiLU(),
        ]
    return nn.Sequential(*layers)


def _maps_of(judge: Segmenter, tile: NDArray[np.uint8]) -> NDArray[np.float32]:
    device = next(judge.parameters()).device
    height, width = tile.shape[:2]
    x = F.pad(
        to_input(tile[None]), (0, -width % _MULTIPLE_PX, 0, -height % _MULTIPLE_PX), "replicate"
    )
    with _precision(device):
        out = judge(x.to(device, memory_format=torch.channels_last)).float().cpu()
    out[:, :1] = out[:, :1].sigmoid()
    maps: NDArray[np.float32] = out[0, :, :height, :width].clamp(-1, 1).numpy()
    return maps


def _tiles(length: int) -> Iterator[tuple[slice, slice]]:
    """Tiles along a side, and the part of each that counts."""
    step = _TILE_PX - 2 * _MARGIN_PX
    count = max(1, -(-(length - 2 * _MARGIN_PX) // step))
    for i in range(count):
        start = i * step
        stop = length if i == count - 1 else start + _TILE_PX
        first = start + _MARGIN_PX if i else 0
        last = length if i == count - 1 else start + _TILE_PX - _MARGIN_PX
        yield slice(start, stop), slice(first, last)


def _precision(device: torch.device) -> torch.autocast:
    bf16 = resolve_precision("auto", device) == "bf16"
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16)


def _check(pairs: Sequence[Pair], config: SegmenterConfig) -> None:
    if not pairs:
        raise DatasetError("There is no real image to train the segmenter on. Hold fewer out.")
    small = [p.name for p in pairs if min(p.labels.shape) < config.crop_px]
    if small:
        raise DatasetError(
            f"{small[0]} is smaller than the {config.crop_px} px crops that the segmenter is "
            "trained on. Leave it out."
        )


def _fingerprint(pairs: Sequence[Pair], config: SegmenterConfig) -> str:
    digest = hashlib.sha256(json.dumps([asdict(config), _WIDTHS]).encode())
    for pair in pairs:
        digest.update(pair.name.encode() + pair.pixels.tobytes() + pair.labels.tobytes())
    return digest.hexdigest()


def _um_per_px(pairs: Sequence[Pair]) -> float:
    return float(np.median([pair.um_per_px or _UM_PER_PX for pair in pairs]))


def _key_of(path: Path) -> str | None:
    """Fingerprint of the judge in a file; None where there is none."""
    if not Path(path).is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError):
        return None
    return metadata.get("key") if metadata.get("format") == _FORMAT else None
