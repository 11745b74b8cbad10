"""How many pairs a minute `nudiff generate` makes, by the number of processes.

Sets of all rounds are equal; numbers of processes take turns, so that what else the machine does
meets all of them. The time until the first pair (imports, loading the models) is told apart: it
does not grow with the set.

    python benchmarks/generation.py [--pairs 12] [--side 256] [--processes 1 2] [--rounds 3]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple


class Run(NamedTuple):
    """What one run took."""

    first_s: float
    pairs_per_minute: float


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    runs: dict[int, list[Run]] = {count: [] for count in args.processes}
    for _ in range(args.rounds):
        for count in runs:
            runs[count].append(run(args.pairs, args.side, count))
    print(f"{'processes':>9} {'pairs/min':>10} {'first pair (s)':>15}")
    for count, made in runs.items():
        rate = statistics.median(one.pairs_per_minute for one in made)
        first_s = statistics.median(one.first_s for one in made)
        print(f"{count:>9} {rate:>10.1f} {first_s:>15.1f}")


def run(pairs: int, side: int, processes: int) -> Run:
    """Make a set and throw it away."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "pairs"
        told = ["--count", str(pairs), "--size", str(side), str(side), "--quiet"]
        told += ["--processes", str(processes), "--out", str(out)]
        start_s = time.time()
        command = [sys.executable, "-m", "napari_nudiff.cli", "generate", *told]
        subprocess.run(command, check=True)
        # The JSON of a pair is written last, so its time is when the pair was complete.
        done_s = sorted(path.stat().st_mtime for path in out.glob("[0-9]*.json"))
    return Run(done_s[0] - start_s, 60 * (len(done_s) - processes) / (done_s[-1] - done_s[0]))


if __name__ == "__main__":
    main()
