"""What should be the default: sampler, steps and guidance by variety and by likeness to tissue.

Every variant renders the same layouts with the same seeds: fields of held-out images in the stain
of the real image, and sampled layouts. What is wanted is a high coverage of real crops by the
renders of sampled layouts (`napari_nudiff.evaluation.coverage`), and a judge that agrees with the
renders of held-out fields as much as with the real images, no more and no less: Dice, nuclei
missed and nuclei that the layout lacks, per 100.

A variant is SAMPLER:STEPS:GUIDANCE:LOW-HIGH, the last the noise levels between which guidance acts.
The limited interval of the defaults, 0.3 to 8, follows from the schedule: a nucleus of 300 px shows
through noise of sigma s with an error of s / 17 in its colour, and differs from what is around it
by about 0.5 on the scale of -1..1. So it is between sigma 8 and 2 that is decided where nuclei
are; above it colours and the kind of tissue are, where guidance costs variety; below 0.3 only grain
is left.

Renders are kept in --out with a JSON for each variant, and made variant by variant for each layout,
so that it can be stopped at any time; the same command goes on. With --show nothing is rendered.

    python benchmarks/defaults.py --data FOLDER --out DIR [--image NAME] [--structure NAME]
        [--variants dpmpp_2m:20:1.2:0-inf ...] [--count 64] [--fields 20] [--size 256]
        [--held-out PATTERN ...] [--um-per-px UM] [--segmenter FILE] [--show]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_nudiff.checkpoints import (
    DEFAULT_IMAGE,
    DEFAULT_STRUCTURE,
    find_checkpoint,
    load_model,
)
from napari_nudiff.dataset.images import read_layout, read_rgb, write_layout, write_rgb, write_text
from napari_nudiff.dataset.pair import Pair
from napari_nudiff.evaluation.agreement import Score, difference, score, summary
from napari_nudiff.evaluation.coverage import Coverage, measure_coverage
from napari_nudiff.evaluation.distance import standardised
from napari_nudiff.evaluation.features import JudgeFeatures
from napari_nudiff.evaluation.resampling import Interval
from napari_nudiff.evaluation.segmenter import (
    Segmenter,
    SegmenterConfig,
    load_segmenter,
    train_segmenter,
)
from napari_nudiff.evaluation.study import crops_of, fields_of, of_one_scale, scale_option
from napari_nudiff.nuclei.descriptors import stain_style
from napari_nudiff.synthesis.appearance import appearance_of_image
from napari_nudiff.synthesis.canvas import derived_seed
from napari_nudiff.synthesis.pipeline import render, sample_layout
from napari_nudiff.synthesis.request import LayoutRequest, RenderRequest
from napari_nudiff.work import run

GUIDED = [f"dpmpp_2m:20:{g}:{i}" for g in ("1.1", "1.2", "1.5") for i in ("0-inf", "0.3-8")]
OTHERS = [
    f"{sampler}:{guidance}:0-inf"
    for sampler in ("dpmpp_2m:12", "dpmpp_2m:16", "dpmpp_2m_sde:30", "dpmpp_2m_sde:50")
    for guidance in ("1.0", "1.2")
]
VARIANTS = ["dpmpp_2m:20:1.0:0-inf", *GUIDED, *OTHERS]


@dataclass(frozen=True)
class Item:
    """A layout to render; the real field where there is one."""

    name: str
    labels: np.ndarray
    seed: int
    field: Pair | None = None


class Variant:
    """One way to sample, its renders and its record."""

    def __init__(self, text: str, folder: Path) -> None:
        sampler, steps, guidance, interval = text.split(":")
        low, high = (float(v) for v in interval.split("-"))
        self.text, self.folder = text, folder / text.replace(":", "_")
        self.request: dict[str, Any] = {
            "sampler": sampler,
            "steps": int(steps),
            "guidance": float(guidance),
            "guidance_interval": (low, high),
        }
        self._record = self.folder.with_name(f"{self.folder.name}.json")
        try:
            self.record = json.loads(self._record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self.record = {"variant": text, "seconds": {}, "scores": {}}

    def image(self, item: Item) -> np.ndarray:
        """A render that was made."""
        return read_rgb(self.folder / f"{item.name}.png")

    def has(self, item: Item) -> bool:
        """Whether an item was rendered and recorded."""
        return item.name in self.record["seconds"]

    def make(self, item: Item, judge: Segmenter, options: dict[str, Any]) -> None:
        """Render an item and keep what came of it."""
        like: dict[str, Any] = {}
        if item.field:
            like["style"] = tuple(map(float, stain_style(item.field.image)))
            if load_model(options["checkpoint"]).header.network.has("appearance"):
                like["appearance"] = appearance_of_image(
                    options["checkpoint"], item.field.image, options.get("um_per_px")
                )
        request = RenderRequest(**self.request, **options, **like, seed=item.seed)
        start = time.perf_counter()
        image = run(render(item.labels, request)).image
        seconds = time.perf_counter() - start
        assert image is not None
        write_rgb(self.folder / f"{item.name}.png", image)
        if item.field:
            self.record["scores"][item.name] = asdict(score(judge, item.field, image))
        self.record["seconds"][item.name] = round(seconds, 3)
        write_text(self._record, json.dumps(self.record, indent=1))


def main() -> None:
    """Render what is missing, print the table."""
    args = _arguments()
    training, held_out, scale = of_one_scale(args.data, args.held_out, args.um_per_px)
    path = args.segmenter or args.out / "segmenter.safetensors"
    for progress in train_segmenter(training, path, SegmenterConfig(args.segmenter_steps)):
        print(f"\rjudge: step {progress.done} of {progress.total}", end="", flush=True)
    judge = load_segmenter(path)
    fields = fields_of(held_out, args.size, 2)[: args.fields]
    image = find_checkpoint(args.image)
    what = [image.sha256, hashlib.sha256(path.read_bytes()).hexdigest(), args.size, scale]
    what += [hashlib.sha256(f.labels.tobytes() + f.image.tobytes()).hexdigest() for f in fields]
    folder = args.out / hashlib.sha256(json.dumps(what).encode()).hexdigest()[:8]
    items = [Item(f"held-out-{i:04d}", f.labels, derived_seed(0, i), f) for i, f in _by(fields)]
    items += [
        Item(f"sampled-{i:04d}", labels, derived_seed(0, i))
        for i, labels in _by(_layouts(args, scale))
    ]
    variants = [Variant(text, folder) for text in args.variants]
    options = {"checkpoint": args.image, **scale_option(args.image, scale)}
    if not args.show:
        for i, item in enumerate(items):
            for variant in variants:
                if not variant.has(item):
                    variant.make(item, judge, options)
            print(f"\r{i + 1} of {len(items)} layouts", end="", flush=True)
    real = [score(judge, f) for f in fields]
    crops = crops_of(training, args.size), crops_of(held_out, args.size)
    print("\n" + "\n".join(_table(judge, variants, items, real, crops)))


def _by(things: Sequence[Any]) -> list[tuple[int, Any]]:
    return list(enumerate(things))


def _layouts(args: argparse.Namespace, scale: float | None) -> list[np.ndarray]:
    """Sampled layouts, made once for all variants."""
    structure = find_checkpoint(args.structure)
    folder = args.out / f"layouts-{structure.sha256[:8]}-{args.size}"
    for i in range(0 if args.show else args.count):
        path = folder / f"{i:04d}.tif"
        if not path.is_file():
            request = LayoutRequest(
                checkpoint=args.structure,
                height_px=args.size,
                width_px=args.size,
                seed=derived_seed(0, i),
                **scale_option(args.structure, scale),
            )
            write_layout(path, run(sample_layout(request)).labels)
    return [read_layout(p) for p in sorted(folder.glob("*.tif"))[: args.count]]


def _table(
    judge: Segmenter,
    variants: Sequence[Variant],
    items: Sequence[Item],
    real: Sequence[Score],
    crops: tuple[list[Pair], list[Pair]],
) -> list[str]:
    """Rows of Markdown; the first are real images."""
    extract = JudgeFeatures(judge)
    seen, unseen = (extract(np.stack([f.image for f in fields])) for fields in crops)
    rows = [
        "| variant | coverage | Dice, minus real | missed per 100 | extra per 100 | s |",
        "|---|---|---|---|---|---|",
    ]
    ceilings: Coverage | None = None
    for variant in variants:
        made = [i for i in items if variant.has(i)]
        free = [variant.image(i) for i in made if not i.field]
        scores = [Score(**variant.record["scores"][i.name]) for i in made if i.field]
        if not (free and scores):
            rows.append(f"| {variant.text} | not finished: {len(made)} of {len(items)} |||||")
            continue
        known, unknown, renders = standardised(seen, unseen, extract(np.stack(free)))
        covered = measure_coverage(known, crops[0], unknown, renders)
        ceilings = ceilings or covered
        same = [r for r, i in zip(real, items, strict=False) if i in made]
        apart, rates = difference(scores, same)["dice"], summary(scores)
        seconds = statistics.median(variant.record["seconds"].values())
        parts = f" ({len(made)} of {len(items)})" if len(made) < len(items) else ""
        rows.append(
            f"| {variant.text}{parts} | {_short(covered.renders)} | {apart.value:+.3f} "
            f"({apart.low:+.3f} to {apart.high:+.3f}) | {rates['missed'].value:.1f} | "
            f"{rates['extra'].value:.1f} | {seconds:.2f} |"
        )
    told = summary(real)
    name = f"real images (Dice {told['dice'].value:.3f})"
    if ceilings:
        rows.insert(
            2,
            f"| {name} | held-out patients {_short(ceilings.held_out)}, other half of the training "
            f"patients {_short(ceilings.patients)}, of the images {_short(ceilings.images)} | 0 | "
            f"{told['missed'].value:.1f} | {told['extra'].value:.1f} | |",
        )
        rows.append(f"\nCoverage between {ceilings.n} images on both sides; {len(real)} fields.")
    return rows


def _short(of: Interval) -> str:
    return f"{of.value:.2f} ({of.low:.2f} to {of.high:.2f})" if math.isfinite(of.value) else "-"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--held-out", nargs="+", default=(), metavar="PATTERN")
    parser.add_argument("--um-per-px", type=float)
    parser.add_argument("--image", default=DEFAULT_IMAGE)
    parser.add_argument("--structure", default=DEFAULT_STRUCTURE)
    parser.add_argument("--variants", nargs="+", default=VARIANTS)
    parser.add_argument("--count", type=int, default=64, help="sampled layouts")
    parser.add_argument("--fields", type=int, default=20, help="held-out fields")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--segmenter", type=Path)
    parser.add_argument("--segmenter-steps", type=int, default=1200)
    parser.add_argument("--show", action="store_true", help="only the table of what is there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
