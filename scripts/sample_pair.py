"""Make the rendered pair that ships as sample data: `python scripts/sample_pair.py`.

Both stages are the embedded models; the seeds were chosen by eye among twelve.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_nudiff.dataset.pair_file import Pair, write_pair
from napari_nudiff.sample_data import RENDERED_PAIR
from napari_nudiff.synthesis.pipeline import completed, render, sample_layout
from napari_nudiff.synthesis.request import LayoutRequest, RenderRequest

SAMPLE_DATA = Path(__file__).parents[1] / "src" / "napari_nudiff" / "sample_data"


def main() -> None:
    """Sample a layout, render it, write the file."""
    args = _parser().parse_args()
    layout = LayoutRequest(height_px=256, width_px=256, seed=args.layout_seed, device="cpu")
    labels = completed(sample_layout(layout)).labels
    request = RenderRequest(seed=args.seed, steps=50, device="cpu", precision="fp32")
    sample = completed(render(labels, request))
    um_per_px = sample.provenance["um_per_px"]
    spatial = {
        "scale": [um_per_px, um_per_px],
        "units": ["um", "um"],
        "axis_labels": ["y", "x"],
    }
    write_pair(args.out, Pair(sample, "sampled layout", spatial))
    print(args.out, args.out.stat().st_size, "bytes,", labels.max(), "nuclei")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=SAMPLE_DATA / RENDERED_PAIR)
    parser.add_argument("--layout-seed", type=int, default=4)
    parser.add_argument("--seed", type=int, default=4)
    return parser


if __name__ == "__main__":
    main()
