"""``nudiff generate``."""

from __future__ import annotations

import argparse
import math
import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from tqdm import tqdm

from napari_nudiff.cli.options import add_quiet
from napari_nudiff.cli.progress import NOTE, watched
from napari_nudiff.errors import DatasetError, RequestError
from napari_nudiff.text import duration

if TYPE_CHECKING:
    from napari_nudiff.synthesis.generation_plan import GenerationPlan
    from napari_nudiff.work import Work

_LOOK_S = 0.5  # between two looks at what the processes have made
_BYTES_PER_PX = 3.0  # of a pair: PNG, labels and provenance
_LABEL_SUFFIXES = (".tif", ".tiff", ".npy", ".png")


class _Share(NamedTuple):
    """Which part of the work is ours."""

    rank: int
    ranks: int


def add_commands(commands: Any) -> None:
    """Add ``generate`` to the commands of ``nudiff``."""
    p = commands.add_parser("generate", help="make many pairs, layouts and images")
    p.set_defaults(run=generate)
    p.add_argument("--count", type=int, help="how many pairs there shall be in the end")
    p.add_argument("--out", type=Path, required=True, help="folder; run again to go on")
    p.add_argument("--plan", type=Path, metavar="TOML", help="a plan, or plan.json of a run")
    p.add_argument("--seed", type=int)
    p.add_argument("--dry-run", action="store_true", help="tell what it takes; writes nothing")
    add_quiet(p)
    _add_layouts(p.add_argument_group("layouts"))
    _add_images(p.add_argument_group("images"))
    _add_sharing(p.add_argument_group("sharing the work"))


def generate(args: argparse.Namespace) -> None:
    """``nudiff generate``: plan, share and make."""
    from napari_nudiff.synthesis.generation import require_known

    plan, share = _plan(args), _share(args)
    require_known(plan)
    plan = _with_appearances(plan, args)
    processes = args.processes or _best_processes(plan, share)
    if args.dry_run:
        print(_estimate(plan, args.out, share, processes))
        return
    try:
        if processes > 1:
            _launch(args, plan, share, processes)
        else:
            _make(plan, args, share)
    except KeyboardInterrupt:
        if not args.quiet:
            print(f"\n{_kept(plan, args.out, share)}", file=sys.stderr)
        raise
    if not args.quiet:
        print(f"{args.out}: {'complete' if share.ranks == 1 else 'this share is complete'}")


def _make(plan: GenerationPlan, args: argparse.Namespace, share: _Share) -> None:
    """Make a share in this process."""
    from napari_nudiff.synthesis.generation import generate as run

    _take_gpu()
    work = run(plan, args.out, rank=share.rank, ranks=share.ranks)
    watched(_beside_parent(work), quiet=args.quiet, unit="pair")


def _own_and_missing(plan: GenerationPlan, out: Path, share: _Share) -> tuple[range, list[int]]:
    """Numbers of the pairs of a share, and of those that are not there yet."""
    from napari_nudiff.synthesis.generation import path_of

    own = range(share.rank, plan.count, share.ranks)
    return own, [number for number in own if not path_of(out, number).is_file()]


def _kept(plan: GenerationPlan, out: Path, share: _Share) -> str:
    """What a run that was interrupted has left, and how it goes on."""
    own, missing = _own_and_missing(plan, out, share)
    return (
        f"{len(own) - len(missing):,} of {len(own):,} pairs are complete in {out}. Run the same "
        "command again to go on with the rest."
    )


# Plan


def _plan(args: argparse.Namespace) -> GenerationPlan:
    from napari_nudiff.synthesis.generation import plan_in
    from napari_nudiff.synthesis.generation_plan import GenerationPlan, load_plan

    first = GenerationPlan()
    if args.plan is not None:
        first = plan_in(args.plan) if args.plan.suffix == ".json" else load_plan(args.plan)
    changes = {name: getattr(args, name) for name in _SAME if getattr(args, name) is not None}
    if args.size:
        changes["height_px"], changes["width_px"] = args.size
    for name in ("density", "mean_area_px", "guidance"):
        if name in changes:
            changes[name] = tuple(changes[name])
    if args.stain is not None:
        changes["stains"] = tuple(args.stain)
    if args.layouts:
        changes |= _layouts(args.layouts)
        if args.um_per_px is None:
            changes |= _scale_of(changes["given"])
    if args.no_turns:
        changes["turn"] = False
    return GenerationPlan.from_dict(first.to_dict() | changes)


_SAME = (
    "count",
    "seed",
    "density",
    "mean_area_px",
    "perturb",
    "stain_spread",
    "um_per_px",
    "appearance_spread",
    "guidance",
    "steps",
    "layout_steps",
    "sampler",
    "image_checkpoint",
    "structure_checkpoint",
    "precision",
    "device",
)
"""Options that are called as the values of a plan."""


def _layouts(told: Sequence[str]) -> dict[str, Any]:
    """A kind of layouts, or the files and folders of given ones."""
    if len(told) == 1 and told[0] in {"sampled", "scattered"}:
        return {"layouts": told[0], "given": ()}
    files = [str(file.resolve()) for path in map(Path, told) for file in _label_files(path)]
    return {"layouts": "given", "given": tuple(files)}


def _scale_of(files: Sequence[str]) -> dict[str, float]:
    """Resolution that files of layouts have in common; {} = 0.25, or nothing says so."""
    from napari_nudiff.dataset.pyramid import um_per_px_of
    from napari_nudiff.nuclei.descriptors import UM_PER_PX

    found = sorted({um for file in files if (um := um_per_px_of(Path(file))) is not None})
    if not found or max(found[-1], UM_PER_PX) < 1.1 * min(found[0], UM_PER_PX):
        return {}
    if found[-1] > 1.1 * found[0]:
        raise RequestError(
            f"The layouts have {found[0]:g} to {found[-1]:g} um per px. Give those of one "
            "resolution, or --um-per-px UM to take all as of that."
        )
    return {"um_per_px": found[0]}


def _label_files(path: Path) -> list[Path]:
    """A file of labels, or those of a folder: ``labels/``, ``*_labels.tif``, or all."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise RequestError(
            f"--layouts {path}: sampled, scattered, or files or folders of labels were expected."
        )
    folder = path / "labels" if (path / "labels").is_dir() else path
    found = sorted(f for f in folder.iterdir() if f.suffix.lower() in _LABEL_SUFFIXES)
    marked = [f for f in found if f.stem.endswith(("_labels", "_masks"))]
    if not found:
        raise DatasetError(f"{folder} holds no label images ({', '.join(_LABEL_SUFFIXES)}).")
    return marked or found


def _with_appearances(plan: GenerationPlan, args: argparse.Namespace) -> GenerationPlan:
    """The plan with the appearances of the images that are to be followed."""
    if not args.appearance_from:
        return plan
    from napari_nudiff.synthesis.generation import read_plan

    stored = read_plan(args.out)
    if _PARENT in os.environ and stored is not None:  # which has computed them
        return replace(plan, appearances=stored.appearances)
    files = [file for path in args.appearance_from for file in _image_files(path)]
    found = _appearances(files, plan, quiet=args.quiet)
    if stored is not None and _is_close(found, stored.appearances):
        found = stored.appearances
    return replace(plan, appearances=found)


def _appearances(
    files: Sequence[tuple[Path, float | None]], plan: GenerationPlan, *, quiet: bool
) -> tuple[tuple[float, ...], ...]:
    from napari_nudiff.dataset.images import read_rgb
    from napari_nudiff.dataset.readers.files import read_um_per_px
    from napari_nudiff.synthesis.appearance import appearance_of_image

    return tuple(
        appearance_of_image(
            plan.image_checkpoint,
            read_rgb(path),
            known or read_um_per_px(path) or plan.um_per_px,
        )
        for path, known in tqdm(files, "appearances", unit="image", disable=quiet, leave=False)
    )


def _is_close(some: Sequence[tuple[float, ...]], others: Sequence[tuple[float, ...]]) -> bool:
    """Whether appearances differ by no more than the arithmetic of two processors."""
    return len(some) == len(others) and all(
        math.isclose(a, b, abs_tol=1e-3)
        for one, other in zip(some, others, strict=True)
        for a, b in zip(one, other, strict=True)
    )


def _image_files(path: Path) -> list[tuple[Path, float | None]]:
    """An image, or those of a folder that are no labels; with um per px where an index says so."""
    from napari_nudiff.dataset.prepared import read_index
    from napari_nudiff.dataset.readers.files import IMAGE_FOLDERS, IMAGE_SUFFIXES
    from napari_nudiff.dataset.readers.pairs import MASK_ENDINGS

    if path.is_file():
        return [(path, None)]
    if not path.is_dir():
        raise RequestError(f"--appearance-from {path}: images, or folders of them, were expected.")
    folder = next((path / name for name in IMAGE_FOLDERS if (path / name).is_dir()), path)
    index = read_index(path)
    known = {item.name: item.um_per_px for item in index.items} if index else {}
    found = [
        (file, known.get(file.stem))
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in IMAGE_SUFFIXES and not file.stem.endswith(MASK_ENDINGS)
    ]
    if not found:
        raise DatasetError(f"{folder} holds no images ({', '.join(IMAGE_SUFFIXES)}).")
    return found


def _estimate(plan: GenerationPlan, out: Path, share: _Share, processes: int) -> str:
    """What is there, and what the rest takes."""
    from napari_nudiff.synthesis.generation import with_fingerprints

    plan = with_fingerprints(plan)
    own, missing = _own_and_missing(plan, out, share)
    lines = [
        f"{len(own):,} pairs of {plan.height_px} x {plan.width_px} px, {len(missing):,} to make"
    ]
    if missing:
        each_s = _seconds_each(plan, missing)
        whole_s = each_s * len(missing)
        lines.append(f"  {each_s:.1f} s each: about {duration(whole_s)} in one process")
        if processes > 1:
            lines[-1] += f", {duration(whole_s / processes)} at best in {processes}"
    size_bytes = len(missing) * plan.height_px * plan.width_px * _BYTES_PER_PX
    there = next(path for path in [out.absolute(), *out.absolute().parents] if path.exists())
    free_bytes = shutil.disk_usage(there).free
    lines.append(f"  about {size_bytes / 1e6:,.1f} MB on disk; {free_bytes / 1e6:,.0f} MB are free")
    return "\n".join([*lines, "Nothing was written: --dry-run."])


def _seconds_each(plan: GenerationPlan, missing: Sequence[int]) -> float:
    """Time that a pair takes in one process, the models being loaded."""
    from napari_nudiff.synthesis.device import using_threads
    from napari_nudiff.synthesis.generation import make
    from napari_nudiff.work import run

    _take_gpu()
    with using_threads(1):
        for number in (missing[0], missing[-1]):  # the first loads the models
            began_s = time.monotonic()
            run(make(plan, number))
    return time.monotonic() - began_s


# Sharing


def _share(args: argparse.Namespace) -> _Share:
    """Our part: as told, or as a launcher (accelerate, torchrun) tells in the environment."""
    rank, ranks = 0, 1
    if args.shard:
        try:
            first, _, second = args.shard.partition("/")
            rank, ranks = int(first) - 1, int(second)
        except ValueError:
            ranks = 0
        if not 0 <= rank < ranks:
            raise RequestError(f"--shard {args.shard}: K/N was expected, such as 1/4 to 4/4.")
    if args.processes < 0:
        raise RequestError(f"--processes is {args.processes}; expected at least 1, or 0 = auto.")
    launched, of = (int(os.environ.get(name, default)) for name, default in _LAUNCHED)
    return _Share(rank + ranks * launched, ranks * of)


_PARENT = "NUDIFF_PARENT"  # of a process that works for another, which may be killed
_LAUNCHED = (("RANK", "0"), ("WORLD_SIZE", "1"))


def _best_processes(plan: GenerationPlan, share: _Share) -> int:
    """One where a launcher has already shared the work, else what the machine has room for."""
    from napari_nudiff.synthesis.generation import best_processes

    return 1 if "RANK" in os.environ or share.ranks > plan.count else best_processes(plan)


def _launch(args: argparse.Namespace, plan: GenerationPlan, share: _Share, count: int) -> None:
    """Run the same command in several processes of this machine, each with a part of our part."""
    from napari_nudiff.synthesis.generation import GO_ON, begin, with_fingerprints

    plan = with_fingerprints(plan)
    begin(plan, args.out)  # so that what is wrong is told once
    own, missing = _own_and_missing(plan, args.out, share)
    if not missing:
        return
    with TemporaryDirectory() as folder:
        children = [_start(args, share, number, count, Path(folder)) for number in range(count)]
        try:
            there = len(own) - len(missing)  # no measure of the speed
            with tqdm(total=len(own), initial=there, unit="pair", disable=args.quiet) as bar:
                _watch(children, _Queues(args.out, missing, count * share.ranks), bar)
        finally:
            for child in children:
                if child.process.poll() is None:
                    child.process.terminate()
            for child in children:
                child.process.wait()
        if any(child.process.returncode for child in children):
            said = _message(children).removesuffix(GO_ON).strip()
            raise DatasetError(f"One of {count} processes stopped: {said} {GO_ON}")


class _Child(NamedTuple):
    """One of several processes, and the file that it writes its messages into.

    A pipe that nobody reads would fill, and stop it.
    """

    process: subprocess.Popen[bytes]
    log: Path

    def lines(self) -> list[str]:
        """What it has said by now."""
        return self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()


class _Queues:
    """What each process has still to make, in its order: so one look at each tells enough."""

    def __init__(self, out: Path, missing: Sequence[int], ranks: int) -> None:
        self._out = out
        self._queues: dict[int, deque[int]] = defaultdict(deque)
        for number in missing:
            self._queues[number % ranks].append(number)

    def made(self) -> int:
        """How many have come since the last look."""
        return sum(map(self._made_of, self._queues.values()))

    def _made_of(self, queue: deque[int]) -> int:
        from napari_nudiff.synthesis.generation import path_of

        before = len(queue)
        while queue and path_of(self._out, queue[0]).is_file():
            queue.popleft()
        return before - len(queue)


def _watch(children: Sequence[_Child], queues: _Queues, bar: Any) -> None:
    """Show what is made until all processes have ended, or one has failed."""
    working, noted = True, set[str]()
    while working:
        time.sleep(_LOOK_S)
        states = [child.process.poll() for child in children]
        working = None in states and not any(states)
        if made := queues.made():  # after the states: what the last ones made counts, too
            bar.update(made)
        else:
            bar.refresh()  # an update by 0 would count as time that nothing took
        said = dict.fromkeys(line for child in children for line in child.lines())
        for note in [line for line in said if line.startswith(NOTE) and line not in noted]:
            noted.add(note)
            bar.write(note, file=sys.stderr)


def _message(children: Sequence[_Child]) -> str:
    """What the process said that stopped by itself; the others were stopped because of it."""
    failed = min(children, key=lambda child: -child.process.returncode)
    lines = failed.lines() or [f"exit status {failed.process.returncode}."]
    return lines[-1].removeprefix("nudiff: ")


def _take_gpu() -> None:
    """Of several GPUs that of a launched process; each calls its own "cuda", as pairs tell it."""
    if "LOCAL_RANK" not in os.environ:
        return
    import torch

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())


def _beside_parent(work: Work[None]) -> Work[None]:
    """Work that ends with the process that started this one, however that ended."""
    with closing(work):
        for progress in work:
            if _PARENT in os.environ and os.getppid() != int(os.environ[_PARENT]):
                raise DatasetError("The process that shared the work out is gone.")
            yield progress


def _start(
    args: argparse.Namespace, share: _Share, number: int, count: int, folder: Path
) -> _Child:
    """Start one of several processes; each has a core, or a GPU, perhaps with others."""
    rank, ranks = share.rank + share.ranks * number, share.ranks * count
    told = [*args.argv, "--shard", f"{rank + 1}/{ranks}", "--processes", "1", "--quiet"]
    local = int(os.environ.get("LOCAL_RANK", "0")) * count + number
    environment = os.environ | {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": str(local)}
    environment[_PARENT] = str(os.getpid())
    command = [sys.executable, "-m", "napari_nudiff.cli", *told]
    environment["PYTHONIOENCODING"] = "utf-8"
    log = folder / f"{number}.txt"
    with log.open("wb") as stderr:
        return _Child(subprocess.Popen(command, env=environment, stderr=stderr), log)


# Arguments


def _add_layouts(p: Any) -> None:
    p.add_argument(
        "--layouts",
        nargs="+",
        metavar="WHAT",
        help="sampled by the structure model (the default), scattered, or label files and folders",
    )
    p.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="of a pair, in pixels")
    p.add_argument(
        "--density", type=float, nargs=2, metavar=("LOW", "HIGH"), help="area that nuclei cover"
    )
    p.add_argument(
        "--mean-area",
        dest="mean_area_px",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="mean area of a nucleus (pixels)",
    )
    p.add_argument(
        "--perturb",
        type=float,
        metavar="SHARE",
        help="of the nuclei that are moved, turned, resized, copied or deleted at random",
    )
    p.add_argument("--no-turns", action="store_true", help="take given layouts as they lie")


def _add_images(p: Any) -> None:
    p.add_argument("--stain", nargs="+", metavar="PRESET", help="stains to choose from")
    p.add_argument(
        "--vary-stain", dest="stain_spread", type=float, metavar="SPREAD", help="1 = as real slides"
    )
    p.add_argument(
        "--vary-appearance",
        dest="appearance_spread",
        type=float,
        metavar="SPREAD",
        help="beyond the tissue that the model has learned: 1 = as the training images differ",
    )
    p.add_argument(
        "--appearance-from",
        type=Path,
        nargs="+",
        metavar="WHAT",
        help="images, or folders of them, whose appearances to take; no labels are needed",
    )
    p.add_argument("--um-per-px", type=float, metavar="UM", help="side of a pixel")
    p.add_argument("--guidance", type=float, nargs=2, metavar=("LOW", "HIGH"), help="strength")
    p.add_argument("--steps", type=int, help="sampling steps of the image")
    p.add_argument("--layout-steps", type=int, help="sampling steps of the layout")
    p.add_argument("--sampler")
    p.add_argument("--image-checkpoint", metavar="NAME")
    p.add_argument("--structure-checkpoint", metavar="NAME")
    p.add_argument("--precision", choices=("auto", "bf16", "fp32"))


def _add_sharing(p: Any) -> None:
    p.add_argument(
        "--processes",
        type=int,
        default=0,
        help="on this machine; by default one a core, or a GPU; several a GPU keep it busy",
    )
    p.add_argument("--shard", metavar="K/N", help="make only part K of N, on any machine")
    p.add_argument("--device", help="auto, cpu, cuda or mps")
