"""``nudiff evaluate``."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

from napari_nudiff.cli.options import add_quiet
from napari_nudiff.cli.progress import watched
from napari_nudiff.synthesis.defaults import GUIDANCE, RENDER_STEPS


def add_commands(commands: Any) -> None:
    """Add ``evaluate`` to the commands of ``nudiff``."""
    p = commands.add_parser("evaluate", help="measure how good models are")
    verbs = p.add_subparsers(required=True, metavar="WHAT")
    verb = verbs.add_parser("pairs", help="images and layouts: agreement, realism, nuclei, copies")
    verb.set_defaults(run=evaluate_pairs)
    verb.add_argument("--data", type=Path, required=True, help="what `nudiff data prepare` wrote")
    verb.add_argument("--out", type=Path, required=True, help="folder for report and samples")
    verb.add_argument("--held-out", nargs="+", metavar="PATTERN", help="images to judge by")
    verb.add_argument("--image", help="image model: name or file")
    verb.add_argument("--structure", help="structure model: name or file")
    verb.add_argument("--count", type=int, help="layouts to sample and render (64)")
    verb.add_argument("--size", type=int, dest="size_px", help="side of the images, px (256)")
    verb.add_argument(
        "--um-per-px",
        type=float,
        metavar="UM",
        help="side of a pixel: which images of a set with several scales",
    )
    verb.add_argument("--steps", type=int, help=f"sampling steps of renders ({RENDER_STEPS})")
    verb.add_argument("--guidance", type=float, help=f"guidance ({GUIDANCE:g})")
    verb.add_argument("--sampler", help="sampler (dpmpp_2m)")
    verb.add_argument("--features", help="judge (default), random or inception")
    verb.add_argument("--feature-weights", type=Path, help="file of the inception features")
    verb.add_argument("--segmenter", type=Path, help="file to keep the judge in")
    verb.add_argument("--segmenter-steps", type=int, help="how long to train it (1200)")
    verb.add_argument("--seed", type=int)
    verb.add_argument("--device")
    add_quiet(verb)


def evaluate_pairs(args: argparse.Namespace) -> None:
    """``nudiff evaluate pairs``."""
    from napari_nudiff.evaluation.plots import check_plots
    from napari_nudiff.evaluation.report import write_report
    from napari_nudiff.evaluation.study import StudyConfig
    from napari_nudiff.evaluation.study import evaluate_pairs as evaluate
    from napari_nudiff.evaluation.verdicts import verdicts

    check_plots()
    values = {f.name: getattr(args, f.name) for f in fields(StudyConfig)}
    values["held_out"] = tuple(args.held_out or ())
    config = StudyConfig(**{k: v for k, v in values.items() if v is not None})
    study = watched(evaluate(config), quiet=args.quiet)
    path = write_report(study)
    for verdict in verdicts(study):
        print(f"{verdict.question} {verdict.answer}. {verdict.why}")
    print(path)
