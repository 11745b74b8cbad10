"""``nudiff data``."""

from __future__ import annotations

import argparse
import hashlib
import zlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from napari_nudiff.cli.options import add_quiet
from napari_nudiff.cli.progress import watched
from napari_nudiff.errors import RequestError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_nudiff.dataset.labelling import Foreground
    from napari_nudiff.dataset.prepared import Index
    from napari_nudiff.dataset.survey import PrepareConfig, Survey


def add_commands(commands: Any) -> None:
    """Add ``data`` to the commands of ``nudiff``."""
    p = commands.add_parser("data", help="make a training set of what labs have")
    verbs = p.add_subparsers(required=True, metavar="VERB")
    verb = verbs.add_parser("prepare", help="check images with nuclei, split them, write a set")
    verb.set_defaults(run=prepare_data)
    verb.add_argument("sources", nargs="+", type=Path, metavar="SOURCE", help="folder, or one file")
    verb.add_argument("--out", type=Path, metavar="DIR", help="folder of the prepared set")
    verb.add_argument("--check", action="store_true", help="tell the problems, write nothing")
    verb.add_argument("--overwrite", action="store_true", help="replace a prepared set in --out")
    verb.add_argument("--sheet", action="store_true", help="draw contact sheets, to be looked at")
    _add_reading(verb.add_argument_group("what goes in"))
    _add_split(verb.add_argument_group("what is held out: whole groups (patients, slides)"))
    _add_subset(verb.add_argument_group("patches instead of whole training images"))
    _add_points(verb.add_argument_group("nuclei that are points, not outlines"))
    add_quiet(verb)
    verb = verbs.add_parser("segmenter", help="train what finds the outlines of points")
    verb.set_defaults(run=train_segmenter)
    verb.add_argument("--data", type=Path, required=True, help="a prepared set with outlines")
    verb.add_argument("--out", type=Path, required=True, metavar="FILE", help="*.safetensors")
    verb.add_argument(
        "--also-at",
        type=float,
        metavar="UM",
        help="learn from copies too that are as sharp as images with this um per px, such as 0.5",
    )
    verb.add_argument("--steps", type=int, default=1500)
    verb.add_argument("--seed", type=int, default=0)
    verb.add_argument("--device", default="auto")
    add_quiet(verb)


def prepare_data(args: argparse.Namespace) -> None:
    """``nudiff data prepare``: check, split and write."""
    from napari_nudiff.dataset.preparation import prepare
    from napari_nudiff.dataset.prepared import check_target
    from napari_nudiff.dataset.problems import problem_table
    from napari_nudiff.dataset.survey import stop_on_errors, survey

    if not args.check and args.out is None:
        raise RequestError("Say with --out where the prepared set goes, or only --check.")
    config = _config(args)
    if not args.check:
        check_target(args.out, config.sources, args.overwrite)  # before minutes of reading
    watch = partial(tqdm, unit="image", disable=args.quiet)
    seen = _foreground(args.segmenter) if args.segmenter else None
    surveyed = survey(config, partial(watch, desc="checking"), seen)
    print(problem_table(surveyed.problems))
    print(_found(surveyed))
    if not args.skip_bad:
        _keep_problems(None if args.check else args.out, surveyed)
        stop_on_errors(surveyed.problems)
    if not args.check:
        index = prepare(
            args.out,
            surveyed,
            config,
            overwrite=args.overwrite,
            foreground=seen,
            sheets=args.sheet,
            watch=partial(watch, desc="writing"),
        )
        print(_written(args.out, index))


def train_segmenter(args: argparse.Namespace) -> None:
    """``nudiff data segmenter``: train a small network on images with outlines."""
    from napari_nudiff.dataset.pairs import load_pairs
    from napari_nudiff.evaluation.segmenter import SegmenterConfig, as_sharp_as, load_segmenter
    from napari_nudiff.evaluation.segmenter import train_segmenter as train

    if args.steps < 1 or args.seed < 0:
        raise RequestError("--steps must be 1 or more and --seed 0 or more.")
    if args.also_at is not None and not 0.01 <= args.also_at <= 100:
        raise RequestError("--also-at must be 0.01 to 100 um per px.")
    if args.out.exists():
        load_segmenter(args.out)  # nothing else is replaced
    pairs, _ = load_pairs(args.data)
    if args.also_at:
        pairs += [as_sharp_as(pair, args.also_at) for pair in pairs]
    config = SegmenterConfig(steps=args.steps, seed=args.seed)
    work = train(pairs, args.out, config, args.device)
    watched(work, name="training", quiet=args.quiet)
    print(f"{args.out}: a segmenter for `nudiff data prepare --segmenter`")


def _foreground(path: Path) -> Foreground:
    """What a segmenter sees. Images are read twice, so it is kept, in few bytes."""
    import numpy as np

    from napari_nudiff.evaluation.segmenter import foreground, load_segmenter

    judge = load_segmenter(path)
    kept: dict[bytes, bytes] = {}

    def look(image: NDArray[np.uint8], um_per_px: float) -> NDArray[np.floating]:
        key = hashlib.sha256(image.tobytes()).digest()
        if key not in kept:
            seen = np.rint(foreground(judge, image, um_per_px) * 255).astype(np.uint8)
            kept[key] = zlib.compress(seen.tobytes())
        seen = np.frombuffer(zlib.decompress(kept[key]), np.uint8)
        return seen.reshape(image.shape[:2]) / np.float32(255)

    return look


def _config(args: argparse.Namespace) -> PrepareConfig:
    from napari_nudiff.dataset.checks import Rules
    from napari_nudiff.dataset.survey import PrepareConfig

    return PrepareConfig(
        sources=tuple(args.sources),
        kind=args.kind,
        rules=Rules(
            args.um_per_px,
            args.target_um_per_px,
            args.keep_disconnected,
            args.point_reach_um,
            args.disagreeing,
            args.unmarked,
            tuple(_renamed(text) for text in args.rename_class),
        ),
        skip_bad=args.skip_bad,
        group_by=args.group_by,
        held_out=args.held_out,
        held_out_groups=tuple(args.held_out_groups),
        subset_percent=args.subset,
        selection=args.selection,
        patch_px=args.patch,
        stride_px=args.stride,
        features=args.features,
        seed=args.seed,
        segmenter=args.segmenter,
        licence=args.licence,
        citation=args.citation,
    )


def _renamed(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not (old and equals):
        raise RequestError(f"--rename-class takes OLD=NEW, not {text}.")
    return old, new


def _found(surveyed: Survey) -> str:
    groups = {record.group for record in surveyed.records}
    nuclei = sum(record.nuclei for record in surveyed.records)
    return (
        f"{surveyed.found} images found, {len(surveyed.records)} in order: {nuclei:,} nuclei in "
        f"{len(groups)} groups"
    )


def _written(out: Path, index: Index) -> str:
    what = "images" if index.has_images else "layouts"
    lines = [f"{out}: {len(index.items)} {what}"]
    for split in ("train", "held_out"):
        items = [item for item in index.items if item.split == split]
        groups, nuclei = {item.group for item in items}, sum(item.nuclei for item in items)
        lines.append(f"  {split:<9} {len(items)} {what}, {nuclei:,} nuclei, {len(groups)} groups")
    if index.class_names:
        lines.append(f"  classes   {', '.join(index.class_names)}")
    if subset := index.about.get("subset"):
        lines.append(
            f"  subset    {subset['patches']} of {subset['of_patches']} patches with "
            f"{subset['nuclei']:,} of {subset['of_nuclei']:,} nuclei, each counted once"
        )
    return "\n".join(lines)


def _keep_problems(out: Path | None, surveyed: Survey) -> None:
    """Where errors stop the writing: every problem as CSV beside the set that is not written."""
    from napari_nudiff.dataset.images import write_text
    from napari_nudiff.dataset.problems import is_error, problem_csv

    if out and any(map(is_error, surveyed.problems)):
        path = out.resolve().with_name(f"{out.resolve().name}-problems.csv")
        write_text(path, problem_csv(surveyed.problems))
        print(f"All problems: {path}")


def _add_reading(p: Any) -> None:
    p.add_argument("--kind", help="format, where it is not found out rightly (see docs/data.md)")
    p.add_argument(
        "--um-per-px", type=float, metavar="UM", help="side of a pixel where the files do not tell"
    )
    p.add_argument(
        "--target-um-per-px", type=float, metavar="UM", help="resample to this, such as 0.25"
    )
    p.add_argument("--skip-bad", action="store_true", help="leave images with errors out")
    p.add_argument("--keep-disconnected", action="store_true", help="do not split ids into parts")
    p.add_argument(
        "--rename-class",
        nargs="+",
        default=(),
        metavar="OLD=NEW",
        help="call classes of nuclei as another set does",
    )
    p.add_argument("--licence", default="unknown", help="of the data, kept with the set")
    p.add_argument("--citation", default="", help="of the data, kept with the set")


def _add_points(p: Any) -> None:
    p.add_argument("--segmenter", type=Path, metavar="FILE", help="finds the nuclei of points")
    p.add_argument(
        "--point-reach-um", type=float, default=7.0, metavar="UM", help="from a point to the rim"
    )
    p.add_argument(
        "--disagreeing",
        default="keep",
        help="points where the segmenter sees no nucleus: keep (as a disc; default) or drop",
    )
    p.add_argument(
        "--unmarked",
        default="drop",
        help="nuclei that the segmenter sees and no point marks: drop (default) or keep",
    )


def _add_split(p: Any) -> None:
    p.add_argument(
        "--group-by", metavar="REGEX", help="what its first (parentheses) match is the group"
    )
    p.add_argument("--held-out", type=float, default=0.0, metavar="FRACTION", help="of the nuclei")
    p.add_argument(
        "--held-out-groups", nargs="+", default=(), metavar="PATTERN", help="of groups or names"
    )
    p.add_argument("--seed", type=int, default=0)


def _add_subset(p: Any) -> None:
    p.add_argument("--subset", type=float, metavar="PERCENT", help="of the nuclei: 10, 20, 50, 100")
    p.add_argument("--selection", default="official", help="official, diverse or random")
    p.add_argument("--patch", type=int, default=256, metavar="PX")
    p.add_argument("--stride", type=int, default=128, metavar="PX")
    p.add_argument("--features", type=Path, metavar="NPY", help="your own, a row a patch")
