"""``nudiff data``."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from napari_nudiff.cli.options import add_quiet
from napari_nudiff.errors import RequestError

if TYPE_CHECKING:
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
    _add_reading(verb.add_argument_group("what goes in"))
    _add_split(verb.add_argument_group("what is held out: whole groups (patients, slides)"))
    _add_subset(verb.add_argument_group("patches instead of whole training images"))
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
    surveyed = survey(config, partial(watch, desc="checking"))
    print(problem_table(surveyed.problems))
    print(_found(surveyed))
    if not args.skip_bad:
        _keep_problems(None if args.check else args.out, surveyed)
        stop_on_errors(surveyed.problems)
    if not args.check:
        watched = partial(watch, desc="writing")
        index = prepare(args.out, surveyed, config, overwrite=args.overwrite, watch=watched)
        print(_written(args.out, index))


def _config(args: argparse.Namespace) -> PrepareConfig:
    from napari_nudiff.dataset.checks import Rules
    from napari_nudiff.dataset.survey import PrepareConfig

    return PrepareConfig(
        sources=tuple(args.sources),
        kind=args.kind,
        rules=Rules(args.um_per_px, args.target_um_per_px, args.keep_disconnected),
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
        licence=args.licence,
        citation=args.citation,
    )


def _found(surveyed: Survey) -> str:
    groups = {record.group for record in surveyed.records}
    nuclei = sum(record.nuclei for record in surveyed.records)
    return (
        f"{surveyed.found} images found, {len(surveyed.records)} in order: {nuclei:,} nuclei in "
        f"{len(groups)} groups"
    )


def _written(out: Path, index: Index) -> str:
    lines = [f"{out}: {len(index.items)} images"]
    for split in ("train", "held_out"):
        items = [item for item in index.items if item.split == split]
        groups, nuclei = {item.group for item in items}, sum(item.nuclei for item in items)
        lines.append(f"  {split:<9} {len(items)} images, {nuclei:,} nuclei, {len(groups)} groups")
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
    p.add_argument("--licence", default="unknown", help="of the data, kept with the set")
    p.add_argument("--citation", default="", help="of the data, kept with the set")


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
