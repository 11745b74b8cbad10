"""The training loop: a generator of progress that can be stopped and resumed exactly."""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from napari_nudiff.dataset.images import write_rgb
from napari_nudiff.dataset.pairs import Pair, load_pairs
from napari_nudiff.diffusion.denoiser import to_signed
from napari_nudiff.diffusion.schedules import COMPACT_SHIFT, cosine_sigma, sigma_to_abar
from napari_nudiff.diffusion.unet import UNet
from napari_nudiff.diffusion.weights import Header, write_weights
from napari_nudiff.errors import DatasetError, RequestError
from napari_nudiff.files import atomic_path
from napari_nudiff.training.config import TrainConfig
from napari_nudiff.training.data import Batch, sample_batch
from napari_nudiff.training.ema import Ema
from napari_nudiff.training.grid import sample_grid

_HELD_OUT_SEED = 99_991
_GRID_CROPS = 6


@dataclass(frozen=True)
class TrainProgress:
    """State of a run after a step.

    Attributes
    ----------
    step : int
        Steps done.
    steps : int
        Steps of the whole run.
    loss : float
        Mean loss since the last report.
    held_out_loss : float or None
        Loss of the averaged network on fixed held-out crops, where it was computed.
    crops_per_s : float
    saved : bool
        Whether a checkpoint was just written.
    """

    step: int
    steps: int
    loss: float
    held_out_loss: float | None
    crops_per_s: float
    saved: bool


def train(config: TrainConfig, *, resume: bool = True) -> Iterator[TrainProgress]:
    """Train a structure or an image model.

    Parameters
    ----------
    config : TrainConfig
    resume : bool
        Continue from ``<out>/state.pt`` where it exists.

    Yields
    ------
    TrainProgress
        Every ``log_steps`` steps, at every checkpoint and at the end.

    Raises
    ------
    DatasetError
        The data cannot be used.
    RequestError
        The configuration makes no sense.
    """
    run = _Run(config)
    if resume:
        run.restore()
    losses: list[float] = []
    since = time.monotonic()
    while run.step < config.steps:
        losses.append(run.advance())
        save = run.step % config.save_steps == 0 or run.step == config.steps
        if not save and run.step % config.log_steps:
            continue
        held_out = run.held_out_loss() if save else None
        if save:
            run.save()
        rate = len(losses) * config.batch_crops / (time.monotonic() - since)
        progress = TrainProgress(
            run.step, config.steps, sum(losses) / len(losses), held_out, rate, save
        )
        run.log(progress)
        yield progress
        losses, since = [], time.monotonic()


def learning_rate(config: TrainConfig, step: int) -> float:
    """Learning rate at a step: linear warm-up, constant, linear decay at the end."""
    warmup = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    done = step / config.steps
    decay = max(0.0, (done - config.decay_from) / max(1 - config.decay_from, 1e-9))
    return config.learning_rate * warmup * (1 - decay * (1 - config.decay_to))


def diffusion_loss(
    unet: UNet, batch: Batch, config: TrainConfig, generator: torch.Generator
) -> Tensor:
    """Weighted v-prediction loss of one batch.

    Salimans and Ho 2022 for v; the weight min(SNR, 5) / (SNR + 1) + 0.05 is min-SNR-5 (Hang et al.
    2023, arXiv 2303.09556) for v, with a floor that keeps the coarsest noise trained.
    """
    target, structure, globals_ = _hidden(batch, config, generator)
    n = len(target)
    u = (torch.arange(n) + torch.rand(n, generator=generator)) / n  # stratified
    u = u[torch.randperm(n, generator=generator)].clamp(1e-4, 1 - 1e-4)
    noise = torch.randn(target.shape, generator=generator)
    abar = sigma_to_abar(cosine_sigma(u.double(), COMPACT_SHIFT)).float().view(n, 1, 1, 1)
    noisy = abar.sqrt() * target + (1 - abar).sqrt() * noise
    v = abar.sqrt() * noise - (1 - abar).sqrt() * target
    device = next(unet.parameters()).device
    noisy = noisy.to(device, memory_format=torch.channels_last)
    modulation = None
    if config.network.cond_channels:
        modulation = unet.modulation_from(structure.to(device))
    out = unet(noisy, (1000 * u).to(device), modulation, globals_.to(device))
    snr = (abar / (1 - abar)).view(n)
    weight = snr.clamp(max=5) / (snr + 1) + 0.05
    error = (out.float() - v.to(device)).square().mean(dim=(1, 2, 3))
    loss: Tensor = (weight.to(device) * error).mean()
    return loss


def _hidden(
    batch: Batch, config: TrainConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Target, condition with its null token, and globals; some of each hidden at random."""
    n = len(batch.image)
    is_image = config.role == "image"
    target = batch.image if is_image else to_signed(batch.structure)
    told = (torch.rand(n, generator=generator) >= config.drop_structure).float().view(n, 1, 1, 1)
    structure = torch.cat([batch.structure, torch.ones_like(batch.structure[:, :1])], dim=1) * told
    globals_ = (batch.style if is_image else batch.density).clone()
    globals_[torch.rand(n, generator=generator) < config.drop_globals] = torch.nan
    return target, structure, globals_


class _Run:
    """The network, its average, its optimiser and where they are on the disk."""

    def __init__(self, config: TrainConfig) -> None:
        if config.steps < 1 or config.batch_crops < 1:
            raise RequestError("A training run needs at least one step and one crop per batch.")
        self.config = config
        self.out = Path(config.out)
        self.pairs, self.held_out = load_pairs(Path(config.data), held_out=config.held_out)
        _check_sizes(self.pairs + self.held_out, config.crop_px)
        self.device = _device(config.device)
        torch.manual_seed(config.seed)
        self.unet = UNet(config.network).to(self.device)
        self.unet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ema = Ema(self.unet, config.ema_decay)
        self.optimizer = torch.optim.AdamW(
            self.unet.parameters(),
            lr=config.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.step = 0

    def advance(self) -> float:
        """Do one optimiser step; everything random in it follows from the seed and the step."""
        config = self.config
        batch = sample_batch(
            self.pairs,
            config.batch_crops,
            config.crop_px,
            (config.seed, self.step),
            config.stain_jitter,
        )
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(config, self.step)
        self.unet.train()
        with self._precision():
            loss = diffusion_loss(self.unet, batch, config, self._generator(self.step))
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.unet.parameters(), config.gradient_clip)
        if not math.isfinite(float(norm)):
            raise DatasetError(
                f"The gradient became {float(norm)} at step {self.step}; the last checkpoint is "
                f"{self.out / 'state.pt'}. Lower learning_rate or use precision = 'fp32'."
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.ema.update(self.unet, self.step)
        self.step += 1
        return float(loss.detach())

    @torch.no_grad()
    def held_out_loss(self, batches: int = 4) -> float | None:
        """Loss of the averaged network on fixed crops of the held-out images."""
        if not self.held_out:
            return None
        total = 0.0
        for i in range(batches):
            seed = (_HELD_OUT_SEED, i)
            batch = sample_batch(self.held_out, 16, self.config.crop_px, seed)
            with self._precision():
                generator = self._generator(_HELD_OUT_SEED + i)
                total += float(diffusion_loss(self.ema.network, batch, self.config, generator))
        return total / batches

    def save(self) -> None:
        """Write the state to resume from, and the averaged weights as a checkpoint."""
        state = {
            "step": self.step,
            "unet": self.unet.state_dict(),
            "ema": self.ema.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        with atomic_path(self.out / "state.pt") as temporary:
            torch.save(state, temporary)
        card = {"training": self.config.to_dict(), "steps_done": self.step}
        header = Header(self.config.role, self.config.network, "v", card)
        with atomic_path(self.out / f"{self.config.role}.safetensors") as temporary:
            write_weights(temporary, self.ema.network, header, torch.float16)
        shown = self.held_out or self.pairs
        batch = sample_batch(shown, _GRID_CROPS, self.config.crop_px, (_HELD_OUT_SEED,))
        with self._precision():
            grid = sample_grid(self.ema.network, self.config.role, batch)
        write_rgb(self.out / "grids" / f"{self.step:07d}.png", grid)

    def restore(self) -> None:
        """Continue from the last saved state, if there is one."""
        path = self.out / "state.pt"
        if not path.exists():
            return
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.unet.load_state_dict(state["unet"])
        self.ema.network.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = int(state["step"])

    def log(self, progress: TrainProgress) -> None:
        """Append a line to the loss log."""
        path = self.out / "loss.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if fresh:
                (self.out / "config.json").write_text(json.dumps(self.config.to_dict(), indent=1))
                writer.writerow(["step", "loss", "held_out_loss", "crops_per_s"])
            held_out = "" if progress.held_out_loss is None else f"{progress.held_out_loss:.5f}"
            writer.writerow(
                [progress.step, f"{progress.loss:.5f}", held_out, f"{progress.crops_per_s:.1f}"]
            )

    def _precision(self) -> AbstractContextManager[object]:
        if self.config.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def _generator(self, step: int) -> torch.Generator:
        return torch.Generator().manual_seed(self.config.seed * 1_000_003 + step)


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _check_sizes(pairs: list[Pair], crop_px: int) -> None:
    small = [p.stem for p in pairs if min(p.labels.shape) < crop_px]
    if small:
        raise DatasetError(
            f"{len(small)} images are smaller than the training crop of {crop_px} px, for example "
            f"{small[0]}. Lower crop_px or leave them out."
        )
