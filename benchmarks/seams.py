"""Whether local edits leave a seam, and what they cost against rendering everything again.

In held-out real images, and in renders of their layouts, nuclei are removed, moved and added. The
gradient energy across the edge of the region (along its normal, in the band where new pixels fade
into old ones) is compared with that inside and outside, relative to the same ratio in the image
before: 1 = the edge does not show, more = a step, less = a blur; first of the image (its texture),
then of the image blurred (its tone). Two bad ways to edit show that the measure sees seams:
"pasted" takes the pixels from a render of the whole new layout in the image's stain, "blended" does
so with the soft edge.

    python benchmarks/seams.py --data FOLDER [--held-out 'tnbc_09_*' 'tnbc_10_*'] [--side 256]
        [--images 6] [--samplers dpmpp_2m] [--strength 1.0] [--margin 8 12 16] [--blend 2 4 8]
        [--json OUT] [--pictures DIR]
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from napari_nudiff.dataset.images import write_rgb
from napari_nudiff.dataset.pairs import load_pairs
from napari_nudiff.nuclei import editing
from napari_nudiff.nuclei.descriptors import stain_style
from napari_nudiff.synthesis.local import rerender
from napari_nudiff.synthesis.pipeline import render
from napari_nudiff.synthesis.region import changed_nuclei, region_around
from napari_nudiff.synthesis.request import EditRequest, RenderRequest
from napari_nudiff.work import run

RING_PX = 6  # width of the rings inside and outside that the edge is compared with
SCALES = {"texture": 0.0, "tone": 2.5}  # what is compared, and the blur (px) that leaves it


def main() -> None:
    """Edit every image in every way, and print a table."""
    args = arguments()
    cases = [
        Case(kind, name, image, before, after, *timed(partial(rendered, after, image)))
        for kind, image, before in fields(args)
        for name, after in edits(before)
    ]
    rows = []
    variants = itertools.product(args.samplers, args.strength, args.margin, args.blend)
    for sampler, strength, margin, blend in variants:
        request = EditRequest(
            sampler=sampler, strength=strength, margin_px=margin, blend_px=blend, seed=1
        )
        rows += measured(cases, request, args)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


class Case(NamedTuple):
    """An edit to make, and the whole image rendered anew after it."""

    kind: str
    name: str
    image: np.ndarray
    before: np.ndarray
    after: np.ndarray
    whole: np.ndarray
    whole_s: float


def timed(work: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """What some work makes, and the seconds that it takes."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def fields(args: argparse.Namespace) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Crops of the held-out images, and renders of their layouts."""
    _, held_out = load_pairs(args.data, held_out=args.held_out)
    for pair in held_out[:: max(1, len(held_out) // args.images)][: args.images]:
        image = np.ascontiguousarray(pair.image[: args.side, : args.side])
        labels = pair.labels[: args.side, : args.side].astype(np.int32)
        yield "real", image, labels
        yield "render", rendered(labels, image), labels


def rendered(labels: np.ndarray, like: np.ndarray) -> np.ndarray:
    """A render of a layout in the stain of an image, with another seed than the edits."""
    style = tuple(float(value) for value in stain_style(like))
    image = run(render(labels, RenderRequest(seed=2, style=style))).image
    assert image is not None
    return image


def edits(before: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Remove, move and add the nucleus that is nearest to the middle."""
    ids, areas = np.unique(before[before > 0], return_counts=True)
    middle = np.array(before.shape) / 2
    centres = np.array(ndimage.center_of_mass(before > 0, before, ids))
    nearest = ids[np.argmin(np.hypot(*(centres - middle).T) + 1e6 * (areas < 80))]
    for name, edit in (
        ("remove", editing.delete(before, int(nearest))),
        ("move", editing.move(before, int(nearest), (12, 10))),
        ("add", editing.duplicate(before, int(nearest), (30, -25))),
    ):
        after = before.copy()
        after[edit.indices] = edit.after
        yield name, after


def measured(
    cases: list[Case], request: EditRequest, args: argparse.Namespace
) -> list[dict[str, object]]:
    """Seams of all cases in one variant, real images and renders apart."""
    found: dict[str, list[dict[str, float]]] = {"real": [], "render": []}
    for number, case in enumerate(cases):
        image, core = case.image, changed_nuclei(case.before, case.after)
        edited, edit_s = timed(partial(rerendered, case, request))
        region = region_around(core, request.margin_px, request.blend_px)
        assert np.array_equal(edited[~region.mask], image[~region.mask])
        share = region.weight[..., None]
        pasted = np.where(share > 0, case.whole, image)
        blended = np.rint(image + share * (case.whole.astype(float) - image)).astype(np.uint8)
        values = {
            f"{way} {scale}": seam(new, core, request, blur_px)
            / seam(image, core, request, blur_px)
            for way, new in (("edited", edited), ("blended", blended), ("pasted", pasted))
            for scale, blur_px in SCALES.items()
        }
        found[case.kind].append({**values, "edit_s": edit_s, "whole_s": case.whole_s})
        if args.pictures:
            weight = np.repeat((255 * share).astype(np.uint8), 3, axis=2)
            args.pictures.mkdir(parents=True, exist_ok=True)
            path = args.pictures / f"{number:02d}-{case.kind}-{case.name}.png"
            write_rgb(path, np.hstack([image, edited, pasted, weight]))
    return [report(kind, rows, request) for kind, rows in found.items()]


def rerendered(case: Case, request: EditRequest) -> np.ndarray:
    """The image after a local edit."""
    image = run(rerender(case.image, case.before, case.after, request)).image
    assert image is not None
    return image


def seam(image: np.ndarray, core: np.ndarray, request: EditRequest, blur_px: float) -> float:
    """Gradient energy along the normal at the region's edge over that beside it."""
    distance = ndimage.distance_transform_edt(~core)
    normal = np.stack(np.gradient(ndimage.gaussian_filter(distance, 1.0)))
    normal /= np.maximum(np.hypot(*normal), 1e-6)
    smooth = ndimage.gaussian_filter(image.astype(float), (blur_px, blur_px, 0))
    slope = np.stack(np.gradient(smooth, axis=(0, 1)))
    energy = ((slope * normal[..., None]).sum(axis=0) ** 2).sum(axis=2)
    start, end = request.margin_px - request.blend_px, request.margin_px + 1.5
    at = (distance > start) & (distance <= end)
    inside = (distance > max(start - RING_PX, 0)) & (distance <= start)
    outside = (distance > end) & (distance <= end + RING_PX)
    return float(energy[at].mean() / (energy[inside | outside].mean() + 1e-6))


def report(kind: str, rows: list[dict[str, float]], request: EditRequest) -> dict[str, object]:
    """Print and return the medians of a variant."""
    median = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
    worst = max(row["edited texture"] for row in rows)
    ways = ", ".join(
        f"{way} {median[f'{way} texture']:.2f} {median[f'{way} tone']:.2f}"
        for way in ("edited", "blended", "pasted")
    )
    print(
        f"{kind:6} {request.sampler:12} strength {request.strength:.2f} margin "
        f"{request.margin_px:2d} blend {request.blend_px:2d} px, {len(rows)} edits: {ways}; "
        f"{median['edit_s']:.2f} s, whole {median['whole_s']:.2f} s",
        flush=True,
    )
    settings = {
        key: getattr(request, key) for key in ("sampler", "strength", "margin_px", "blend_px")
    }
    return {"kind": kind, "edits": len(rows), **settings, "worst": worst, **median}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with images/ and labels/")
    parser.add_argument("--held-out", nargs="+", default=["tnbc_09_*", "tnbc_10_*"])
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--samplers", nargs="+", default=["dpmpp_2m"])
    parser.add_argument("--strength", nargs="+", type=float, default=[1.0])
    parser.add_argument("--margin", nargs="+", type=int, default=[EditRequest.margin_px])
    parser.add_argument("--blend", nargs="+", type=int, default=[EditRequest.blend_px])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pictures", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
