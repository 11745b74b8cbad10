"""A run as text: how far it is, how it does and when it will be done."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from napari_nudiff.text import duration
from napari_nudiff.training.config import TrainConfig
from napari_nudiff.training.records import GRIDS, LOG, Record, read_config, read_log

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 60


@dataclass(frozen=True)
class RunStatus:
    """A running or finished run.

    Attributes
    ----------
    folder : Path
    config : TrainConfig
    records : list of Record
    quiet_s : float
        Time since the last record.
    """

    folder: Path
    config: TrainConfig
    records: list[Record]
    quiet_s: float

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return bool(self.records) and self.records[-1].step >= self.config.steps

    @property
    def eta_s(self) -> float:
        """Time that the rest will take at the present pace."""
        last = self.records[-1]
        rate = self.config.stage_at(last.step - 1)[0].batch_crops / last.crops_per_s
        return (self.config.steps - last.step) * rate


def read_run(folder: Path) -> RunStatus:
    """Look at a run from outside; it is not disturbed.

    Raises
    ------
    DatasetError
        The folder holds no run, or its log is damaged.
    """
    folder = Path(folder)
    config, records = read_config(folder), read_log(folder)
    log = folder / LOG
    quiet = max(time.time() - log.stat().st_mtime, 0.0) if log.exists() else 0.0
    return RunStatus(folder, config, records, quiet)


def describe_run(status: RunStatus) -> str:
    """A run in a few lines, with its losses as bars on a logarithmic scale."""
    config, records = status.config, status.records
    title = f"{status.folder}: {config.role} model"
    if not records:
        return f"{title}, no step logged yet"
    last = records[-1]
    lines = [
        f"{title}, step {last.step:,} of {config.steps:,} ({last.step / config.steps:.0%})",
        f"loss       {last.loss:.5f}  {bars([r.loss for r in records])}",
    ]
    held_out = [r.held_out_loss for r in records if r.held_out_loss is not None]
    if held_out:
        lines.append(f"held out   {held_out[-1]:.5f}  {bars(held_out)}")
    lines.append(
        f"{last.crops_per_s:.3g} crops/s, learning rate {last.learning_rate:.2g}, "
        f"{duration(last.seconds)} trained, {_what_now(status)}"
    )
    grids = sorted((status.folder / GRIDS).glob("*.png"))
    if grids:
        lines.append(f"real beside synthetic: {grids[-1]}")
    return "\n".join(lines)


def bars(values: Sequence[float], width: int = _WIDTH) -> str:
    """Numbers as a row of bars on a logarithmic scale, averaged where there are many."""
    n = min(len(values), width)
    edges = [round(i * len(values) / n) for i in range(n + 1)]
    means = [math.fsum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    logs = [math.log(max(mean, 1e-12)) for mean in means]
    low, span = min(logs), max(logs) - min(logs) or 1.0
    return "".join(_BARS[round((v - low) / span * (len(_BARS) - 1))] for v in logs)


def _what_now(status: RunStatus) -> str:
    if status.finished:
        return "finished"
    # Four records' time without a new one: validation at a checkpoint takes its time too.
    last = status.records[-1]
    stage = status.config.stage_at(last.step - 1)[0]
    usual = status.config.log_steps * stage.batch_crops / last.crops_per_s
    if status.quiet_s > max(4 * usual, 120):
        return f"silent for {duration(status.quiet_s)}: stopped? (the same command goes on)"
    return f"{duration(status.eta_s)} left"
