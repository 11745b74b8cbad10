"""Where to compute, and in which precision."""

from __future__ import annotations

import time
from functools import cache

import torch

from napari_nudiff.errors import RequestError

_WORTH_IT = 1.3  # bf16 must be this much faster than float32 to be chosen


def resolve_device(name: str) -> torch.device:
    """The device that a request means; "auto" is the fastest kind that there is.

    Raises
    ------
    RequestError
        There is no such device on this machine.
    """
    mps = torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if mps else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise RequestError(f"device is {name!r}; expected auto, cpu, cuda or mps.") from error
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(mps)}.get(device.type, 0)
    if (device.index or 0) >= count:
        raise RequestError(f"There is no device {name!r} on this machine. Use auto or cpu.")
    return device


def resolve_precision(name: str, device: torch.device) -> str:
    """Precision that a request means; "auto" is bf16 where it is clearly faster here."""
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if device.type == "cpu" and _bf16_gain() >= _WORTH_IT else "fp32"


@cache
def _bf16_gain() -> float:
    """How many times faster a typical convolution runs in bf16 on this CPU.

    Many CPUs only emulate bf16, several times slower than float32, and nothing announces it
    reliably; so a convolution is timed once per process.
    """
    times = {}
    for dtype in (torch.float32, torch.bfloat16):
        weight = torch.zeros(96, 96, 3, 3, dtype=dtype).to(memory_format=torch.channels_last)
        x = torch.zeros(1, 96, 96, 96, dtype=dtype).to(memory_format=torch.channels_last)
        times[dtype] = _seconds(x, weight)
    return times[torch.float32] / times[torch.bfloat16]


@torch.inference_mode()
def _seconds(x: torch.Tensor, weight: torch.Tensor) -> float:
    """Shortest of a few runs; the first, which sets things up, does not count."""
    times = []
    for _ in range(6):
        start = time.perf_counter()
        torch.nn.functional.conv2d(x, weight, padding=1)
        times.append(time.perf_counter() - start)
    return min(times[1:])
