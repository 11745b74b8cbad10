"""Make the sample data of the package: `python scripts/make_sample_data.py`.

A sampled layout and its render, both by the default models, from fixed seeds and on one thread: the
same weights give the same file. Run it again when the default models change.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from napari_nudiff.dataset.pair_file import write_pair
from napari_nudiff.sample_data import RENDERED_PAIR
from napari_nudiff.synthesis.pipeline import render, sample_layout
from napari_nudiff.synthesis.request import LayoutRequest, RenderRequest
from napari_nudiff.work import run

SAMPLE_DATA = Path(__file__).parents[1] / "src" / "napari_nudiff" / "sample_data"
SIDE_PX = 512


def main() -> None:
    """Sample a layout, render it, write the file."""
    args = _parser().parse_args()
    torch.set_num_threads(1)
    layout = run(
        sample_layout(
            LayoutRequest(
                height_px=SIDE_PX,
                width_px=SIDE_PX,
                density=args.density,
                mean_area_px=args.mean_area,
                seed=args.layout_seed,
                steps=args.steps,
                device="cpu",
                precision="fp32",
            )
        )
    )
    request = RenderRequest(seed=args.seed, steps=args.steps, device="cpu", precision="fp32")
    sample = run(render(layout.labels, request))
    um_per_px = sample.provenance["um_per_px"]
    spatial = {
        "scale": [um_per_px, um_per_px],
        "units": ["um", "um"],
        "axis_labels": ["y", "x"],
    }
    notes = {"layout": layout.provenance}
    pair = replace(sample, name="sampled layout", spatial=spatial, notes=notes)
    write_pair(args.out, pair)
    nuclei = layout.labels.max()
    print(f"{args.out}: {args.out.stat().st_size} bytes, {nuclei} nuclei")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=SAMPLE_DATA / RENDERED_PAIR)
    parser.add_argument("--layout-seed", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--density", type=float, default=0.24)
    parser.add_argument("--mean-area", type=float, default=420.0)
    parser.add_argument("--steps", type=int, default=40)
    return parser


if __name__ == "__main__":
    main()
