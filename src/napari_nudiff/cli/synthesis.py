"""``nudiff sample`` and ``nudiff render``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from napari_nudiff.cli.options import add_quiet
from napari_nudiff.cli.progress import watched
from napari_nudiff.diffusion.names import SAMPLER_NAMES
from napari_nudiff.errors import RequestError
from napari_nudiff.synthesis.defaults import GUIDANCE, LAYOUT_STEPS, RENDER_STEPS, SAMPLER

if TYPE_CHECKING:
    from napari_nudiff.dataset.pair import Pair
    from napari_nudiff.dataset.pyramid import Pyramid
    from napari_nudiff.synthesis.request import RenderRequest
    from napari_nudiff.work import Work


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
    tasks = [
        _small(f"layout-{i:04d}", args.out, partial(sample_layout, request))
        for i, request in enumerate(requests)
    ]
    _run_all(tasks, args)


def render(args: argparse.Namespace) -> None:
    """``nudiff render``: H&E images from layouts, or again from a stored request."""
    from napari_nudiff.synthesis.request import RenderRequest

    if bool(args.layouts) == bool(args.request):
        raise RequestError("Give layouts to render, or --request FILE.json to render again.")
    if args.request:
        _run_all([_again(args.request, args.out)], args)
        return
    request = RenderRequest(guidance=args.guidance, style=_style(args.style), **_chosen(args))
    request = replace(request, appearance=_appearance(args, request.checkpoint))
    stems = [path.stem for path in args.layouts]
    twice = {stem for stem in stems if stems.count(stem) > 1}
    if twice:
        raise RequestError(
            f"Several layouts are called {', '.join(sorted(twice))}; their results would overwrite "
            "each other in --out. Render them into different folders."
        )
    if _is_zarr(args.out) and len(stems) > 1:
        raise RequestError(
            f"--out {args.out} is one image, and there are {len(stems)} layouts. Give a folder; "
            "each large layout gets its own .zarr in it."
        )
    # All layouts are opened before the first is rendered: a bad one must not cost an hour.
    _run_all([_first(path, request, args.out) for path in args.layouts], args)


class _Task(NamedTuple):
    """A job to run, and what to do with what it makes."""

    name: str
    start: Callable[[], Work[Any]]
    write: Callable[[Any], Path]


def _first(path: Path, request: RenderRequest, out: Path) -> _Task:
    """Render a layout: in memory, or a large one on disk."""
    from napari_nudiff.dataset.masks import number_nuclei
    from napari_nudiff.dataset.pixels import read_labels
    from napari_nudiff.dataset.pyramid import open_layout
    from napari_nudiff.synthesis.large import is_large, render_large
    from napari_nudiff.synthesis.pipeline import render as render_layout

    opened, request = open_layout(path), _at_its_scale(path, request)
    if _is_zarr(out) or is_large(opened.shape):
        return _large(path.stem, out, lambda at: render_large(opened, request, at))
    labels, notes = number_nuclei(opened[:] if _is_zarr(path) else read_labels(path))
    for note in notes:
        print(f"{path}: {note}", file=sys.stderr)
    return _small(path.stem, out, lambda: render_layout(labels, request))


def _at_its_scale(path: Path, request: RenderRequest) -> RenderRequest:
    """A request at the resolution that the file of a layout says, unless another is asked for."""
    from napari_nudiff.checkpoints import find_checkpoint
    from napari_nudiff.dataset.pyramid import um_per_px_of

    own = um_per_px_of(path)
    if own is None or request.um_per_px is not None:
        return request
    checkpoint = find_checkpoint(request.checkpoint)
    if not checkpoint.makes(own):
        raise RequestError(
            f"{path} has {own:g} um per px, and {checkpoint.name} makes images of "
            f"{checkpoint.um_per_px:g} only. Nothing was rendered. Choose a model that knows "
            f"several resolutions, or give --um-per-px {checkpoint.um_per_px:g} to take the "
            "layout as of that."
        )
    return replace(request, um_per_px=own)


def _again(stored: Path, out: Path) -> _Task:
    """Make a stored result again."""
    from napari_nudiff.synthesis.device import using_threads
    from napari_nudiff.synthesis.large import rerender_large
    from napari_nudiff.synthesis.replay import request_of
    from napari_nudiff.synthesis.request import load_provenance

    if _is_zarr(stored):
        return _large(stored.stem, out, lambda at: rerender_large(stored, at))
    if _is_zarr(out):
        raise RequestError(
            f"{stored} is made again as image files in a folder, not as {out}. Give a folder as "
            "--out; to make a large render again give its .zarr as --request."
        )
    provenance = load_provenance(stored)

    def again() -> Work[Pair]:
        with using_threads(provenance.get("threads")):  # else other bytes
            return (yield from request_of(provenance))

    return _small(stored.stem, out, again)


def _small(stem: str, out: Path, start: Callable[[], Work[Pair]]) -> _Task:
    from napari_nudiff.dataset.sample import write_sample

    return _Task(stem, start, lambda sample: write_sample(out, stem, sample)[0])


def _large(stem: str, out: Path, start: Callable[[Path], Work[Pyramid]]) -> _Task:
    from napari_nudiff.synthesis.store import require_new

    path = out if _is_zarr(out) else out / f"{stem}.zarr"
    require_new(path)
    return _Task(stem, lambda: start(path), lambda _: path)


def _is_zarr(path: Path) -> bool:
    return path.suffix.lower() == ".zarr"


def _run_all(tasks: Sequence[_Task], args: argparse.Namespace) -> None:
    """Run tasks one after another and write each result as soon as it is there."""
    for task in tasks:
        made = watched(task.start(), name=task.name, quiet=args.quiet, leave=False)
        print(task.write(made))


def _chosen(args: argparse.Namespace) -> dict[str, Any]:
    """The settings that both stages have; the checkpoint only where one is named."""
    values: dict[str, Any] = {
        "seed": args.seed,
        "steps": args.steps,
        "sampler": args.sampler,
        "device": args.device,
        "precision": args.precision,
        "um_per_px": args.um_per_px,
    }
    return values | ({"checkpoint": args.checkpoint} if args.checkpoint else {})


def _style(path: Path | None) -> tuple[float, ...] | None:
    if path is None:
        return None
    from napari_nudiff.dataset.images import read_rgb
    from napari_nudiff.nuclei.descriptors import stain_style

    return tuple(float(value) for value in stain_style(read_rgb(path)))


def _appearance(args: argparse.Namespace, checkpoint: str) -> tuple[float, ...] | None:
    if args.appearance in {None, "none"}:
        return () if args.appearance else None
    from napari_nudiff.dataset.images import read_rgb
    from napari_nudiff.dataset.readers.files import read_um_per_px
    from napari_nudiff.synthesis.appearance import appearance_of_image

    path = Path(args.appearance)
    um_per_px = read_um_per_px(path) or args.um_per_px
    return appearance_of_image(checkpoint, read_rgb(path), um_per_px)


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
    p.add_argument(
        "layouts", type=Path, nargs="*", metavar="LAYOUT", help="instance labels (TIFF, zarr)"
    )
    p.add_argument(
        "--request", type=Path, help="render again what this JSON describes, or this .zarr"
    )
    p.add_argument("--guidance", type=float, default=GUIDANCE, help="strength; 1 = off")
    p.add_argument("--style", type=Path, metavar="REF.png", help="image whose stain to take")
    p.add_argument(
        "--appearance",
        metavar="REF.png",
        help="image whose appearance to take; none = left to the model; by default drawn by the "
        "seed from those of the training images",
    )
    _add_synthesis_options(
        p,
        out="folder for the results, or X.zarr: one image of any size",
        um_per_px="side of a pixel; by default what the file of the layout says, or 0.25",
        steps=RENDER_STEPS,
    )
    p.set_defaults(run=render)


def _add_synthesis_options(
    p: argparse.ArgumentParser,
    out: str = "folder for the results",
    um_per_px: str = "side of a pixel; by default 0.25",
    steps: int = LAYOUT_STEPS,
) -> None:
    p.add_argument("--out", type=Path, required=True, help=out)
    p.add_argument("--um-per-px", type=float, metavar="UM", help=um_per_px)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--steps", type=int, default=steps, help="sampling steps, 1 to 1000")
    p.add_argument("--sampler", default=SAMPLER, help=", ".join(SAMPLER_NAMES))
    p.add_argument("--checkpoint", help="name (see: nudiff models list) or file")
    p.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    p.add_argument("--precision", default="auto", choices=("auto", "bf16", "fp32"))
    add_quiet(p)
