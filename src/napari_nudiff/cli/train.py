"""``nudiff train``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_nudiff.cli.options import add_quiet
from napari_nudiff.cli.progress import watched
from napari_nudiff.errors import DatasetError, RequestError
from napari_nudiff.text import duration

if TYPE_CHECKING:
    from napari_nudiff.training.config import TrainConfig


def add_commands(commands: Any) -> None:
    """Add ``train`` to the commands of ``nudiff``."""
    p = commands.add_parser("train", help="train a model, or watch a run")
    verbs = p.add_subparsers(required=True, metavar="WHAT")
    for role in ("structure", "image"):
        _add_role(verbs, role)
    watch = verbs.add_parser("watch", help="show how a running or finished run does")
    watch.add_argument("run_folder", type=Path, metavar="RUN", help="its --out")
    watch.add_argument("--once", action="store_true", help="show it once, do not follow it")
    watch.add_argument("--every", type=float, default=5.0, metavar="SECONDS")
    watch.set_defaults(run=watch_run)


def train(args: argparse.Namespace) -> None:
    """``nudiff train structure`` and ``nudiff train image``."""
    config = _config(args)
    if args.dry_run:
        print(_estimate_table(config))
        return
    if args.processes > 1 and "RANK" not in os.environ:
        _launch(args)
        return
    from napari_nudiff.training.loop import train as run

    hidden = args.quiet or os.environ.get("RANK", "0") != "0"
    watched(run(config, resume=not args.restart), quiet=hidden)


def watch_run(args: argparse.Namespace) -> None:
    """``nudiff train watch``."""
    from napari_nudiff.training.watch import describe_run, read_run

    if args.every <= 0:
        raise RequestError(f"--every is {args.every:g}; expected a time in seconds above 0.")
    follow = not args.once and sys.stdout.isatty()
    while True:
        status = read_run(args.run_folder)
        clear = "\033[H\033[2J" if follow else ""
        print(clear + describe_run(status), flush=True)
        if status.finished or not follow:
            return
        time.sleep(args.every)


def _launch(args: argparse.Namespace) -> None:
    """Run the same command in several processes of this machine, which share each batch."""
    launcher = ["torch.distributed.run", "--standalone", f"--nproc-per-node={args.processes}"]
    command = [sys.executable, "-m", *launcher, "-m", "napari_nudiff.cli", *args.argv]
    # Each process takes its share of the cores, but for what the user says of them.
    threads = str(max((os.cpu_count() or 1) // args.processes, 1))
    status = subprocess.run(command, env={"OMP_NUM_THREADS": threads} | os.environ, check=False)
    if status.returncode:
        raise DatasetError(
            f"The training stopped in one of {args.processes} processes: its message is above. The "
            "same command goes on from the last checkpoint."
        )


def _config(args: argparse.Namespace) -> TrainConfig:
    from napari_nudiff.training.config import load_config, recipe

    if args.config and args.recipe:
        raise RequestError("Give --recipe or --config, not both.")
    if args.config:
        config = load_config(args.config)
    else:
        config = recipe(args.role, args.recipe or "compact")
    if config.role != args.role:
        raise RequestError(
            f"{args.config} trains a {config.role} model; say `nudiff train {config.role}`."
        )
    config = config.with_overrides(
        data=args.data,
        out=args.out,
        held_out=tuple(args.held_out) if args.held_out else None,
        device=args.device,
        precision=args.precision,
        start_from=args.start_from,
        seed=args.seed,
        save_steps=args.save_steps,
        compile=args.compile or None,
    )
    return config.scaled(args.steps) if args.steps else config


def _estimate_table(config: TrainConfig) -> str:
    from napari_nudiff.training.estimate import estimate

    made = estimate(config)
    lines = [
        f"{config.role} model, {made.parameters / 1e6:.1f} million parameters, on {made.device}: "
        f"about {duration(made.seconds)} at {made.flops_per_s / 1e12:.2f} TFLOP/s",
        "stage  steps    crops x px    TFLOP/step  memory     time",
    ]
    for i, (stage, cost) in enumerate(zip(config.stages, made.stages, strict=True), 1):
        crops = f"{stage.batch_crops} x {stage.crop_px}"
        lines.append(
            f"{i:<6} {stage.steps:<8,} {crops:<13} {cost.flops_per_step / 1e12:<11.3f} "
            f"{cost.memory_bytes / 2**30:<5.1f} GiB  {duration(cost.seconds)}"
        )
    return "\n".join([*lines, "Nothing was started: --dry-run."])


def _add_role(verbs: Any, role: str) -> None:
    p = verbs.add_parser(role, help=f"train a {role} model")
    p.set_defaults(run=train, role=role)
    p.add_argument("--recipe", help="compact (the default) or official, the paper's")
    p.add_argument("--config", type=Path, help="TOML file of your own instead of a recipe")
    p.add_argument(
        "--data",
        nargs="+",
        metavar="DATA",
        help="what `nudiff data prepare` wrote, or images/ and labels/; several are one set",
    )
    p.add_argument("--out", help="folder for checkpoints, the log and sample grids")
    p.add_argument("--held-out", nargs="+", metavar="PATTERN", help="images not to train on")
    p.add_argument("--steps", type=int, help="a shorter or longer run, all stages in proportion")
    p.add_argument("--start-from", help="checkpoint to begin with (see: nudiff models list)")
    p.add_argument("--seed", type=int)
    p.add_argument("--save-steps", type=int, help="a checkpoint every so many steps")
    p.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"))
    p.add_argument("--precision", choices=("bf16", "fp16", "fp32"))
    p.add_argument("--processes", type=int, default=1, help="that share each batch; one a GPU")
    p.add_argument("--compile", action="store_true", help="compile the network first")
    p.add_argument("--restart", action="store_true", help="do not resume what is in --out")
    p.add_argument("--dry-run", action="store_true", help="show what it would take, and stop")
    add_quiet(p)
