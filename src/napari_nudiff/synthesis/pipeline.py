"""The two stages of Nudiff as generators of progress: sample a layout, render an image."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_nudiff import __version__
from napari_nudiff.checkpoints import Checkpoint, find_checkpoint, load_model
from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.dataset.sample import SCHEMA, pack_layout
from napari_nudiff.diffusion.denoiser import (
    UNCONDITIONAL,
    Conditioning,
    Denoiser,
    Guided,
    NetworkDenoiser,
    from_signed,
)
from napari_nudiff.diffusion.samplers import SAMPLERS
from napari_nudiff.diffusion.unet import CONDITIONS
from napari_nudiff.diffusion.weights import Model
from napari_nudiff.errors import CheckpointError, LayoutError, RequestError
from napari_nudiff.nuclei.descriptors import (
    MIN_SIDE_PX,
    SIZE_SCALE_PX,
    UM_PER_PX,
    density_globals,
    resolution_number,
)
from napari_nudiff.nuclei.instances import decode_instances, decode_official
from napari_nudiff.nuclei.layout import relabel_contiguous, remove_specks, smooth_outlines
from napari_nudiff.nuclei.stain import Style
from napari_nudiff.nuclei.structure import encode_structure, validate_layout
from napari_nudiff.synthesis.appearance import drawn_appearance
from napari_nudiff.synthesis.backoff import within_memory
from napari_nudiff.synthesis.canvas import CanvasNoise
from napari_nudiff.synthesis.device import resolve_device, resolve_precision
from napari_nudiff.synthesis.memory import KEPT_CONDITIONINGS
from napari_nudiff.synthesis.request import (
    EditRequest,
    LayoutRequest,
    RenderRequest,
    SynthesisRequest,
)
from napari_nudiff.synthesis.stain import StainMap
from napari_nudiff.synthesis.tiling import TiledDenoiser, Window, windows_over
from napari_nudiff.work import Progress, Work

_MIN_NUCLEUS_UM2 = 5.0

Request = TypeVar("Request", bound=SynthesisRequest)

Condition = Callable[[Window], Conditioning]
Estimates = Generator[tuple[int, Tensor], None, None]


def sample_layout(request: LayoutRequest) -> Work[Pair]:
    """Sample a layout of nuclei with a structure model.

    Where the memory is not enough, it is tried again with less (see `backoff`).

    Parameters
    ----------
    request : LayoutRequest

    Yields
    ------
    Progress
        After each step; with a note before it is tried again with less memory.

    Returns
    -------
    Pair
        Without an image. Its provenance has the request that succeeded.

    Raises
    ------
    RequestError, CheckpointError
    """
    return (yield from within_memory(_sampled, request, (request.height_px, request.width_px)))


def _sampled(request: LayoutRequest) -> Work[Pair]:
    yield Progress("load", 0, request.steps)
    checkpoint, model, request = prepared(request, "structure")
    request = _with_density(model, request)
    canvas = CanvasRun(model, request, (request.height_px, request.width_px))
    globals_ = layout_conditions(model, request)
    for step, x0 in canvas.sample(canvas.denoiser, lambda _: Conditioning(globals_=globals_)):
        yield Progress("sample", step + 1, request.steps, partial(structure_preview, x0))
    drawn = remove_specks(decoded(x0, model), request.min_nucleus_px or 0, keep_cut=True)
    labels = relabel_contiguous(smooth_outlines(drawn, request.smoothing_px))
    return Pair(Layout(labels), provenance=provenance_of("layout", request, checkpoint, labels))


def _with_density(model: Model, request: LayoutRequest) -> LayoutRequest:
    """A request that leaves the density open asks for that of a training field, by its seed."""
    if request.density is not None or model.bank is None:
        return request
    apart = (model.bank[:, 2] / (request.um_per_px or UM_PER_PX)).log2().abs()
    fields = model.bank[apart <= apart.min() + 0.1]
    random = torch.Generator().manual_seed(request.seed)
    density, size, _ = fields[int(torch.randint(len(fields), (), generator=random))].tolist()
    area_px = (size * SIZE_SCALE_PX) ** 2
    return replace(request, density=round(min(density, 0.9), 4), mean_area_px=round(area_px, 1))


def render(layout: Layout | NDArray[np.integer], request: RenderRequest) -> Work[Pair]:
    """Render an H&E image that fits a layout of nuclei.

    Where the memory is not enough, it is tried again with less (see `backoff`).

    Parameters
    ----------
    layout : Layout, or ndarray, (H, W), integer
        Instance labels, 0 = background; each side at least 64 px. Nuclei keep their classes.
    request : RenderRequest

    Yields
    ------
    Progress
        After each step; with a note before it is tried again with less memory.

    Returns
    -------
    Pair
        The image, the labels, and a provenance from which `replay.request_of` makes both again: it
        has the request that succeeded.

    Raises
    ------
    LayoutError, RequestError, CheckpointError
    """
    layout = layout if isinstance(layout, Layout) else Layout(layout)
    layout = replace(layout, labels=checked_layout(layout.labels))
    start = partial(_rendered, layout)
    return (yield from within_memory(start, request, layout.labels.shape))


def _rendered(layout: Layout, request: RenderRequest) -> Work[Pair]:
    labels = layout.labels.astype(np.int32, copy=False)
    yield Progress("load", 0, request.steps)
    checkpoint, model, request = prepared(request, "image")
    canvas = CanvasRun(model, request, labels.shape)
    structure = canvas.padded(torch.from_numpy(encode_structure(labels))[None])
    guided = Guided(canvas.denoiser, request.guidance, request.guidance_interval)
    stain = StainMap.into_range(request.style, request.stain_range)
    globals_ = image_conditions(model, request, stain.style)
    condition = render_conditioning(canvas.denoiser, structure, request, globals_)
    for step, x0 in canvas.sample(guided, condition):
        yield Progress("render", step + 1, request.steps, partial(image_of, x0, stain))
    provenance = provenance_of("render", request, checkpoint, labels)
    return Pair(layout, image_of(x0, stain), provenance=provenance)


def image_of(x0: Tensor, stain: StainMap) -> NDArray[np.uint8]:
    """The image that an estimate (3, H, W) on any device is, in the stain that was asked for."""
    return to_uint8(stain.carry_back(x0.float().cpu()))


def to_uint8(image: Tensor) -> NDArray[np.uint8]:
    """The core's image (3, H, W) on -1..1 as the world's (H, W, 3) uint8.

    Raises
    ------
    RequestError
        Its numbers are not finite; the bytes would be black.
    """
    scaled = ((_finite(image).float().cpu() + 1) * 127.5).round().clamp(0, 255)
    return scaled.to(torch.uint8).permute(1, 2, 0).numpy()


def _finite(drawn: Tensor) -> Tensor:
    if not bool(drawn.isfinite().all()):
        raise RequestError(
            "The model made numbers that are not finite, which no image has. Nothing was kept. Use "
            "another checkpoint, the precision fp32 or less guidance."
        )
    return drawn


class CanvasRun:
    """A padded canvas on a device, and the sampler's run over it.

    Parameters
    ----------
    model : Model
    request : SynthesisRequest
        With its device and precision decided, as `prepared` returns it.
    size : (int, int)
        Height and width in pixels.
    """

    def __init__(self, model: Model, request: SynthesisRequest, size: tuple[int, ...]) -> None:
        self.request = request
        self.size = size
        self.multiple = model.header.network.multiple_px
        self.device = torch.device(request.device)
        dtype = torch.bfloat16 if request.precision == "bf16" else torch.float32
        model.move_to(self.device)
        self.denoiser = model.denoiser(dtype, literal=request.literal)
        self.channels = model.header.network.in_channels
        self.full = tuple(self._rounded_up(side) for side in size)

    def _rounded_up(self, side: int) -> int:
        return -(-side // self.multiple) * self.multiple

    def padded(self, canvas: Tensor) -> Tensor:
        """Continue the edges of (1, C, H, W) to the multiple that the network needs."""
        down, right = (full - side for full, side in zip(self.full, self.size, strict=True))
        return F.pad(canvas, (0, right, 0, down), mode="replicate").to(self.device)

    def windowed(self, denoiser: Any, condition: Condition) -> TiledDenoiser:
        """A denoiser of the whole canvas, in windows where it is large."""
        height, width = self.full
        windows = windows_over(height, width, self.multiple, self.request.window_px)
        # Whoever asks for small windows is short of memory.
        kept = KEPT_CONDITIONINGS if self.request.window_px is None else 1
        return TiledDenoiser(denoiser, windows, condition, kept)

    def sample(self, denoiser: Any, condition: Condition) -> Estimates:
        """Yield each step's index and estimate of the clean canvas, (C, H, W) on the device."""
        height, width = self.full
        noise = CanvasNoise(self.request.seed, height, width, self.channels)
        sigmas = self.denoiser.sigmas(self.request.steps)
        x = noise.initial() * float(sigmas[0])
        return self.run(self.windowed(denoiser, condition), x, sigmas, noise)

    @torch.inference_mode()
    def run(self, denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: CanvasNoise) -> Estimates:
        """The same from any start: ``x`` (1, C, H, W) at the first of ``sigmas``."""
        x = x.to(self.device, memory_format=torch.channels_last)
        sampler = SAMPLERS[self.request.sampler]
        height, width = self.size
        steps = sampler(
            denoiser, x, sigmas, UNCONDITIONAL, lambda i: noise.at_step(i).to(self.device)
        )
        for step in steps:
            yield step.index, step.x0[0, :, :height, :width]


def render_conditioning(
    denoiser: NetworkDenoiser, structure: Tensor, request: RenderRequest, globals_: Tensor | None
) -> Condition:
    """Conditioning of a window: everything that depends on neither the noise nor the step."""

    def condition(window: Window) -> Conditioning:
        part = window.of(structure).contiguous(memory_format=torch.channels_last)
        null = None if request.guidance == 1 else denoiser.modulation(None, part)
        return Conditioning(denoiser.modulation(part), null, globals_)

    return condition


def prepared(request: Request, role: str) -> tuple[Checkpoint, Model, Request]:
    """The model of a request, and the request with everything that was left open decided."""
    checkpoint = find_checkpoint(request.checkpoint)
    if request.checkpoint_sha256 not in {"", checkpoint.sha256}:
        raise CheckpointError(
            f"The request was made with another version of {request.checkpoint} (sha256 "
            f"{request.checkpoint_sha256[:12]}..., here {checkpoint.sha256[:12]}...); its result "
            "cannot be made again with this one."
        )
    if checkpoint.role != role:
        raise CheckpointError(
            f"{request.checkpoint} is a {checkpoint.role} model; a {role} model is needed here."
        )
    device = resolve_device(request.device)
    model = load_model(request.checkpoint)
    decided = replace(
        request,
        checkpoint_sha256=checkpoint.sha256,
        device=str(device),
        precision=resolve_precision(request.precision, device),
    )
    if decided.um_per_px is None:
        decided = replace(decided, um_per_px=checkpoint.um_per_px)
    if isinstance(decided, LayoutRequest) and decided.min_nucleus_px is None:
        least_px = _MIN_NUCLEUS_UM2 / (decided.um_per_px or UM_PER_PX) ** 2
        decided = replace(decided, min_nucleus_px=min(round(least_px), 10_000))
    _check_resolution(decided, model, checkpoint)
    if isinstance(decided, RenderRequest) and not decided.stain_range:
        decided = replace(decided, stain_range=checkpoint.stain_low + checkpoint.stain_high)
    # That of an edit is seen in the image.
    if isinstance(decided, RenderRequest) and not isinstance(decided, EditRequest):
        decided = replace(decided, appearance=drawn_appearance(model, decided))
    return checkpoint, model, decided


def _check_resolution(request: SynthesisRequest, model: Model, checkpoint: Checkpoint) -> None:
    asked = request.um_per_px or checkpoint.um_per_px
    # A registry of a lab's own need not say what the file itself says.
    if not (model.header.network.has("resolution") or checkpoint.makes(asked)):
        raise RequestError(
            f"{checkpoint.name} makes images of {checkpoint.um_per_px:g} um per px only; "
            f"{asked:g} was asked for. Choose a model that knows several resolutions, or resample "
            "the layout."
        )


def checked_layout(labels: NDArray[np.integer]) -> NDArray[np.int32]:
    """A layout that can be rendered, as int32.

    Raises
    ------
    LayoutError
        It is no layout, or too small, or has ids that are too high.
    """
    labels = checked_ids(labels)
    require_sides(labels.shape)
    return labels


def require_sides(shape: tuple[int, ...]) -> None:
    """Refuse a layout, of a shape (H, W), that is too small to render."""
    if min(shape) < MIN_SIDE_PX:
        raise LayoutError(
            f"The layout is {shape[0]} x {shape[1]} px; each side must be at least "
            f"{MIN_SIDE_PX} px. Pad it or make a larger one."
        )


def checked_ids(labels: NDArray[np.integer]) -> NDArray[np.int32]:
    """A layout, or a part of one, as int32.

    Raises
    ------
    LayoutError
        It is no layout, or has ids that are too high.
    """
    labels = validate_layout(labels)
    if labels.max(initial=0) > np.iinfo(np.int32).max:
        raise LayoutError("The layout has ids above 2147483647. Relabel it from 1.")
    return labels.astype(np.int32)


def image_conditions(model: Model, request: RenderRequest, style: Style | None) -> Tensor | None:
    """What an image model is given about the whole image, as the network takes it.

    Parameters
    ----------
    model : Model
    request : RenderRequest
        Resolved.
    style : tuple of float or None
        Stain style; that of the request, brought into the model's range.

    Raises
    ------
    RequestError
        The model does not take what was asked for.
    """
    appearance = request.appearance or None
    return _conditions(model, request, {"style": style, "appearance": appearance})


def layout_conditions(model: Model, request: LayoutRequest) -> Tensor | None:
    """The same for a structure model: the density and size of nuclei that were asked for."""
    density = None
    if request.density is not None and request.mean_area_px is not None:
        density = density_globals(request.density, request.mean_area_px).tolist()
    return _conditions(model, request, {"density": density})


def _conditions(
    model: Model, request: SynthesisRequest, given: dict[str, Sequence[float] | None]
) -> Tensor | None:
    network = model.header.network
    for name, numbers in given.items():
        if numbers is None:
            continue
        if not network.has(name):
            raise RequestError(f"{request.checkpoint} takes no {name}. Leave it out.")
        if len(numbers) != CONDITIONS[name]:
            raise RequestError(
                f"{name} has {len(numbers)} numbers; {request.checkpoint} takes "
                f"{CONDITIONS[name]}. An appearance is of the model that made it; leave it out."
            )
    resolution = [resolution_number(request.um_per_px or UM_PER_PX)]
    values: list[float] = []
    for name in network.conditions:
        numbers = resolution if name == "resolution" else given.get(name)
        values += [math.nan] * CONDITIONS[name] if numbers is None else numbers
    return torch.tensor([values], device=request.device) if values else None


def decoded(structure: Tensor, model: Model) -> NDArray[np.int32]:
    """The nuclei of what a structure model drew, (3, H, W) on -1..1."""
    decode = decode_official if model.header.parametrisation == "eps" else decode_instances
    return decode(from_signed(_finite(structure)[None].float().cpu())[0].numpy())


def structure_preview(structure: Tensor) -> NDArray[np.uint8]:
    """The nuclei of a forming structure (3, H, W), white on black."""
    return to_uint8(structure[:1].expand(3, -1, -1))


def provenance_of(
    kind: str, request: SynthesisRequest, checkpoint: Checkpoint, labels: NDArray[np.int32]
) -> dict[str, Any]:
    """Everything needed to make a sample again, and what it is; JSON values."""
    if kind not in {"render", "edit"}:
        return origin_of(kind, request, checkpoint, Layout(labels).sha256())
    packed = pack_layout(labels)
    return origin_of(kind, request, checkpoint, packed["sha256"]) | {"layout": packed}


def origin_of(
    kind: str, request: SynthesisRequest, checkpoint: Checkpoint, fingerprint: str
) -> dict[str, Any]:
    """The same without the layout itself, of which the fingerprint is given."""
    return {
        "schema": SCHEMA,
        "kind": kind,
        "synthetic": True,
        "digital_source_type": "trainedAlgorithmicMedia",
        "request": request.to_dict(),
        "layout_sha256": fingerprint,
        "um_per_px": request.um_per_px,
        "checkpoint": {
            "name": checkpoint.name,
            "licence": checkpoint.licence,
            "training_data": checkpoint.training_data,
        },
        "software": {"napari-nudiff": __version__, "torch": torch.__version__},
    }
