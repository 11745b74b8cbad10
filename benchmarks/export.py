"""What a pair costs to export: time and bytes by format, beside a plain PNG and TIFF of the pair.

Formats take turns over the same pairs, so that what else the machine does meets all of them. Shards
of all rounds are equal; what is written is thrown away.

    python benchmarks/export.py [--pairs 32] [--side 256] [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.dataset.sample import write_sample
from napari_nudiff.dataset.writers import FORMATS
from napari_nudiff.dataset.writers.member import Member, Shard
from napari_nudiff.nuclei.layout import scatter_nuclei
from napari_nudiff.sample_data import rendered_pair

PLAIN = "PNG and TIFF"


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=32)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    members = tuple(member(number, args.side) for number in range(args.pairs))
    seconds: dict[str, list[float]] = {name: [] for name in (PLAIN, *FORMATS)}
    sizes: dict[str, int] = {}
    for _ in range(args.rounds):
        for name in seconds:
            with tempfile.TemporaryDirectory() as folder:
                start = time.perf_counter()
                write(name, Path(folder), members)
                seconds[name].append((time.perf_counter() - start) / len(members))
                files = (path for path in Path(folder).rglob("*") if path.is_file())
                sizes[name] = sum(path.stat().st_size for path in files) // len(members)
    print(f"{'':<18} {'ms a pair':>10} {'ratio':>6} {'kB a pair':>10}")
    for name, times in seconds.items():
        ratios = [a / b for a, b in zip(times, seconds[PLAIN], strict=True)]
        print(
            f"{name:<18} {1e3 * statistics.median(times):>10.1f} {statistics.median(ratios):>6.2f} "
            f"{sizes[name] / 1e3:>10.0f}"
        )


def member(number: int, side: int) -> Member:
    """A part of a render with as many nuclei as tissue has."""
    (image, _, _), _ = rendered_pair()
    rolled = np.roll(np.asarray(image), 17 * number, axis=(0, 1))
    labels = scatter_nuclei((side, side), density=0.2, seed=number).astype(np.uint16)
    classes = np.ones(int(labels.max()), np.int64)
    tile = np.tile(rolled, (side // rolled.shape[0] + 1, side // rolled.shape[1] + 1, 1))
    part = np.ascontiguousarray(tile[:side, :side])
    return Member(f"pair_{number:05d}", part, labels, classes, 0.25, {"synthetic": True})


def write(name: str, folder: Path, members: tuple[Member, ...]) -> None:
    """Write the members in a format, or plainly."""
    if name in FORMATS:
        FORMATS[name].write(folder, Shard("train", 0, members, ("nucleus",)))
        return
    for each in members:
        write_sample(folder, each.name, Pair(Layout(each.labels.astype(np.int32)), each.image))


if __name__ == "__main__":
    main()
