"""The command line: parse, build one request, call one function, show progress."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from napari_nudiff import __version__, checkpoints
from napari_nudiff.errors import NudiffError, RequestError

if TYPE_CHECKING:
    from napari_nudiff.dataset.sample import Sample
    from napari_nudiff.synthesis.pipeline import Job

# torch takes seconds to import; each command imports what it needs.


def main(argv: Sequence[str] | None = None) -> int:
    """Run the ``nudiff`` command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.

    Returns
    -------
    int
        0; 2 for bad input, told in one line; 130 if interrupted.
    """
    args = _parser().parse_args(argv)
    try:
        args.run(args)
    except NudiffError as error:
        print(f"nudiff: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("nudiff: interrupted; finished files were kept.", file=sys.stderr)
        return 130
    return 0


def sample(args: argparse.Namespace) -> None:
    """``nudiff sample``: layouts of nuclei from the structure model."""
    from napari_nudiff.synthesis.canvas import derived_seed
    from napari_nudiff.synthesis.pipeline import sample_layout
    from napari_nudiff.synthesis.request import LayoutRequest

    if args.count < 1:
        raise RequestError(f"--count is {args.count}; expected at least 1.")
    height, width = args.size
    first = LayoutRequest(
        height_px=height,
        width_px=width,
        density=args.density,
        mean_area_px=args.mean_area,
        **_chosen(args),
    )
    requests = [replace(first, seed=derived_seed(args.seed, i)) for i in range(args.count)]
    jobs = [
        (f"layout-{i:04d}", lambda r=request: sample_layout(r))
        for i, request in enumerate(requests)
    ]
    _run_all(jobs, args)


def render(args: argparse.Namespace) -> None:
    """``nudiff render``: H&E images from layouts, or again from a stored request."""
    from napari_nudiff.dataset.images import read_layout
    from napari_nudiff.synthesis.pipeline import render as render_layout
    from napari_nudiff.synthesis.pipeline import request_of
    from napari_nudiff.synthesis.request import RenderRequest, load_provenance

    if bool(args.layouts) == bool(args.request):
        raise RequestError("Give layouts to render, or --request FILE.json to render again.")
    if args.request:
        provenance = load_provenance(args.request)
        _run_all([(args.request.stem, lambda: request_of(provenance))], args)
        return
    request = RenderRequest(guidance=args.guidance, style=_style(args.style), **_chosen(args))
    stems = [path.stem for path in args.layouts]
    twice = {stem for stem in stems if stems.count(stem) > 1}
    if twice:
        raise RequestError(
            f"Several layouts are called {', '.join(sorted(twice))}; their results would overwrite "
            "each other in --out. Render them into different folders."
        )
    # All layouts are read before the first is rendered: a bad one must not cost an hour.
    layouts = [read_layout(path) for path in args.layouts]
    jobs = [
        (stem, lambda labels=labels: render_layout(labels, request))
        for stem, labels in zip(stems, layouts, strict=True)
    ]
    _run_all(jobs, args)


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


def list_models(args: argparse.Namespace) -> None:
    """``nudiff models list``: the checkpoints that there are."""
    rows = [("name", "role", "size", "here", "um/px", "licence", "trained on")]
    for c in checkpoints.list_checkpoints():
        size = f"{c.size_bytes / 2**20:.1f} MiB"
        here = "embedded" if c.embedded else "yes" if checkpoints.local_path(c) else "no"
        rows.append((c.name, c.role, size, here, f"{c.um_per_px:g}", c.licence, c.training_data))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def fetch_model(args: argparse.Namespace) -> None:
    """``nudiff models fetch``: download a checkpoint and verify it."""
    checkpoint = checkpoints.find_checkpoint(args.name)
    hidden = args.quiet or checkpoints.local_path(checkpoint) is not None
    with tqdm(total=0, unit="B", unit_scale=True, desc=args.name, disable=hidden) as bar:
        print(checkpoints.fetch_checkpoint(checkpoint, progress=bar))


def verify_models(args: argparse.Namespace) -> None:
    """``nudiff models verify``: compare checkpoints with their fingerprints."""
    named = [checkpoints.find_checkpoint(name) for name in args.names]
    here = filter(checkpoints.local_path, checkpoints.list_checkpoints())
    for checkpoint in named or here:
        print(f"{checkpoint.name}: intact ({checkpoints.verify_checkpoint(checkpoint)})")


def add_model(args: argparse.Namespace) -> None:
    """``nudiff models add``: make a checkpoint file of one's own available by name."""
    checkpoint = checkpoints.add_checkpoint(
        args.file, args.name, args.role, args.licence, head_channels=args.head_channels
    )
    print(f"{checkpoint.name}: {checkpoint.role} model added ({checkpoint.sha256[:12]})")


def remove_model(args: argparse.Namespace) -> None:
    """``nudiff models remove``: forget a file that was added, or delete a fetched one."""
    checkpoints.remove_checkpoint(args.name)
    print(f"{args.name}: removed")


def _run_all(jobs: Sequence[tuple[str, Callable[[], Job]]], args: argparse.Namespace) -> None:
    """Run jobs one after another and write each result as soon as it is there."""
    from napari_nudiff.dataset.sample import write_sample

    for stem, start in jobs:
        paths = write_sample(args.out, stem, _shown(start(), stem, quiet=args.quiet))
        print(paths[0])


def _shown(job: Job, name: str, *, quiet: bool) -> Sample:
    from napari_nudiff.synthesis.pipeline import Progress, completed

    with tqdm(desc=name, unit="step", disable=quiet, leave=False) as bar:

        def show(progress: Progress) -> None:
            bar.total = progress.steps
            bar.update(progress.step - bar.n)

        return completed(job, show)


def _chosen(args: argparse.Namespace) -> dict[str, Any]:
    """The settings that both stages have; the checkpoint only where one is named."""
    values: dict[str, Any] = {
        "seed": args.seed,
        "steps": args.steps,
        "sampler": args.sampler,
        "device": args.device,
        "precision": args.precision,
    }
    return values | ({"checkpoint": args.checkpoint} if args.checkpoint else {})


def _style(path: Path | None) -> tuple[float, ...] | None:
    if path is None:
        return None
    from napari_nudiff.dataset.images import read_rgb
    from napari_nudiff.nuclei.descriptors import stain_style

    return tuple(float(value) for value in stain_style(read_rgb(path)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nudiff", description="Realistic H&E images from layouts of nuclei, and back."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_sample(commands)
    _add_render(commands)
    _add_train(commands)
    _add_models(commands)
    return parser


def _add_sample(commands: Any) -> None:
    p = commands.add_parser("sample", help="sample layouts of nuclei")
    p.add_argument("--count", type=int, default=1, help="how many layouts")
    p.add_argument(
        "--size", type=int, nargs=2, default=(256, 256), metavar=("H", "W"), help="in pixels"
    )
    p.add_argument("--density", type=float, help="fraction of the area that nuclei cover")
    p.add_argument("--mean-area", type=float, metavar="PX", help="mean area of a nucleus (pixels)")
    _add_synthesis_options(p)
    p.set_defaults(run=sample)


def _add_render(commands: Any) -> None:
    p = commands.add_parser("render", help="render images from layouts")
    p.add_argument("layouts", type=Path, nargs="*", metavar="LAYOUT", help="instance labels (TIFF)")
    p.add_argument("--request", type=Path, help="render again what this JSON describes")
    p.add_argument("--guidance", type=float, default=1.5, help="strength; 1 = off")
    p.add_argument("--style", type=Path, metavar="REF.png", help="image whose stain to take")
    _add_synthesis_options(p)
    p.set_defaults(run=render)


def _add_synthesis_options(p: argparse.ArgumentParser) -> None:
    p.add_argument("--out", type=Path, required=True, help="folder for the results")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--steps", type=int, default=20, help="sampling steps, 1 to 1000")
    p.add_argument("--sampler", default="dpmpp_2m", help="dpmpp_2m, dpmpp_2m_sde, heun, ddim, ddpm")
    p.add_argument("--checkpoint", help="name (see: nudiff models list) or file")
    p.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    p.add_argument("--precision", default="auto", choices=("auto", "bf16", "fp32"))
    _add_quiet(p)


def _add_train(commands: Any) -> None:
    p = commands.add_parser("train", help="train a model")
    p.add_argument("role", choices=("structure", "image"))
    p.add_argument("--config", type=Path, help="TOML file; the compact recipe by default")
    p.add_argument("--data", help="folder with images/*.png and labels/*.tif")
    p.add_argument("--out", help="folder for checkpoints, the log and sample grids")
    p.add_argument("--steps", type=int)
    p.add_argument("--device")
    p.add_argument("--restart", action="store_true", help="do not resume what is in --out")
    _add_quiet(p)
    p.set_defaults(run=train)


def _add_models(commands: Any) -> None:
    p = commands.add_parser("models", help="list, fetch, verify, add and remove checkpoints")
    verbs = p.add_subparsers(required=True, metavar="VERB")
    verb = verbs.add_parser("list", help="the checkpoints that there are")
    verb.set_defaults(run=list_models)
    verb = verbs.add_parser("fetch", help="download a checkpoint")
    verb.set_defaults(run=fetch_model)
    verb.add_argument("name")
    _add_quiet(verb)
    verb = verbs.add_parser("verify", help="compare with the fingerprints")
    verb.set_defaults(run=verify_models)
    verb.add_argument("names", nargs="*")
    verb = verbs.add_parser("add", help="add a file of one's own (also official .pt)")
    verb.set_defaults(run=add_model)
    verb.add_argument("file", type=Path)
    verb.add_argument("--name")
    verb.add_argument("--role", choices=("structure", "image"))
    verb.add_argument("--licence", default="unknown")
    verb.add_argument(
        "--head-channels", type=int, default=64, help="width of an attention head (.pt only)"
    )
    verb = verbs.add_parser("remove", help="forget an added file, or delete a fetched one")
    verb.set_defaults(run=remove_model)
    verb.add_argument("name")


def _add_quiet(p: argparse.ArgumentParser) -> None:
    p.add_argument("--quiet", action="store_true", help="no progress bar")


if __name__ == "__main__":
    sys.exit(main())
