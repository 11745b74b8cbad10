"""``nudiff train``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tqdm import tqdm

from napari_nudiff.cli.options import add_quiet


def add_commands(commands: Any) -> None:
    """Add ``train`` to the commands of ``nudiff``."""
    p = commands.add_parser("train", help="train a model")
    p.add_argument("role", choices=("structure", "image"))
    p.add_argument("--config", type=Path, help="TOML file; the compact recipe by default")
    p.add_argument("--data", help="folder with images/*.png and labels/*.tif")
    p.add_argument("--out", help="folder for checkpoints, the log and sample grids")
    p.add_argument("--steps", type=int)
    p.add_argument("--device")
    p.add_argument("--restart", action="store_true", help="do not resume what is in --out")
    add_quiet(p)
    p.set_defaults(run=train)


def train(args: argparse.Namespace) -> None:
    """``nudiff train``: train a structure or an image model."""
    from napari_nudiff.training.config import TrainConfig, load_config, recipe
    from napari_nudiff.training.loop import train as run

    config: TrainConfig = load_config(args.config) if args.config else recipe(args.role)
    config = config.with_overrides(
        role=args.role, data=args.data, out=args.out, steps=args.steps, device=args.device
    )
    with tqdm(total=config.steps, unit="step", disable=args.quiet) as bar:
        for progress in run(config, resume=not args.restart):
            bar.update(progress.step - bar.n)
            bar.set_postfix(loss=f"{progress.loss:.4f}", crops_per_s=f"{progress.crops_per_s:.1f}")
            if progress.held_out_loss is not None:
                bar.write(f"step {progress.step}: held-out loss {progress.held_out_loss:.4f}")
