"""What a run will take, before it is started: parameters, arithmetic, memory and time."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from napari_nudiff.diffusion.unet import UNet, UNetConfig
from napari_nudiff.training.config import TrainConfig
from napari_nudiff.training.engine import OneCall, arithmetic, make_accelerator
from napari_nudiff.training.tiles import LOOK_PX

_BACKWARD = 2  # the backward pass does about twice the work of the forward pass
_COPIES = 5  # weights, gradients, two moments of Adam, average
_TIMED_FLOPS = 1e12  # what is timed must not take long
_NARROW_CHANNELS = 64


@dataclass(frozen=True)
class StageEstimate:
    """What a stage will take.

    Attributes
    ----------
    flops_per_step : float
        Floating-point operations of one step, forward and backward.
    memory_bytes : int
        Weights, optimiser and activations, on each device.
    seconds : float
        Of the whole stage on this machine.
    """

    flops_per_step: float
    memory_bytes: int
    seconds: float


@dataclass(frozen=True)
class Estimate:
    """What a run will take.

    Attributes
    ----------
    parameters : int
    device : str
    flops_per_s : float
        Speed of this machine, timed on a crop.
    stages : tuple of StageEstimate
    """

    parameters: int
    device: str
    flops_per_s: float
    stages: tuple[StageEstimate, ...]

    @property
    def seconds(self) -> float:
        """Time of the whole run."""
        return sum(stage.seconds for stage in self.stages)


def estimate(config: TrainConfig) -> Estimate:
    """Estimate a run; nothing is written and no data is read.

    Operations and activations are counted on a network without memory; the speed is timed on one
    training crop, on a narrower network where the real one would take long.

    Raises
    ------
    RequestError
        The configuration makes no sense, or there is no such device here.
    """
    config.check()
    accelerator = make_accelerator(config)
    device, processes = accelerator.device, accelerator.num_processes
    parameters = _parameters(config.network)
    speed = _flops_per_s(config, device)
    stages = []
    for stage in config.stages:
        share = stage.batch_crops // (processes * config.accumulate)
        flops = _flops(config.network, stage.crop_px) * stage.batch_crops
        activations = _activation_bytes(config, stage.crop_px) * share
        memory = 4 * _COPIES * parameters + activations
        seconds = stage.steps * flops / (speed * processes)
        stages.append(StageEstimate(flops, memory, seconds))
    return Estimate(parameters, str(device), speed, tuple(stages))


def _parameters(network: UNetConfig) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in UNet(network).parameters())


def _flops(network: UNetConfig, crop_px: int) -> float:
    """Operations of one crop, forward and backward."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        _forward(network, crop_px, torch.device("meta"))
    return float((1 + _BACKWARD) * counter.get_total_flops())


def _activation_bytes(config: TrainConfig, crop_px: int) -> int:
    """What the forward pass of one crop keeps for the backward pass."""
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, torch.nn.Parameter):
            kept[tensor.untyped_storage()._cdata] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        out = _forward(config.network, crop_px, torch.device("meta"))
        del out
    half = 1 if config.precision == "fp32" else 2
    return sum(kept.values()) // half


def _flops_per_s(config: TrainConfig, device: torch.device) -> float:
    crop_px, network = config.stages[0].crop_px, config.network
    if device.type == "cpu" and _flops(network, crop_px) > _TIMED_FLOPS:
        # Wide layers are computed a little faster than narrow ones: this errs on the long side.
        network = replace(network, base_channels=_NARROW_CHANNELS)
    flops = _flops(network, crop_px)
    with torch.autocast(device.type, torch.float16, enabled=config.precision == "fp16"):
        unet = UNet(network).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        unet = OneCall(unet, arithmetic(config))
        best = min(_seconds(unet, crop_px, device) for _ in range(3))
    return flops / best


def _seconds(network: OneCall, crop_px: int, device: torch.device) -> float:
    start = time.perf_counter()
    out = _call(network, crop_px, device)
    out.float().square().mean().backward()  # type: ignore[no-untyped-call]
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _forward(network: UNetConfig, crop_px: int, device: torch.device) -> Tensor:
    with device:
        return _call(OneCall(UNet(network)), crop_px, device)


def _call(network: OneCall, crop_px: int, device: torch.device) -> Tensor:
    """One crop through a network."""
    c = network.unet.config
    x = torch.zeros(1, c.in_channels, crop_px, crop_px, device=device)
    x = x.contiguous(memory_format=torch.channels_last)
    cond = None
    if c.cond_channels:
        cond = x.new_zeros(1, c.cond_channels + c.null_token, crop_px, crop_px)
    numbers = x.new_zeros(1, c.global_channels)
    look = x.new_zeros(1, 3, LOOK_PX, LOOK_PX) if c.has("appearance") else None
    out: Tensor = network(x, x.new_zeros(1), cond, numbers, look)
    return out
