"""Quality against sampler, steps and guidance: what the defaults were chosen by.

Layouts of held-out images are rendered in the stain of the real image, the same seed for every
variant. The judge of `nudiff evaluate`, trained on the real training images, says how well its
segmentation of a render fits the layout (Dice, AJI), and its features how far the render is from
the real image of the same layout (0 = the same, 1 = as far as two real fields are from each other
on average), and how far all renders are from random crops of the held-out images (KID; its row of
real images is the floor). With few fields KID only tells what is far off: --fields 20 or more.

    python benchmarks/agreement.py --data FOLDER [--held-out 'tnbc_09_*' 'tnbc_10_*']
        [--steps 4 6 8 12 16 20 30 50 100] [--samplers dpmpp_2m] [--guidance 1.5]
        [--fields 6] [--side 192] [--crops 60] [--segmenter FILE] [--json OUT] [--pictures DIR]
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
from scipy.spatial.distance import pdist

from napari_nudiff.checkpoints import DEFAULT_IMAGE
from napari_nudiff.dataset.images import write_rgb
from napari_nudiff.dataset.pair import Pair
from napari_nudiff.dataset.pairs import load_pairs
from napari_nudiff.evaluation.agreement import Score, score
from napari_nudiff.evaluation.distance import kid, standardised
from napari_nudiff.evaluation.features import JudgeFeatures
from napari_nudiff.evaluation.resampling import NOT_MEASURED, Interval
from napari_nudiff.evaluation.segmenter import (
    Segmenter,
    SegmenterConfig,
    load_segmenter,
    train_segmenter,
)
from napari_nudiff.evaluation.study import fields_of
from napari_nudiff.nuclei.descriptors import stain_style
from napari_nudiff.synthesis.pipeline import render
from napari_nudiff.synthesis.request import RenderRequest
from napari_nudiff.work import run


def main() -> None:
    """Train or load the judge, score every variant, print a table."""
    args = _arguments()
    training, held_out = load_pairs(args.data, held_out=args.held_out)
    config = SegmenterConfig(args.segmenter_steps)
    for progress in train_segmenter(training, args.segmenter, config):
        print(f"\rjudge: step {progress.done} of {progress.total}", end="", flush=True)
    judge = load_segmenter(args.segmenter)
    fields = fields_of(held_out, args.side, 1)[:: max(1, len(held_out) // args.fields)][
        : args.fields
    ]
    crops = _crops(held_out, args.side, args.crops)
    floor = _kid(judge, [f.image for f in fields], crops)
    rows = [_row("real images", [score(judge, f) for f in fields], 0.0, floor, 0.0)]
    _show(rows[-1])
    for sampler, steps, guidance in itertools.product(args.samplers, args.steps, args.guidance):
        rows.append(_measured(judge, fields, crops, sampler, steps, guidance, args))
        _show(rows[-1])
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


def _measured(
    judge: Segmenter,
    fields: list[Pair],
    crops: np.ndarray,
    sampler: str,
    steps: int,
    guidance: float,
    args: argparse.Namespace,
) -> dict[str, object]:
    made, seconds = [], []
    for i, field in enumerate(fields):
        style = tuple(float(v) for v in stain_style(field.image))
        request = RenderRequest(
            seed=i,
            style=style,
            checkpoint=args.checkpoint,
            sampler=sampler,
            steps=steps,
            guidance=guidance,
        )
        start = time.perf_counter()
        image = run(render(field.labels, request)).image
        seconds.append(time.perf_counter() - start)
        assert image is not None
        made.append(image)
    name = f"{sampler} {steps} {guidance:g}"
    if args.pictures:
        columns = [np.concatenate([f.image, m]) for f, m in zip(fields, made, strict=True)]
        write_rgb(args.pictures / f"{name.replace(' ', '-')}.png", np.concatenate(columns, axis=1))
    scores = [score(judge, f, m) for f, m in zip(fields, made, strict=True)]
    distances = _apart(judge, fields, made), _kid(judge, made, crops)
    return _row(name, scores, *distances, statistics.median(seconds))


def _crops(pairs: list[Pair], side: int, count: int) -> np.ndarray:
    """Crops of the images, the same each time, (N, side, side, 3)."""
    rng, crops = np.random.default_rng(0), []
    for i in range(count):
        image = pairs[i % len(pairs)].image
        top, left = (int(rng.integers(n - side + 1)) for n in image.shape[:2])
        crops.append(image[top : top + side, left : left + side])
    return np.stack(crops)


def _kid(judge: Segmenter, images: list[np.ndarray], crops: np.ndarray) -> Interval:
    """KID of images against crops of held-out images."""
    if len(images) < 2:
        return NOT_MEASURED
    extract = JudgeFeatures(judge)
    real, made = standardised(extract(crops), extract(np.stack(images)))
    return kid(made, real)


def _apart(judge: Segmenter, fields: list[Pair], made: list[np.ndarray]) -> float:
    """Mean distance of renders to their real images, in mean distances between real images."""
    extract = JudgeFeatures(judge)
    images = np.stack([f.image for f in fields])
    real, rendered = standardised(extract(images), extract(np.stack(made)))
    return float(np.linalg.norm(real - rendered, axis=1).mean() / pdist(real).mean())


def _row(
    name: str, scores: list[Score], apart: float, distance: Interval, seconds: float
) -> dict[str, object]:
    means = {key: statistics.mean(getattr(s, key) for s in scores) for key in ("dice", "aji")}
    kid_values = {k: None if v != v else v for k, v in asdict(distance).items()}
    return {"variant": name, **means, "apart": apart, "kid": kid_values, "seconds": seconds}


def _show(row: dict[str, object]) -> None:
    print(
        f"\r{row['variant']:<28}dice {row['dice']:.3f}  aji {row['aji']:.3f}  "
        f"apart {row['apart']:.3f}  kid {_kid_text(row['kid'])}  {row['seconds']:.2f} s",
        flush=True,
    )


def _kid_text(kid_values: dict[str, float | None]) -> str:
    value = kid_values["value"]
    return "-" if value is None else f"{value:.2f}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--held-out", nargs="+", default=["tnbc_09_*", "tnbc_10_*"])
    parser.add_argument("--checkpoint", default=DEFAULT_IMAGE)
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.5])
    parser.add_argument("--steps", type=int, nargs="+", default=[4, 6, 8, 12, 16, 20, 30, 50, 100])
    parser.add_argument("--samplers", nargs="+", default=["dpmpp_2m"])
    parser.add_argument("--fields", type=int, default=6)
    parser.add_argument("--side", type=int, default=192)
    parser.add_argument("--crops", type=int, default=60, help="real crops that KID is against")
    parser.add_argument("--segmenter", type=Path, default=Path("runs/segmenter.safetensors"))
    parser.add_argument("--segmenter-steps", type=int, default=1200)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
