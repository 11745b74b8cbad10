"""Counting what a network allocates, without allocating it."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from napari_nudiff.diffusion.fused import FusedUNet
from napari_nudiff.diffusion.unet import UNet, UNetConfig
from napari_nudiff.synthesis.memory import Footprint

_SIDE_PX = 256


def measure_footprint(config: UNetConfig) -> Footprint:
    """Count a network's memory in float32 on the meta device: no arithmetic, no memory.

    Parameters
    ----------
    config : UNetConfig
    """
    area = _SIDE_PX**2
    with torch.device("meta"), torch.no_grad():
        unet = UNet(config).eval()
        structure = torch.zeros(1, max(config.cond_channels, 1), _SIDE_PX, _SIDE_PX)
        x, t = torch.zeros(1, config.in_channels, _SIDE_PX, _SIDE_PX), torch.zeros(1)
        with _Allocations() as allocations:
            fused = FusedUNet(unet)
            kept = fused.modulation(structure)
            kept_bytes = allocations.live_bytes
            fused.decode(fused.encode(x, t, None, kept), kept)
    weights_bytes = sum(parameter.nbytes for parameter in unet.parameters())
    active_bytes = allocations.peak_bytes - kept_bytes
    return Footprint(weights_bytes, active_bytes / area, kept_bytes / area)


class _Allocations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all tensors made inside it that are alive."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live_bytes = self.peak_bytes = 0
        self._alive: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size_bytes = storage._cdata, storage.nbytes()
        if key not in self._alive:
            self._alive.add(key)
            self.live_bytes += size_bytes
            self.peak_bytes = max(self.peak_bytes, self.live_bytes)
            weakref.finalize(storage, self._forget, key, size_bytes)

    def _forget(self, key: int, size_bytes: int) -> None:
        self._alive.discard(key)
        self.live_bytes -= size_bytes
