"""Is the supply of crops ever the bottleneck of training, and what do precision and compile bring?

Interleaved in one process: how fast crops are prepared by 0, 1 and more workers, how fast the
network learns from a batch that is there already, and how fast it learns with its supply.

    python benchmarks/training.py --data FOLDER [--role image] [--runs 3] [--batches 20]
        [--device auto] [--json OUT]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import torch

from napari_nudiff.dataset.pairs import load_pairs
from napari_nudiff.training.config import TrainConfig, recipe
from napari_nudiff.training.data import Batch, TrainingCrops, draw_batch
from napari_nudiff.training.engine import supply
from napari_nudiff.training.loop import _Run


def main() -> None:
    """Measure every variant in turn, print a table of medians."""
    args = _arguments()
    config = recipe(args.role).with_overrides(data=(str(args.data),), device=args.device)
    stage = replace(config.stages[-1], batch_crops=args.batch_crops, steps=10**6)
    config = replace(config, stages=(stage,), out=str(args.out))
    variants = _variants(config, args.batches)
    rates: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(args.runs):
        for name, run in variants.items():
            crops = args.batches * stage.batch_crops
            rates[name].append(crops / run())
    rows = {name: statistics.median(values) for name, values in rates.items()}
    for name, rate in rows.items():
        print(f"{name:<44}{rate:>10.1f} crops/s")
    if args.json:
        args.json.write_text(json.dumps({"crop_px": stage.crop_px, **rows}, indent=1))


def _variants(config: TrainConfig, batches: int) -> dict[str, Callable[[], float]]:
    run = _Run(config, resume=False)
    pairs, _ = load_pairs(Path(config.data), held_out=config.held_out)
    crops = TrainingCrops(pairs, config)
    ready = draw_batch(crops, 0, config.stages[0].batch_crops).to(run.device)
    cores = os.cpu_count() or 1

    def prepare(workers: int) -> float:
        source = supply(crops, replace(config, workers=workers), 0, run.accelerator)
        next(source)  # the workers have started
        return _seconds(lambda: next(source), batches, run.device)

    def learn(source: Iterator[Batch]) -> float:
        run.advance(source)
        return _seconds(lambda: run.advance(source), batches, run.device)

    variants: dict[str, Callable[[], float]] = {
        f"crops prepared by {workers or 'the same process'}": lambda w=workers: prepare(w)  # type: ignore[misc]
        for workers in sorted({0, 1, cores})
    }
    variants["learning from a batch that is there"] = lambda: learn(repeat(ready))
    variants["learning with its supply, as it is trained"] = lambda: learn(
        supply(crops, config, 0, run.accelerator)
    )
    return variants


def _seconds(action: Callable[[], object], times: int, device: torch.device) -> float:
    start = time.perf_counter()
    for _ in range(times):
        action()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--role", choices=("image", "structure"), default="image")
    parser.add_argument("--batch-crops", type=int, default=4)
    parser.add_argument("--batches", type=int, default=5)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark"))
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
