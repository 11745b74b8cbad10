"""Where the memory is not enough: the same work again, with less."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TypeVar

import torch

from napari_nudiff.checkpoints import find_checkpoint, load_model, unload_models
from napari_nudiff.checkpoints.cache import cache_folder
from napari_nudiff.dataset.pair import Pair
from napari_nudiff.errors import RequestError, is_out_of_memory
from napari_nudiff.synthesis.device import available_bytes, resolve_device, resolve_precision
from napari_nudiff.synthesis.footprint import measure_footprint
from napari_nudiff.synthesis.memory import (
    estimate_bytes,
    is_measured,
    remember_footprint,
    window_side_px,
)
from napari_nudiff.synthesis.request import RenderRequest, SynthesisRequest
from napari_nudiff.text import memory_text
from napari_nudiff.work import Progress, Work

_LEAST_WINDOW_PX = 64

Request = TypeVar("Request", bound=SynthesisRequest)


def within_memory(
    start: Callable[[Request], Work[Pair]], request: Request, shape: tuple[int, ...]
) -> Work[Pair]:
    """Do work; where the memory is not enough, again in smaller windows, then in bf16.

    `pipeline.render` and `pipeline.sample_layout` go through here, and with them all who call them.

    Parameters
    ----------
    start : callable
        Starts the work of a request.
    request : SynthesisRequest
    shape : (int, int)
        Height and width of the canvas.

    Yields
    ------
    Progress
        Those of the work. One with a note goes before each further attempt, which begins anew.

    Returns
    -------
    Pair
        Its provenance has the request that succeeded.

    Raises
    ------
    RequestError
        The memory is not enough even so.
    NudiffError
        Whatever the work raises.
    """
    tried = request
    for attempt, note in _attempts(request, shape):
        tried = attempt
        if note:
            _free_memory()
            yield Progress("load", 0, attempt.steps, note=note)
        try:
            sample = yield from start(attempt)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        else:
            _remember_footprint(attempt.checkpoint, cache_folder())
            return sample
    _free_memory()
    raise RequestError(_defeat(tried, shape))


def _attempts(request: Request, shape: tuple[int, ...]) -> Iterator[tuple[Request, str]]:
    """The request as it is, then with less and less, and what to tell of it."""
    height, width = shape
    window = window_side_px(max(shape), request.window_px)
    half = max(-(-window // 128) * 64, _LEAST_WINDOW_PX)
    device = resolve_device(request.device)
    # Where memory is overcommitted, nobody says no: the system ends the whole program instead.
    is_hopeless = half < window and not _fits(request, shape, device)
    if not is_hopeless:
        yield request, ""
    if half < window:
        lack, needed = "is not" if is_hopeless else "was not", _needed(request, shape)
        request = replace(request, window_px=half)
        yield (
            request,
            f"There {lack} enough memory for {height} x {width} px in windows of {window} px "
            f"({needed}): now in windows of {half} px. This takes longer.",
        )
    if device.type != "mps" and resolve_precision(request.precision, device) != "bf16":
        yield (
            replace(request, precision="bf16"),
            "There was still not enough memory: now with numbers of half the size (bf16), too.",
        )


def _fits(request: SynthesisRequest, shape: tuple[int, ...], device: torch.device) -> bool:
    available = available_bytes(device)
    return available is None or _needed_bytes(request, shape) <= available


def _defeat(tried: SynthesisRequest, shape: tuple[int, ...]) -> str:
    height, width = shape
    return (
        f"There is not enough memory on {resolve_device(tried.device)} for {height} x {width} px, "
        f"not even in windows of {window_side_px(max(shape), tried.window_px)} px and with numbers "
        f"of half the size: {_needed(tried, shape)} is needed. Nothing was changed. Close other "
        "programs, use a smaller layout, or choose the CPU as the device."
    )


def _needed(request: SynthesisRequest, shape: tuple[int, ...]) -> str:
    return memory_text(_needed_bytes(request, shape))


def _needed_bytes(request: SynthesisRequest, shape: tuple[int, ...]) -> int:
    precision = resolve_precision(request.precision, resolve_device(request.device))
    height, width = shape
    return estimate_bytes(
        find_checkpoint(request.checkpoint),
        height,
        width,
        guided=isinstance(request, RenderRequest) and request.guidance != 1,
        bf16=precision == "bf16",
        window_px=request.window_px,
    )


def _free_memory() -> None:
    """Let go of everything that can be had again: the tensors of what failed, and other models."""
    unload_models()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


@cache  # a folder that cannot be written to is not tried again for each of a thousand images
def _remember_footprint(name: str, folder: Path) -> None:
    """Count what the network took, for better estimates the next time; kept in the cache folder."""
    checkpoint = find_checkpoint(name)
    if is_measured(checkpoint):
        return
    with suppress(RuntimeError, NotImplementedError):  # an estimate is not worth a render
        config = load_model(name).header.network
        remember_footprint(checkpoint, measure_footprint(config))
