"""The training loop: a generator of progress that can be stopped, killed and resumed exactly.

Devices, processes and precision are accelerate's: the same code runs on a CPU, a GPU, several of
them or several machines (``accelerate launch``).
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from napari_nudiff.dataset.images import write_rgb
from napari_nudiff.dataset.pair import Pair
from napari_nudiff.dataset.pairs import load_layouts, load_pairs
from napari_nudiff.diffusion.unet import UNet
from napari_nudiff.diffusion.weights import Header, write_weights
from napari_nudiff.errors import DatasetError
from napari_nudiff.files import atomic_path
from napari_nudiff.training.bank import bank_of
from napari_nudiff.training.config import TrainConfig
from napari_nudiff.training.data import Batch, TrainingCrops
from napari_nudiff.training.ema import Ema
from napari_nudiff.training.engine import (
    OneCall,
    arithmetic,
    make_accelerator,
    make_network,
    make_optimizer,
    supply,
)
from napari_nudiff.training.objectives import diffusion_loss
from napari_nudiff.training.rates import learning_rate
from napari_nudiff.training.records import GRIDS, PLOT, Record, RunLog, plot_losses, read_log
from napari_nudiff.training.state import STATE, read_state, remove_leftovers, write_state
from napari_nudiff.training.validation import Validation
from napari_nudiff.work import Progress, Work


def train(config: TrainConfig, *, resume: bool = True) -> Work[None]:
    """Train a structure or an image model.

    Parameters
    ----------
    config : TrainConfig
    resume : bool
        Continue from ``<out>/state.pt`` where it exists.

    Yields
    ------
    Progress
        Every ``log_steps`` steps, at every checkpoint, with a note, and at the end; in the main
        process only, where there are several. `records.read_log` reads the numbers.

    Raises
    ------
    DatasetError
        The data cannot be used, or a file cannot be written.
    RequestError
        The configuration makes no sense, or does not fit the run that it resumes.
    """
    config.check()
    run = _Run(config, resume=resume)
    try:
        yield from run.steps()
    finally:
        run.close()


class _Run:
    """The network, its average, its optimiser and where they are on the disk."""

    def __init__(self, config: TrainConfig, *, resume: bool) -> None:
        self.config, self.out = config, Path(config.out)
        training, held_out = _load(config)
        _check_pairs(training, held_out, config)
        self.accelerator = make_accelerator(config)
        self.device: torch.device = self.accelerator.device
        self.crops = TrainingCrops(training, config)
        self.validation = Validation(held_out, training, config, self.device)
        self.unet = make_network(config).to(self.device)
        self.unet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ema = Ema(self.unet, config.ema_decay)
        whole = OneCall(self.unet, arithmetic(config))
        network = torch.compile(whole) if config.compile else whole
        self.network, self.optimizer = self.accelerator.prepare(
            network, make_optimizer(self.unet, config)
        )
        self.step, self.seconds = 0, 0.0
        # How the run was planned, and from which step on: plans may change when it is resumed.
        self.plans: list[dict[str, Any]] = []
        if resume:
            self._restore()
        self._plan()
        self.log = self._open_log()

    def steps(self) -> Work[None]:
        """Do the steps that are left."""
        config = self.config
        batches = supply(self.crops, config, self.step, self.accelerator)
        window = _Window()
        while self.step < config.steps:
            window.add(*self.advance(batches), config.stage_at(self.step - 1)[0].batch_crops)
            save = self.step % config.save_steps == 0 or self.step == config.steps
            if not save and self.step % config.log_steps:
                continue
            loss = self._mean(window)
            self.seconds += window.seconds
            if self.log is not None:
                yield self._written(loss, window, save=save)
            self.accelerator.wait_for_everyone()
            window = _Window()

    def advance(self, batches: Iterator[Batch]) -> tuple[Tensor, Tensor]:
        """Do one optimiser step; returns this process's loss, and the norm of the gradient."""
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(config, self.step)
        # What is random inside the network (dropout) must follow from the step too.
        torch.manual_seed(hash((config.seed, self.step, self.accelerator.process_index)))
        self.network.train()
        total = torch.zeros((), device=self.device)
        for part in range(config.accumulate):
            last = part == config.accumulate - 1
            with nullcontext() if last else self.accelerator.no_sync(self.network):
                loss = diffusion_loss(self.network, next(batches).to(self.device), config)
                self.accelerator.backward(loss / config.accumulate)
            total += loss.detach() / config.accumulate
        limit = config.gradient_clip or math.inf
        norm = self.accelerator.clip_grad_norm_(self.network.parameters(), limit)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.ema.update(self.unet, self.step)
        self.step += 1
        return total, norm

    def close(self) -> None:
        """Write what is still in memory, and let the other processes go."""
        if self.log is not None:
            self.log.close()

    def _mean(self, window: _Window) -> float:
        """Mean loss over all processes, which must be finite: before anything is saved."""
        loss = float(self.accelerator.reduce(torch.stack(window.losses).mean(), "mean"))
        # With fp16 a single gradient may overflow: such a step is left out.
        norms = torch.stack(window.norms)
        finite = self.config.precision == "fp16" or bool(norms.isfinite().all())
        if not (finite and math.isfinite(loss)):
            raise DatasetError(
                f"The training diverged at or before step {self.step}: loss {loss:.3g}, gradient "
                f"{float(norms.max()):.3g}. The last good state is {self.out / STATE}. Lower "
                "learning_rate, or use precision = 'fp32', and start again to go on from there."
            )
        return loss

    def _written(self, loss: float, window: _Window, *, save: bool) -> Progress:
        """Log a record and, where asked for, write a checkpoint."""
        assert self.log is not None
        held_out = self._validated() if save else None
        rate = learning_rate(self.config, self.step - 1)
        record = Record(
            self.step, loss, held_out, rate, window.crops / window.seconds, self.seconds
        )
        # First the log: of a run that is killed in between, the line is dropped and made again.
        self.log.add(record)
        if save:
            self._save()
            plot_losses(read_log(self.out), self.out / PLOT)
        return Progress(
            "training",
            self.step,
            self.config.steps,
            detail=f"loss {loss:.4f}, {record.crops_per_s:.3g} crops/s",
            note="" if held_out is None else f"step {self.step}: held-out loss {held_out:.4f}",
        )

    def _validated(self) -> float | None:
        with self.accelerator.autocast():
            return self.validation.loss(self.ema.network)

    def _save(self) -> None:
        """Write the state to resume from, the weights as checkpoints, and a sample grid."""
        scaler = self.accelerator.scaler
        values = {
            "step": self.step,
            "seconds": self.seconds,
            "plans": self.plans,
            "unet": self.unet.state_dict(),
            "ema": self.ema.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": scaler.state_dict() if scaler is not None else {},
        }
        write_state(self.out, self.config, values)
        self._write_weights(self.config.role, self.ema.network)
        if self.config.keep_raw:
            self._write_weights(f"{self.config.role}-raw", self.unet)
        with self.accelerator.autocast():
            grid = self.validation.grid(self.ema.network)
        write_rgb(self.out / GRIDS / f"{self.step:07d}.png", grid)
        assert self.log is not None
        self.log.add_picture(self.step, grid)

    def _write_weights(self, stem: str, unet: UNet) -> None:
        header = Header(self.config.role, self.config.network, self.config.objective, self._card())
        bank = bank_of(unet, self.crops.tiles)
        with atomic_path(self.out / f"{stem}.safetensors") as staged:
            write_weights(staged, unet, header, torch.float16, bank)

    def _card(self) -> dict[str, Any]:
        """How the weights were trained, for their header."""
        device = platform.processor() or platform.machine()
        if self.device.type == "cuda":
            device = torch.cuda.get_device_name(self.device)
        return {
            "plans": self.plans,
            "steps_done": self.step,
            "seconds": round(self.seconds),
            "hardware": f"{self.accelerator.num_processes} x {self.device.type} ({device})",
            "torch": torch.__version__,
            "images": sorted({pair.name for pair in self.crops.pairs}),
        }

    def _restore(self) -> None:
        state = read_state(self.out, self.config, self.device)
        if state is None:
            return
        self.unet.load_state_dict(state["unet"])
        self.ema.network.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.accelerator.scaler is not None and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])
        self.plans = state["plans"]

    def _plan(self) -> None:
        """Note the configuration where it is new; paths of this machine stay private."""
        plan = self.config.to_dict()
        plan |= {key: Path(plan[key]).name for key in ("out", "start_from")}
        plan["data"] = [Path(folder).name for folder in plan["data"]]
        if not self.plans or self.plans[-1]["config"] != plan:
            self.plans.append({"from_step": self.step, "config": plan})

    def _open_log(self) -> RunLog | None:
        if not self.accelerator.is_main_process:
            return None
        remove_leftovers(self.out)
        return RunLog(self.out, self.config, self.step)


class _Window:
    """What happened since the last record."""

    def __init__(self) -> None:
        self.losses: list[Tensor] = []
        self.norms: list[Tensor] = []
        self.crops = 0
        self._since = time.monotonic()

    @property
    def seconds(self) -> float:
        """Time since the last record."""
        return time.monotonic() - self._since

    def add(self, loss: Tensor, norm: Tensor, crops: int) -> None:
        """Note a step. Its numbers stay on the device: reading them would make it wait."""
        self.losses.append(loss)
        self.norms.append(norm)
        self.crops += crops


def _load(config: TrainConfig) -> tuple[list[Pair], list[Pair]]:
    """What to train on, and what is held out, of all folders."""
    load = load_pairs if config.role == "image" else load_layouts
    training: list[Pair] = []
    held_out: list[Pair] = []
    for folder in config.data:
        some, others = load(Path(folder), held_out=config.held_out)
        training += some
        held_out += others
    return training, held_out


def _check_pairs(training: list[Pair], held_out: list[Pair], config: TrainConfig) -> None:
    if not training:
        raise DatasetError(
            f"All {len(held_out)} images of {', '.join(config.data)} are held out; none is left to "
            "train on. "
            "Hold fewer out."
        )
    small = [p.name for p in training + held_out if min(p.labels.shape) < config.crop_px]
    if small:
        raise DatasetError(
            f"{len(small)} images are smaller than the training crop of {config.crop_px} px, for "
            f"example {small[0]}. Lower crop_px or leave them out."
        )
