"""Where to compute, in which precision, and how much memory is left there."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import torch

from napari_nudiff.checkpoints.cache import read_json, write_json
from napari_nudiff.errors import CheckpointError, RequestError

_WORTH_IT = 1.3  # bf16 must be this much faster than float32 to be chosen
_ANSWERS = "precision.json"
_MEMINFO = Path("/proc/meminfo")


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


@contextmanager
def using_threads(count: int | None) -> Iterator[None]:
    """Compute in so many threads of the CPU; None = as it is.

    Sums of several threads differ in the last digit with their number, and so do images, by a grey
    level here and there.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def resolve_precision(name: str, device: torch.device) -> str:
    """Precision that a request means; "auto" is bf16 where it is clearly faster here."""
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if device.type == "cpu" and _bf16_is_faster() else "fp32"


@cache
def _bf16_is_faster() -> bool:
    """Whether this CPU computes bf16 clearly faster than float32.

    Many CPUs only emulate bf16, several times slower than float32, and nothing announces it
    reliably; so it is measured. The answer is kept in the cache folder: the same request must give
    the same bytes tomorrow, however busy the machine is.
    """
    key = f"{platform.node()} torch {torch.__version__}"
    try:
        known = read_json(_ANSWERS, dict)
    except CheckpointError:
        known = {}
    if key not in known:
        known[key] = _bf16_gain() >= _WORTH_IT
        with suppress(CheckpointError):  # a cache that cannot be written costs only time
            write_json(_ANSWERS, known)
    return bool(known[key])


def _bf16_gain() -> float:
    """How many times faster a typical convolution runs in bf16."""
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        weight = torch.zeros(96, 96, 3, 3, dtype=dtype).to(memory_format=torch.channels_last)
        x = torch.zeros(1, 96, 96, 96, dtype=dtype).to(memory_format=torch.channels_last)
        seconds[dtype] = _seconds(x, weight)
    return seconds[torch.float32] / seconds[torch.bfloat16]


@torch.inference_mode()
def _seconds(x: torch.Tensor, weight: torch.Tensor) -> float:
    """Shortest of many runs, in this thread's own time: other programs do not count."""
    times = []
    for _ in range(20):
        start = time.thread_time()
        torch.nn.functional.conv2d(x, weight, padding=1)
        times.append(time.thread_time() - start)
    return min(times)


def available_bytes(device: torch.device) -> int | None:
    """Memory that a device could still give; None where it is unknown (MPS; CPU outside Linux)."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + unused)
    return _available_ram_bytes() if device.type == "cpu" else None


def _available_ram_bytes() -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in _MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None
