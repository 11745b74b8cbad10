"""What a run computes with: accelerate, the network, its optimiser and the supply of crops."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.data import DataLoader

from napari_nudiff.checkpoints import load_model
from napari_nudiff.diffusion.unet import UNet
from napari_nudiff.errors import RequestError
from napari_nudiff.training.config import TrainConfig
from napari_nudiff.training.data import Batch, CropKeys, TrainingCrops
from napari_nudiff.training.transfer import take_weights

if TYPE_CHECKING:
    from accelerate import Accelerator

# bf16 needs no scaling of gradients, and less memory traffic without autocast: see OneCall.
_MIXED = {"fp32": "no", "bf16": "no", "fp16": "fp16"}


class OneCall(nn.Module):
    """A `UNet` whose forward pass includes the structure's and the look's: for DDP and compile.

    Parameters
    ----------
    unet : UNet
        Its weights stay in float32.
    dtype : torch.dtype
        Precision of feature maps and convolutions.
    """

    def __init__(self, unet: UNet, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.unet = unet
        self._whole = _Whole(unet)
        self._dtype = dtype
        low = (nn.Conv1d, nn.Conv2d, nn.GroupNorm)
        self._low = {
            f"{name}.{own}": value
            for name, module in self._whole.named_modules()
            if isinstance(module, low) and dtype != torch.float32
            for own, value in module.named_parameters(recurse=False)
        }

    def forward(
        self, x: Tensor, t: Tensor, cond: Tensor | None, numbers: Tensor, look: Tensor | None
    ) -> Tensor:
        """Output of the network for a condition that carries its null token."""
        x = x.to(self._dtype)
        cond, look = (v if v is None else v.to(self._dtype) for v in (cond, look))
        # Each weight is cast once a step, and its gradient comes back in float32.
        low = {name: value.to(self._dtype) for name, value in self._low.items()}
        out: Tensor = functional_call(self._whole, low, (x, t, cond, numbers, look))
        return out


class _Whole(nn.Module):
    def __init__(self, unet: UNet) -> None:
        super().__init__()
        self.unet = unet

    def forward(
        self, x: Tensor, t: Tensor, cond: Tensor | None, numbers: Tensor, look: Tensor | None
    ) -> Tensor:
        modulation = None if cond is None else self.unet.modulation_from(cond)
        if look is not None:
            # A look that is hidden is NaN; its code must not be: NaN times 0 is NaN in a gradient.
            given = ~look[:, 0, 0, 0].isnan()[:, None]
            code = self.unet.appearance(look.nan_to_num())
            width = code.shape[1]
            code = torch.where(given, code, torch.nan)
            numbers = torch.cat([numbers[:, :-width], code], dim=1)
        out: Tensor = self.unet(x, t, modulation, numbers if numbers.shape[1] else None)
        return out


def arithmetic(config: TrainConfig) -> torch.dtype:
    """Precision of the network's feature maps; that of fp16 is autocast's."""
    return torch.bfloat16 if config.precision == "bf16" else torch.float32


def make_accelerator(config: TrainConfig) -> Accelerator:
    """Devices, processes and precision of a run.

    Raises
    ------
    RequestError
        accelerate is not installed, or there is no such device or precision here, or the batch
        cannot be shared among the processes.
    """
    try:
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState
    except ImportError as error:
        raise RequestError(
            "Training needs the package accelerate. Install it with "
            "`pip install 'napari-nudiff[train]'`; nothing was started."
        ) from error
    # accelerate remembers the precision of an earlier run in this process and refuses another.
    AcceleratorState._reset_state()
    accelerator = Accelerator(
        cpu=config.device == "cpu",
        mixed_precision=_MIXED[config.precision],
        step_scheduler_with_optimizer=False,
    )
    _check_device(config, accelerator.device)
    _check_shares(config, accelerator.num_processes)
    return accelerator


def make_network(config: TrainConfig) -> UNet:
    """The network at the start of a run: random, or that of ``config.start_from``.

    Raises
    ------
    CheckpointError
        There is no such checkpoint.
    RequestError
        Its network is another one.
    """
    torch.manual_seed(config.seed)
    unet = UNet(config.network)
    if config.start_from:
        take_weights(unet, load_model(config.start_from).unet, config.start_from)
    return unet


def make_optimizer(unet: UNet, config: TrainConfig) -> torch.optim.Optimizer:
    """The optimiser of a run."""
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(
        unet.parameters(),
        lr=config.stages[0].learning_rate,
        betas=config.betas,
        weight_decay=config.weight_decay,
        fused=True,
    )


def supply(
    crops: TrainingCrops, config: TrainConfig, step: int, accelerator: Accelerator
) -> Iterator[Batch]:
    """The batches of this process from a step on, prepared ahead by worker processes."""
    cuda = accelerator.device.type == "cuda"
    workers = config.workers
    if workers < 0:
        # On a CPU the network needs the cores itself.
        workers = min(os.cpu_count() or 1, 16) if cuda else 0
    keys = CropKeys(config, step, accelerator.process_index, accelerator.num_processes)
    loader = DataLoader(
        crops,
        batch_sampler=keys,
        collate_fn=Batch.stack,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=cuda,
    )
    return cast(Iterator[Batch], iter(loader))


def _check_device(config: TrainConfig, device: torch.device) -> None:
    if config.device not in ("auto", device.type):
        raise RequestError(
            f"There is no device {config.device!r} for training here, only {device.type!r}. Use "
            "auto, or cpu; nothing was started."
        )
    if config.precision == "fp16" and device.type == "cpu":
        raise RequestError("precision = 'fp16' needs a GPU. Use bf16 or fp32 on a CPU.")


def _check_shares(config: TrainConfig, processes: int) -> None:
    parts = processes * config.accumulate
    for stage in config.stages:
        if stage.batch_crops % parts:
            raise RequestError(
                f"A batch of {stage.batch_crops} crops cannot be shared evenly by {processes} "
                f"processes x accumulate = {config.accumulate}; the result would not be that of "
                "one process. Change batch_crops, accumulate or the number of processes."
            )
