"""Make tests/data/golden/nuclei.npz: layouts, and what the authors' own code answers to them.

python scripts/make_golden_nuclei.py --official FOLDER

FOLDER is a checkout of the authors' repository (github.com/lhaof/Nudiff; the golden values are of
commit d950268). Its modules need blobfile, matplotlib, opencv-python-headless, termcolor and tqdm.

The layouts are made here from fixed seeds: scattered nuclei, and nuclei drawn over others, so that
there are crescents, slivers and long contacts.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.nuclei.layout import relabel_contiguous, scatter_nuclei, split_disconnected

OUT = Path(__file__).parents[1] / "tests" / "data" / "golden" / "nuclei.npz"
SIDE_PX = 256
SPACINGS = ("random", "clustered", "regular")
MIN_AREA_PX = 10  # what the published decoder keeps

# Density, mean area (px), eccentricity, gap (px), of each layout.
SCATTERED = (
    (0.1, 500.0, 0.3, 1.0),
    (0.2, 150.0, 0.5, 1.0),
    (0.3, 300.0, 0.6, 0.0),
    (0.35, 200.0, 0.7, 1.0),
    (0.4, 400.0, 0.8, 0.0),
    (0.4, 200.0, 0.85, 1.0),
)
# Density and mean area (px) of each of two scatters, the second drawn over the first.
OVERLAPPING = (
    (0.08, 500.0),
    (0.1, 250.0),
    (0.12, 300.0),
    (0.14, 350.0),
    (0.17, 400.0),
    (0.2, 600.0),
)


def main() -> None:
    """Make the layouts, ask the authors' code, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--official", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    sys.path.insert(0, str(args.official))
    golden = {}
    for name, labels in layouts().items():
        maps, instances = answers(labels)
        golden |= {f"{name}_labels": labels, f"{name}_hv": maps, f"{name}_instances": instances}
    np.savez_compressed(args.out, **golden)
    print(args.out, args.out.stat().st_size, "bytes")


def layouts() -> dict[str, NDArray[np.int32]]:
    """The layouts by name."""
    scattered = {f"scattered{i}": scatter(i, *values) for i, values in enumerate(SCATTERED)}
    return scattered | {f"overlapping{i}": overlap(i, *v) for i, v in enumerate(OVERLAPPING)}


def scatter(
    number: int, density: float, mean_area_px: float, eccentricity: float, min_gap_px: float
) -> NDArray[np.int32]:
    """Nuclei of which none overlaps another."""
    return scatter_nuclei(
        (SIDE_PX, SIDE_PX),
        density=density,
        mean_area_px=mean_area_px,
        eccentricity=eccentricity,
        min_gap_px=min_gap_px,
        spacing=SPACINGS[number % 3],
        seed=number,
    )


def overlap(number: int, density: float, mean_area_px: float) -> NDArray[np.int32]:
    """Nuclei drawn over others; a part that is cut off is a nucleus of its own."""
    drawn = np.zeros((SIDE_PX, SIDE_PX), np.int32)
    for layer in range(2):
        above = scatter_nuclei(
            drawn.shape,
            density=density,
            mean_area_px=mean_area_px,
            min_gap_px=0,
            spacing=SPACINGS[number % 3],
            seed=100 + 2 * number + layer,
        )
        drawn = np.where(above > 0, above + drawn.max(), drawn)
    parts = split_disconnected(drawn)
    specks = np.bincount(parts.ravel()) < MIN_AREA_PX
    return relabel_contiguous(np.where(specks[parts], 0, parts))


def answers(labels: NDArray[np.int32]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """The authors' maps (H, W, 2), and what their decoder finds in the maps at 8 bits.

    It decodes in one frame, that of the maps. Their `get_instance_map` decodes in eight and keeps
    the one with most nuclei, which can be one that breaks nuclei apart.
    """
    from nudiff.image_syn.utils.datasets import get_hv
    from nudiff.image_syn.utils.post_proc import proc_np_hv_

    maps = get_hv(labels)
    h, v = (np.round((maps + 1) * 127.5) / 255 * 2 - 1).astype(np.float32).transpose(2, 0, 1)
    instances = proc_np_hv_((labels > 0).astype(np.float32), h, v)
    return maps, np.asarray(instances, dtype=np.int32)


if __name__ == "__main__":
    main()
