"""``nudiff sample`` and ``nudiff render``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from napari_nudiff.cli.options import add_quiet
from napari_nudiff.errors import RequestError

if TYPE_CHECKING:
    from napari_nudiff.dataset.sample import Sample
    from napari_nudiff.synthesis.pipeline import Job


def add_commands(commands: Any) -> None:
    """Add ``sample`` and ``render`` to the commands of ``nudiff``."""
    _add_sample(commands)
    _add_render(commands)


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


def _run_all(jobs: Sequence[tuple[str, Callable[[], Job]]], args: argparse.Namespace) -> None:
    """Run jobs one after another and write each result as soon as it is there."""
    from napari_nudiff.dataset.sample import write_sample

    for stem, start in jobs:
        paths = write_sample(args.out, stem, _shown(start(), stem, quiet=args.quiet))
        print(paths[0])


def _shown(job: Job, name: str, *, quiet: bool) -> Sample:
    from napari_nudiff.synthesis.pipeline import completed
    from napari_nudiff.synthesis.progress import Progress

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
    p.add_argument("--guidance", type=float, default=1.2, help="strength; 1 = off")
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
    add_quiet(p)
