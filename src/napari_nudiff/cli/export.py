"""``nudiff export``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from napari_nudiff.cli.options import add_quiet
from napari_nudiff.cli.progress import watched
from napari_nudiff.errors import DatasetError, RequestError

if TYPE_CHECKING:
    from napari_nudiff.dataset.export.options import ExportOptions
    from napari_nudiff.dataset.export.plan import Plan
    from napari_nudiff.dataset.pair import Pair, PairRef
    from napari_nudiff.dataset.problems import Problem
    from napari_nudiff.dataset.review import Grade

_SHOWN = 20  # problems of a set
_ROUNDING = 0.5  # grey levels in the mean: another processor, device or number of threads


def add_commands(commands: Any) -> None:
    """Add ``export`` to the commands of ``nudiff``."""
    p = commands.add_parser("export", help="training sets that other programs read")
    verbs = p.add_subparsers(required=True, metavar="VERB")
    _add_write(verbs)
    verb = verbs.add_parser("verify", help="read a set again and compare it with its manifest")
    verb.set_defaults(run=verify)
    verb.add_argument("folder", type=Path, metavar="DIR")
    verb.add_argument(
        "--rerender",
        type=int,
        default=0,
        metavar="N",
        help="also make N synthetic images again from what is stored on them",
    )
    add_quiet(verb)
    verbs.add_parser("formats", help="list the formats and who reads them").set_defaults(
        run=formats
    )


def write(args: argparse.Namespace) -> None:
    """``nudiff export write``: choose, split and write."""
    from napari_nudiff.dataset.export.plan import plan_set
    from napari_nudiff.dataset.export.writing import check_out, write_set

    options = _options(args)
    if args.out is None and not args.dry_run:
        raise RequestError("Say with --out where the set goes, or only --dry-run.")
    if not args.dry_run:
        check_out(args.out, overwrite=args.overwrite)  # before minutes of reading
    candidates = _candidates(args)
    grades = _grades(args)
    planning = plan_set(candidates, options, grades, skip_bad=args.skip_bad)
    plan = watched(planning, quiet=args.quiet, unit="pair")
    print(_summary(plan))
    if not args.dry_run:
        writing = write_set(
            args.out, candidates, plan, overwrite=args.overwrite, restart=args.restart
        )
        print(watched(writing, quiet=args.quiet, unit="pair"))


def verify(args: argparse.Namespace) -> None:
    """``nudiff export verify``: every file, every pair, and some made again."""
    from napari_nudiff.dataset.export.verification import verify_set
    from napari_nudiff.dataset.problems import is_error

    problems = watched(verify_set(args.folder), quiet=args.quiet, unit="file")
    if args.rerender:
        problems += _rerendered(args.folder, args.rerender, args.quiet)
    for problem in problems[:_SHOWN]:
        print(f"{problem.level}: {problem.name}: {problem.what}. {problem.detail}".rstrip(". "))
    errors = sum(map(is_error, problems))
    if len(problems) > _SHOWN:
        print(f"... and {len(problems) - _SHOWN} more")
    if errors:
        raise DatasetError(
            f"{args.folder} is not what its manifest says: {errors} errors. Export it again, or "
            "take a copy that is whole."
        )
    print(f"{args.folder} is what its manifest says.")


def formats(args: argparse.Namespace) -> None:
    """``nudiff export formats``: what there is, and for whom."""
    from napari_nudiff.dataset.writers import FORMATS

    for form in FORMATS.values():
        print(f"{form.name:<17} {form.files}\n{'':<17} for {form.readers}")


# Writing


def _options(args: argparse.Namespace) -> ExportOptions:
    from napari_nudiff.dataset.export.options import ExportOptions, Gate

    return ExportOptions(
        formats=tuple(dict.fromkeys(name for names in args.format for name in names)),
        title=args.title,
        licence=args.licence,
        val=args.val,
        test=args.test,
        val_groups=tuple(args.val_groups),
        test_groups=tuple(args.test_groups),
        synthetic_in_train_only=False if args.synthetic_everywhere else None,
        seed=args.seed,
        gate=Gate(
            min_realism=args.min_realism,
            min_correctness=args.min_correctness,
            without_flags=args.without_flags,
            starred=args.starred,
            applied=args.applied,
            min_nuclei=args.min_nuclei,
        ),
        classes=dict(map(_class_pair, args.classes)),
        default_class=args.default_class,
        border=args.border,
        min_area_px=args.min_area,
        names=args.names,
    )


def _class_pair(told: str) -> tuple[str, str]:
    old, equals, new = told.partition("=")
    if not equals or not old:
        raise RequestError(f"--class {told}: OLD=NEW was expected, or OLD= to leave them out.")
    return old.strip(), new.strip()


def _candidates(args: argparse.Namespace) -> list[PairRef[Pair]]:
    from napari_nudiff.dataset.candidates import find_candidates, find_real
    from napari_nudiff.dataset.checks import Rules

    if not args.sources and not args.real:
        raise RequestError("Give folders of synthetic pairs, or real images with --real.")
    rules = Rules(um_per_px=args.um_per_px, target_um_per_px=args.target_um_per_px)
    found = [candidate for source in args.sources for candidate in find_candidates(source)]
    return found + [candidate for source in args.real for candidate in find_real(source, rules)]


def _grades(args: argparse.Namespace) -> dict[str, Grade]:
    """What reviewers said, in the folder that is named, or where the Review dock keeps it."""
    from napari_nudiff.dataset.review import grades_in
    from napari_nudiff.session.review import folder_beside

    folders = [args.reviews] if args.reviews else dict.fromkeys(map(folder_beside, args.sources))
    return {image: grade for folder in folders for image, grade in grades_in(folder).items()}


def _summary(plan: Plan) -> str:
    lines = [f"{len(plan.rows):,} pairs, {len({row.lineage for row in plan.rows}):,} lineages"]
    for split, count in plan.counts.items():
        rows = plan.in_split(split)
        synthetic = sum(row.synthetic for row in rows)
        nuclei = sum(row.nuclei for row in rows)
        lines.append(
            f"  {split:<6} {count:,} pairs ({synthetic:,} synthetic, {count - synthetic:,} real), "
            f"{nuclei:,} nuclei"
        )
    for split in ("val", "test"):
        if getattr(plan.options, split) and split not in plan.counts:
            lines.append(f"  {split:<6} none: there are too few lineages to part with one")
    lines += [f"  left out, {reason}: {count:,}" for reason, count in plan.left_out.items()]
    sides = sorted({row.um_per_px for row in plan.rows if row.um_per_px is not None})
    if len(sides) > 1:
        told = ", ".join(f"{side:g}" for side in sides)
        lines.append(
            f"  pixels of several sizes: {told} um (--target-um-per-px resamples real ones)"
        )
    lines += [f"  warning: {warning}" for warning in plan.warnings]
    return "\n".join(lines)


# Verifying


def _rerendered(folder: Path, count: int, is_quiet: bool) -> list[Problem]:
    """Make some images again and compare their pixels."""
    from napari_nudiff.dataset.export.manifest import read_manifest
    from napari_nudiff.dataset.export.verification import images_in, provenance_in

    names = [row.name for row in read_manifest(folder) if row.synthetic]
    chosen = set(names[:: max(1, len(names) // count)][:count])
    stored = images_in(folder)
    problems: list[Problem] = []
    wanted = ((name, told) for name, told in provenance_in(folder) if name in chosen)
    for name, provenance in tqdm(wanted, total=len(chosen), desc="rerender", disable=is_quiet):
        problems += _compared(name, provenance, stored[name].load().image)
    return problems


def _compared(name: str, provenance: dict[str, Any], image: Any) -> Iterable[Problem]:
    import numpy as np

    from napari_nudiff.dataset.problems import Problem
    from napari_nudiff.errors import NudiffError
    from napari_nudiff.synthesis.device import using_threads
    from napari_nudiff.synthesis.replay import request_of
    from napari_nudiff.work import run

    notes: list[str] = []
    try:
        with using_threads(provenance.get("threads")):
            work = request_of(provenance)
            again = run(work, lambda progress: notes.append(progress.note)).image
    except NudiffError as error:
        notes, again = [str(error)], None
    if again is None or any(notes):  # with less memory, it is made in another way
        yield Problem("warning", name, "cannot be made again here", " ".join(filter(None, notes)))
        return
    off = np.abs(np.asarray(again, int) - image)
    if not off.any():
        return
    where = f"it was made with {provenance.get('software')} on {provenance['request']['device']}"
    detail = f"{off.max()} grey levels at most, {off.mean():.2g} in the mean; {where}"
    if off.mean() <= _ROUNDING:
        yield Problem("note", name, "made again, it differs by rounding", detail)
    else:
        yield Problem("error", name, "made again, it is another image", detail)


# Arguments


def _add_write(verbs: Any) -> None:
    p = verbs.add_parser("write", help="choose pairs, split them and write a set")
    p.set_defaults(run=write)
    p.add_argument(
        "sources",
        nargs="*",
        type=Path,
        metavar="SOURCE",
        help="session folder, .nudiff file, or folder of nudiff generate or nudiff render",
    )
    p.add_argument(
        "--real",
        action="append",
        default=[],
        type=Path,
        metavar="DIR",
        help="labelled real images, in any format that nudiff data reads",
    )
    p.add_argument("--out", type=Path, metavar="DIR", help="folder of the set")
    p.add_argument(
        "--format",
        action="append",
        nargs="+",
        default=[],
        metavar="NAME",
        help="one or several; nudiff export formats lists them",
    )
    p.add_argument("--title", default="Nuclei in H&E")
    p.add_argument("--licence", default="unknown", help="of the real images")
    p.add_argument("--dry-run", action="store_true", help="tell what would be in it")
    p.add_argument("--overwrite", action="store_true", help="replace an exported set in --out")
    p.add_argument("--restart", action="store_true", help="throw an unfinished export away")
    p.add_argument("--skip-bad", action="store_true", help="leave pairs out that cannot be read")
    add_quiet(p)
    _add_split(p.add_argument_group("splits: lineages and patients are never torn apart"))
    _add_gate(p.add_argument_group("which pairs"))
    _add_nuclei(p.add_argument_group("nuclei and names"))


def _add_split(p: Any) -> None:
    p.add_argument("--val", type=float, default=0.1, metavar="SHARE")
    p.add_argument("--test", type=float, default=0.1, metavar="SHARE")
    for split in ("val", "test"):
        p.add_argument(
            f"--{split}-groups",
            nargs="+",
            default=(),
            metavar="PATTERN",
            help="patients or names of real images, instead of a share",
        )
    p.add_argument(
        "--synthetic-everywhere",
        action="store_true",
        help="beside real images, synthetic ones are for training only, unless this is given",
    )
    p.add_argument("--seed", type=int, default=0)


def _add_gate(p: Any) -> None:
    p.add_argument(
        "--reviews", type=Path, metavar="DIR", help="of review files; else beside the pairs"
    )
    p.add_argument("--min-realism", type=float, default=0, metavar="GRADE", help="1 to 5")
    p.add_argument("--min-correctness", type=float, default=0, metavar="GRADE", help="1 to 5")
    p.add_argument("--without-flags", action="store_true", help="none with flagged nuclei")
    p.add_argument("--starred", action="store_true", help="those starred in their session")
    p.add_argument("--applied", action="store_true", help="those applied in their session")
    p.add_argument("--min-nuclei", type=int, default=0, metavar="N")


def _add_nuclei(p: Any) -> None:
    p.add_argument(
        "--class",
        dest="classes",
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="rename a class; OLD= leaves its nuclei out",
    )
    p.add_argument("--default-class", default="nucleus", help="of nuclei without one")
    p.add_argument("--border", default="keep", help="keep, or drop nuclei that the border cuts")
    p.add_argument("--min-area", type=int, default=0, metavar="PX", help="of a nucleus")
    p.add_argument("--names", default="{kind}_{index:05d}", help="template of file names")
    p.add_argument("--um-per-px", type=float, metavar="UM", help="of real images that do not tell")
    p.add_argument("--target-um-per-px", type=float, metavar="UM", help="resample real images")
