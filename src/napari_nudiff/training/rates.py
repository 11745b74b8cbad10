"""The learning rate of every step."""

from __future__ import annotations

import math

from napari_nudiff.training.config import Stage, TrainConfig


def learning_rate(config: TrainConfig, step: int) -> float:
    """Learning rate at a step of a run."""
    stage, step = config.stage_at(step)
    return stage.learning_rate * _SCHEDULES[stage.schedule](stage, step)


def _constant(stage: Stage, step: int) -> float:
    """Linear warm-up, then constant."""
    return min(1.0, (step + 1) / max(stage.warmup_steps, 1))


def _decay(stage: Stage, step: int) -> float:
    """Linear warm-up, constant, linear decay at the end."""
    fallen = (step / stage.steps - stage.decay_from) / max(1 - stage.decay_from, 1e-9)
    return _constant(stage, step) * (1 - max(0.0, fallen) * (1 - stage.decay_to))


def _restarts(stage: Stage, step: int) -> float:
    """Cycles of linear warm-up from 0 and cosine to 0, as the authors train the image model."""
    step %= stage.cycle_steps
    if step < stage.warmup_steps:
        return step / stage.warmup_steps
    done = (step - stage.warmup_steps) / max(stage.cycle_steps - stage.warmup_steps, 1)
    return (1 + math.cos(math.pi * done)) / 2


_SCHEDULES = {"constant": _constant, "decay": _decay, "restarts": _restarts}
