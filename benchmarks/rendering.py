"""How long a render takes, and what sharing work between the guidance branches saves.

Paired comparisons in one process, interleaved; medians of the runs and of the ratios pair by pair.

    python benchmarks/rendering.py [--runs 5] [--side 256] [--steps 20] [--json OUT]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from napari_nudiff.checkpoints import DEFAULT_IMAGE, load_model
from napari_nudiff.diffusion.denoiser import Conditioning, Guided, NetworkDenoiser
from napari_nudiff.diffusion.samplers import sample_dpmpp_2m
from napari_nudiff.nuclei.structure import encode_structure
from napari_nudiff.sample_data import sampled_layout
from napari_nudiff.synthesis.device import resolve_device, resolve_precision


def main() -> None:
    """Run the comparison and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    device = resolve_device(args.device)
    model = load_model(DEFAULT_IMAGE)
    model.unet.to(device, memory_format=torch.channels_last)
    labels = np.asarray(sampled_layout()[0][0])[: args.side, : args.side]
    structure = torch.from_numpy(encode_structure(labels))[None].to(device)
    bf16 = model.denoiser(torch.bfloat16)
    variants: dict[str, Callable[[], object]] = {
        "bf16, guided (the default on a CPU with bf16)": lambda: shared(
            bf16, structure, args.steps
        ),
        "bf16, guidance off": lambda: shared(bf16, structure, args.steps, scale=1.0),
        "bf16, guided, nothing shared between branches and steps": lambda: naive(
            bf16, structure, args.steps
        ),
        "fp32, guided": lambda: shared(model.denoiser(), structure, args.steps),
    }
    seconds = interleaved(variants, args.runs, device)
    report(seconds, args, device)


def shared(
    denoiser: NetworkDenoiser, structure: torch.Tensor, steps: int, scale: float = 1.5
) -> None:
    """As the pipeline does it: one encoder pass for both branches, one modulation per request."""
    null = None if scale == 1 else denoiser.modulation(None, structure)
    cond = Conditioning(denoiser.modulation(structure), null)
    run(Guided(denoiser, scale), structure, denoiser.sigmas(steps), cond)


class Naive:
    """Guidance as it is usually written: two whole passes through the network at each step."""

    def __init__(self, denoiser: NetworkDenoiser, structure: torch.Tensor) -> None:
        self.denoiser, self.structure = denoiser, structure

    def denoise(self, x, sigma, cond):  # type: ignore[no-untyped-def]
        """Two encoder passes, two modulations, two decoder passes."""
        parts = []
        for given in (self.structure, None):
            noisy = self.denoiser.encode(x, sigma, cond)
            modulation = self.denoiser.modulation(given, self.structure)
            parts.append(self.denoiser.decode(noisy, modulation))
        told, untold = parts
        return self.denoiser.predict(untold + 1.5 * (told - untold), noisy).clipped()


def naive(denoiser: NetworkDenoiser, structure: torch.Tensor, steps: int) -> None:
    """The same result without sharing anything."""
    run(Naive(denoiser, structure), structure, denoiser.sigmas(steps), Conditioning())


@torch.inference_mode()
def run(denoiser, structure, sigmas, cond) -> None:  # type: ignore[no-untyped-def]
    """Sample one image."""
    x = torch.randn_like(structure).to(memory_format=torch.channels_last) * float(sigmas[0])
    for _ in sample_dpmpp_2m(denoiser, x, sigmas, cond):
        pass


def interleaved(
    variants: dict[str, Callable[[], object]], runs: int, device: torch.device
) -> dict[str, list[float]]:
    """Seconds of every run of every variant, one of each in turn, after a warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for i in range(runs + 1):
        for name, variant in variants.items():
            start = time.perf_counter()
            with torch.inference_mode():
                variant()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if i:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def report(seconds: dict[str, list[float]], args: argparse.Namespace, device: torch.device) -> None:
    """Print the table, and write it as JSON where asked for."""
    first = next(iter(seconds.values()))
    rows = {
        name: {
            "median_s": statistics.median(values),
            "ratio": statistics.median(v / f for v, f in zip(values, first, strict=True)),
        }
        for name, values in seconds.items()
    }
    print(
        f"{args.side} x {args.side} px, {args.steps} steps, {device}, "
        f"{torch.get_num_threads()} threads, auto precision: {resolve_precision('auto', device)}"
    )
    print(f"{'median s':>9} {'ratio':>6}")
    for name, row in rows.items():
        print(f"{row['median_s']:9.2f} {row['ratio']:6.2f}  {name}")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
