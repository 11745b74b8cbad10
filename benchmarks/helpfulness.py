"""Does it help? Segmenters trained on a few real patches, without and with their renders.

The hardest test of an image model: the layouts are real, so that only the look of the tissue is
new. Both arms have the same network, seeds, augmentation and number of steps.

    real    all crops come from the real patches
    mixed   a share of them comes from renders of the layouts of the same patches

Each segmenter is scored on the held-out images, whole, by the mean of their AJI. A result is kept
in a file below --out and not made again; the same command goes on after an interruption, and
another model or share shares the real arm. Three seeds differ by about 0.01: the paired difference
of the seeds is what counts, and one seed says nothing.

    nudiff data prepare monuseg --out data/monuseg-10 --subset 10 --held-out-groups 'TCGA-HE-*' ...
    python benchmarks/helpfulness.py --data data/monuseg-10 --out DIR [--image NAME]
        [--patches 34] [--renders 1] [--share 0.5] [--stain own|drawn] [--seeds 0 1 2]
        [--steps 800] [--sampling-steps 20] [--sampler dpmpp_2m] [--guidance 1.2]
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from napari_nudiff.checkpoints import DEFAULT_IMAGE, find_checkpoint
from napari_nudiff.dataset.images import read_rgb, write_rgb, write_text
from napari_nudiff.dataset.pair import Pair
from napari_nudiff.dataset.subset import cut
from napari_nudiff.evaluation.resampling import mean_interval
from napari_nudiff.evaluation.segmenter import (
    SegmenterConfig,
    load_segmenter,
    segment,
    train_segmenter,
)
from napari_nudiff.evaluation.study import of_one_scale, scale_option
from napari_nudiff.nuclei.descriptors import stain_style
from napari_nudiff.nuclei.metrics import aji, dice
from napari_nudiff.synthesis.canvas import derived_seed
from napari_nudiff.synthesis.defaults import GUIDANCE, RENDER_STEPS
from napari_nudiff.synthesis.pipeline import render
from napari_nudiff.synthesis.request import RenderRequest
from napari_nudiff.work import run


def main() -> None:
    """Train what is missing, print both arms."""
    args = _arguments()
    training, test, scale = of_one_scale(args.data, args.held_out, args.um_per_px)
    real = _patches(training, args)
    nuclei = sum(len(np.unique(p.labels[p.labels > 0])) for p in real)
    print(f"{len(real)} patches, {nuclei} nuclei; tested on {len(test)} images", flush=True)
    rendered = _rendered(real, args, scale)
    arms = {"real": real, "mixed": _mixed(real, rendered, args.renders, args.share)}
    found = {name: [_score(pool, test, s, args) for s in args.seeds] for name, pool in arms.items()}
    print(f"\n| AJI | mean | {' | '.join(f'seed {s}' for s in args.seeds)} |")
    print("|" + "---|" * (len(args.seeds) + 2))
    for name, results in found.items():
        _show(name, [float(np.mean(r["aji"])) for r in results])
    apart = np.array([r["aji"] for r in found["mixed"]]) - [r["aji"] for r in found["real"]]
    _show("mixed - real", apart.mean(axis=1).tolist(), signed=True)
    print(f"\nThe difference over the test images: {mean_interval(apart.mean(axis=0).tolist())}")


def _patches(training: Sequence[Pair], args: argparse.Namespace) -> list[Pair]:
    """The labelled part: patches of the training images with nuclei in them, drawn by a seed."""
    found = [
        replace(
            pair.window(np.s_[top : top + height, left : left + width]),
            name=f"{pair.name}-{top}-{left}",
        )
        for pair in training
        for top, left, height, width in cut(pair.labels.shape, args.patch, args.patch)
    ]
    found = [p for p in found if p.labels.any()]
    if not args.patches or args.patches >= len(found):
        return found
    chosen = np.random.default_rng(args.part_seed).permutation(len(found))[: args.patches]
    return [found[i] for i in sorted(chosen)]


def _rendered(real: Sequence[Pair], args: argparse.Namespace, scale: float | None) -> list[Pair]:
    """Renders of the patches' layouts; each is kept under what determines it."""
    sha256, found = find_checkpoint(args.image).sha256, []
    for i, pair in enumerate(real):
        own = tuple(map(float, stain_style(pair.image))) if args.stain == "own" else None
        for k in range(args.renders):
            request = RenderRequest(
                checkpoint=args.image,
                sampler=args.sampler,
                steps=args.sampling_steps,
                guidance=args.guidance,
                guidance_interval=tuple(args.guidance_interval),
                style=own,
                seed=derived_seed(args.part_seed, i * 1000 + k),
                **scale_option(args.image, scale),
            )
            key = _key(sha256, request.to_dict(), pair.labels.tobytes())
            path = args.out / "renders" / f"{key}.png"
            if not path.is_file():
                image = run(render(pair.labels, request)).image
                assert image is not None
                write_rgb(path, image)
            found.append(replace(pair, name=f"{pair.name}-render-{k}", image=read_rgb(path)))
        print(f"\rrendered {i + 1} of {len(real)} layouts", end="", flush=True)
    return found


def _mixed(
    real: Sequence[Pair], rendered: Sequence[Pair], renders: int, share: float
) -> list[Pair]:
    """Both pools in one, repeated so that crops come from renders with a probability of ``share``.

    A patch is drawn evenly from the pool: R renders a layout, each b times, against a real patch a
    times make a share of R b / (a + R b).
    """
    if share == 1:
        return [*rendered]
    times = Fraction(renders * (1 - share) / share).limit_denominator(20)
    return [*real] * times.numerator + [*rendered] * times.denominator


def _score(
    pool: Sequence[Pair], test: Sequence[Pair], seed: int, args: argparse.Namespace
) -> dict[str, Any]:
    """AJI and Dice of every test image by a segmenter of a seed, kept in a file."""
    config = SegmenterConfig(args.steps, seed=seed)
    pixels = [p.image.tobytes() + p.labels.tobytes() for p in (*pool, *test)]
    key = _key(repr(config), len(pool), *pixels)
    path = args.out / "results" / f"{key}.json"
    if path.is_file():
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return kept
    weights = args.out / "segmenters" / f"{key}.safetensors"
    for progress in train_segmenter(pool, weights, config):
        print(f"\rseed {seed}: step {progress.done} of {progress.total}", end="", flush=True)
    judge = load_segmenter(weights)
    seen = [segment(judge, p.image) for p in test]
    scores = {
        metric.__name__: [metric(p.labels, s) for p, s in zip(test, seen, strict=True)]
        for metric in (aji, dice)
    }
    about = {"seed": seed, "steps": args.steps, "pool": len(pool), "test": [p.name for p in test]}
    write_text(path, json.dumps(about | scores, indent=1))
    return about | scores


def _show(name: str, values: Sequence[float], signed: bool = False) -> None:
    form = "+.4f" if signed else ".4f"
    cells = " | ".join(f"{v:{form}}" for v in (float(np.mean(values)), *values))
    print(f"| {name} | {cells} |")


def _key(*parts: object) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else json.dumps(part).encode())
    return digest.hexdigest()[:16]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="what `nudiff data prepare` wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder of all that is kept")
    parser.add_argument("--held-out", nargs="+", default=(), metavar="PATTERN")
    parser.add_argument("--um-per-px", type=float)
    parser.add_argument("--image", default=DEFAULT_IMAGE)
    parser.add_argument("--patches", type=int, default=0, help="labelled patches (0 = all)")
    parser.add_argument("--patch", type=int, default=256, help="their side, px")
    parser.add_argument("--part-seed", type=int, default=0, help="which patches, and their renders")
    parser.add_argument("--renders", type=int, default=1, help="of each layout")
    parser.add_argument("--share", type=float, default=0.5, help="of the crops that are renders")
    parser.add_argument("--stain", choices=("own", "drawn"), default="own")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=800, help="of each segmenter")
    parser.add_argument("--sampler", default="dpmpp_2m")
    parser.add_argument("--sampling-steps", type=int, default=RENDER_STEPS)
    parser.add_argument("--guidance", type=float, default=GUIDANCE)
    parser.add_argument(
        "--guidance-interval", type=float, nargs=2, default=[0.0, float("inf")], metavar=("A", "B")
    )
    args = parser.parse_args()
    if not (0 < args.share <= 1 and args.renders > 0):
        parser.error("--share must be above 0 and at most 1, and --renders at least 1")
    return args


if __name__ == "__main__":
    main()
