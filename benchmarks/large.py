"""What a large render takes (memory, disk, time, a fresh process for each size), and its seams.

The layout is a zarr array, so that the peak is the render's own. "start" is the peak before the
first window: Python, torch, zarr and the network.

    python benchmarks/large.py [--sides 1024 2048 4096 8192] [--steps 1] [--checkpoint tiny]
        [--sampler dpmpp_2m] [--in-memory] [--folder DIR] [--json OUT]
    python benchmarks/large.py --seams --checkpoint NAME --sides 1024 --steps 12

``tiny`` is an untrained network: enough to see memory, in minutes. Any checkpoint can be named.

``--seams`` compares the gradient energy across the lines where windows end, and across the middles
of their overlaps, with that in the same direction elsewhere: 1 = no seam. Lines where there is
nothing show how much the measure varies; tiles that were rendered apart and pasted, that it sees
seams. Of the image (texture), and of the image blurred (tone).
"""

# The parent imports nothing large: a child's peak counts what its parent had when it was started.
from __future__ import annotations

import argparse
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

TILE_PX = 512
PASTED_PX = 256
SCALES = {"texture": 0.0, "tone": 2.5}  # what is compared, and the blur (px) that leaves it


def main() -> None:
    """Measure every size and print a table."""
    args = arguments()
    if args.one:
        print(json.dumps(measured(args.one, args)))
        return
    print(f"{args.checkpoint}, {args.sampler}, {args.steps} steps")
    rows = seams(args) if args.seams else costs(args)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


def costs(args: argparse.Namespace) -> list[dict[str, float]]:
    """Measure and print what every size takes."""
    print("  side   start MB    peak MB    disk MB  seconds  s/Mpx/step")
    rows = []
    for side in args.sides:
        rows.append(in_fresh_process(side))
        print(
            "{side:6d} {start_mb:10.0f} {peak_mb:10.0f} {disk_mb:10.0f} ".format(**rows[-1]), end=""
        )
        print("{seconds:8.1f} {s_per_mpx_step:11.3f}".format(**rows[-1]), flush=True)
    return rows


def in_fresh_process(side: int) -> dict[str, float]:
    """Run this script for one size."""
    command = [sys.executable, __file__, *sys.argv[1:], "--one", str(side)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    row: dict[str, float] = json.loads(done.stdout)
    return row


def measured(side: int, args: argparse.Namespace) -> dict[str, float]:
    """Render one layout and tell what it took."""
    from napari_nudiff.synthesis.pipeline import render
    from napari_nudiff.synthesis.request import RenderRequest
    from napari_nudiff.work import run

    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        labels = layout(folder, side)
        checkpoint = tiny(folder) if args.checkpoint == "tiny" else args.checkpoint
        request = RenderRequest(checkpoint=checkpoint, steps=args.steps, sampler=args.sampler)
        watch = Watch(folder)
        if args.in_memory:
            run(render(labels[:], request), watch)
        else:
            from napari_nudiff.synthesis.large import render_large

            run(render_large(labels, request, folder / "out.zarr"), watch)
        return watch.row(side, args.steps)


class Watch:
    """Notes when the first window starts, and the most that lies on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.start_mb, self.disk_mb, self.start_s = 0.0, 0.0, time.perf_counter()

    def __call__(self, progress) -> None:  # type: ignore[no-untyped-def]
        if progress.stage != "render":
            self.start_mb, self.start_s = peak_mb(), time.perf_counter()
        elif progress.preview is not None:
            files = (path for path in self.folder.rglob("*") if path.is_file())
            self.disk_mb = max(self.disk_mb, sum(path.stat().st_size for path in files) / 1e6)

    def row(self, side: int, steps: int) -> dict[str, float]:
        """What is printed of a size."""
        seconds = time.perf_counter() - self.start_s
        return {
            "side": side,
            "start_mb": self.start_mb,
            "peak_mb": peak_mb(),
            "disk_mb": self.disk_mb,
            "seconds": seconds,
            "s_per_mpx_step": seconds / (side * side / 1e6) / steps,
        }


def peak_mb() -> float:
    """Most memory that this process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def layout(folder: Path, side: int):  # type: ignore[no-untyped-def]
    """Scattered nuclei in tiles, as a zarr array, written a row of tiles at a time."""
    import numpy as np
    import zarr

    from napari_nudiff.nuclei.layout import scatter_nuclei

    tile = scatter_nuclei((TILE_PX, TILE_PX), density=0.25, mean_area_px=350, seed=1)
    labels = zarr.create_array(
        folder / "labels.zarr", shape=(side, side), chunks=(TILE_PX, TILE_PX), dtype=np.int32
    )
    number, count = 0, int(tile.max())
    for row in range(0, side, TILE_PX):
        for col in range(0, side, TILE_PX):
            labels[row : row + TILE_PX, col : col + TILE_PX] = np.where(
                tile > 0, tile + number * count, 0
            )[: side - row, : side - col]
            number += 1
    return labels


def tiny(folder: Path) -> str:
    """An untrained network, a third as wide as the compact ones, as a checkpoint."""
    import torch

    from napari_nudiff.diffusion.unet import UNet, UNetConfig
    from napari_nudiff.diffusion.weights import Header, write_weights

    torch.manual_seed(0)
    config = UNetConfig(base_channels=16, head_channels=16, norm_groups=8, cond_channels=3)
    path = folder / "tiny.safetensors"
    write_weights(path, UNet(config), Header("image", config), torch.float16)
    return str(path)


def seams(args: argparse.Namespace) -> list[dict[str, object]]:
    """Measure and print the seams of every size, and of tiles rendered apart."""
    import numpy as np

    from napari_nudiff.nuclei.layout import scatter_nuclei
    from napari_nudiff.synthesis.request import RenderRequest

    request = RenderRequest(
        checkpoint=args.checkpoint, steps=args.steps, sampler=args.sampler, seed=4
    )
    rows: list[dict[str, object]] = []
    for side in args.sides:
        labels = scatter_nuclei(
            (side, side), density=0.22, mean_area_px=380, spacing="clustered", seed=3
        )
        whole, (ends, middles) = blended(labels, request), window_lines(side)
        tiles = np.arange(PASTED_PX, side, PASTED_PX)
        for name, image, lines in (
            ("window ends", whole, ends),
            ("middles of overlaps", whole, middles),
            ("the same lines 100 px on", whole, [line + 100 for line in ends]),
            ("pasted tiles", pasted(labels, request), tiles),
        ):
            ratios = {scale: seam(image, lines, blur) for scale, blur in SCALES.items()}
            rows.append({"side": side, "lines": name, **ratios})
            print(f"{side:6d}  {name:25} " + "  ".join(f"{k} {v:.2f}" for k, v in ratios.items()))
    return rows


def blended(labels, request):  # type: ignore[no-untyped-def]
    """A render on disk, as an array."""
    import numpy as np

    from napari_nudiff.synthesis.large import render_large
    from napari_nudiff.work import run

    with tempfile.TemporaryDirectory() as folder:
        made = run(render_large(labels, request, Path(folder) / "x.zarr"))
        return np.asarray(made.image[0])


def pasted(labels, request):  # type: ignore[no-untyped-def]
    """Tiles that were rendered apart, side by side: a bad way, to see that seams are seen."""
    import numpy as np

    from napari_nudiff.synthesis.pipeline import render
    from napari_nudiff.work import run

    image = np.zeros((*labels.shape, 3), np.uint8)
    starts = range(0, len(labels), PASTED_PX)
    for number, (row, col) in enumerate(itertools.product(starts, starts)):
        at = np.s_[row : row + PASTED_PX, col : col + PASTED_PX]
        image[at] = run(render(labels[at], replace(request, seed=number))).image
    return image


def window_lines(side: int) -> tuple[list[int], list[int]]:
    """Where windows end, and the middles of their overlaps; a square has them both ways."""
    from napari_nudiff.synthesis.tiling import windows_over

    windows = windows_over(side, side, 16)
    tall, tops = windows[0].height, sorted({window.top for window in windows})
    ends = sorted({*tops[1:], *(top + tall for top in tops[:-1])})
    return ends, [(a + tall + b) // 2 for a, b in itertools.pairwise(tops)]


def seam(image, lines, blur_px: float) -> float:  # type: ignore[no-untyped-def]
    """Gradient energy across some lines, rows and columns, over that in the same direction."""
    import numpy as np
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(image.astype(np.float32), (blur_px, blur_px, 0))
    energy = sum((np.diff(smooth, axis=axis) ** 2).sum(axis=(1 - axis, 2)) for axis in (0, 1))
    at = np.zeros(len(energy), bool)
    at[np.clip(np.asarray(lines) - 1, 0, len(at) - 1)] = True
    far = ~ndimage.binary_dilation(at, iterations=8)
    return float(energy[at].mean() / energy[far].mean())


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[1024, 2048, 4096, 8192])
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--sampler", default="dpmpp_2m")
    parser.add_argument("--checkpoint", default="tiny", help="tiny, or a name or file")
    parser.add_argument("--in-memory", action="store_true", help="the other path, to compare with")
    parser.add_argument("--seams", action="store_true", help="how well windows are joined")
    parser.add_argument("--folder", type=Path, help="where the files lie (default: temporary)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
