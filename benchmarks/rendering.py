"""How long a step and a render take, and what each shortcut saves.

Three ways through the same network, interleaved in one process: *literal*, two whole passes in
float32 with nothing shared; *autocast*, as version 0.1 ran it (commit 4eb7f6f: one encoder pass for
both branches of guidance, one modulation a request, bf16 by autocast); *fused*, as it is run now.
Then a finished image with the defaults of then and of now. Medians of the runs and of the ratios
run by run; PSNR of each way's finished image against the literal one.

    python benchmarks/rendering.py [--runs 5] [--side 256] [--steps 20] [--model NAME] [--json OUT]
    python benchmarks/rendering.py --official MODEL.pt    # a network of the authors, guided steps
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from napari_nudiff.checkpoints import DEFAULT_IMAGE, load_model
from napari_nudiff.diffusion.denoiser import Conditioning, Guided, NetworkDenoiser
from napari_nudiff.diffusion.samplers import sample_dpmpp_2m
from napari_nudiff.diffusion.weights import Model, load_official
from napari_nudiff.nuclei.layout import scatter_nuclei
from napari_nudiff.nuclei.structure import encode_structure
from napari_nudiff.synthesis.device import resolve_device, resolve_precision
from napari_nudiff.synthesis.request import RenderRequest

OLD_IMAGE, OLD_STEPS, OLD_GUIDANCE = "tnbc-compact-image", 20, 1.2
Variants = dict[str, Callable[[], Tensor]]


def main() -> None:
    """Run the comparisons and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=1.2)
    parser.add_argument("--model", default=OLD_IMAGE)
    parser.add_argument("--official", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    # The model of version 0.1 lies in the repository.
    os.environ.setdefault("NUDIFF_BASE_URL", str(Path(__file__).parents[1] / "checkpoints"))
    device = resolve_device(args.device)
    print(
        f"{args.side} x {args.side} px, {device}, {torch.get_num_threads()} threads, "
        f"auto precision: {resolve_precision('auto', device)}"
    )
    tables = {}
    if args.official:
        model = load_official(args.official, head_channels=32)
        tables["guided step"] = ways(model, args, device, steps=1)
    else:
        tables[f"{args.model}, {args.steps} steps, guidance {args.guidance}"] = ways(
            load_model(args.model), args, device, steps=args.steps
        )
        tables["a finished image with the defaults"] = defaults(args, device)
    results = {name: measured(variants, args.runs, device) for name, variants in tables.items()}
    for name, rows in results.items():
        print(f"\n{name}\n{'median s':>9} {'ratio':>6} {'PSNR dB':>8}")
        for variant, row in rows.items():
            print(f"{row['median_s']:9.3f} {row['ratio']:6.2f} {row['psnr_db']:8.1f}  {variant}")
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))


def ways(model: Model, args: argparse.Namespace, device: torch.device, *, steps: int) -> Variants:
    """The same image by every way through a network."""
    model.move_to(device)
    structure = layout_of(args.side, device)
    literal = model.denoiser(literal=True)
    autocast = model.denoiser(torch.bfloat16, literal=True)
    fused, fused32 = model.denoiser(torch.bfloat16), model.denoiser()
    scale = args.guidance

    def way(denoiser: NetworkDenoiser, guidance: float = scale) -> Callable[[], Tensor]:
        return lambda: shared(denoiser, structure, steps, guidance)

    return {
        "literal, float32": lambda: naive(literal, structure, steps, scale),
        "autocast, bf16": way(autocast),
        "fused, bf16": way(fused),
        "autocast off, float32": way(literal),
        "fused, float32": way(fused32),
        "autocast, bf16, guidance off": way(autocast, 1.0),
        "fused, bf16, guidance off": way(fused, 1.0),
    }


def defaults(args: argparse.Namespace, device: torch.device) -> Variants:
    """What pressing Render costs, then and now."""
    now = RenderRequest()
    old, new = load_model(OLD_IMAGE), load_model(DEFAULT_IMAGE)
    for model in (old, new):
        model.move_to(device)
    structure = layout_of(args.side, device)
    before = old.denoiser(torch.bfloat16, literal=True)
    after = new.denoiser(torch.bfloat16)
    return {
        f"4eb7f6f: {OLD_IMAGE}, {OLD_STEPS} steps, guidance {OLD_GUIDANCE}": lambda: shared(
            before, structure, OLD_STEPS, OLD_GUIDANCE
        ),
        f"now: {DEFAULT_IMAGE}, {now.steps} steps, guidance {now.guidance}": lambda: shared(
            after, structure, now.steps, now.guidance
        ),
    }


def layout_of(side: int, device: torch.device) -> Tensor:
    """Structure of a layout of scattered nuclei, (1, 3, side, side)."""
    labels = scatter_nuclei((side, side), density=0.25, mean_area_px=400, seed=0)
    structure = torch.from_numpy(encode_structure(np.asarray(labels)))[None]
    return structure.to(device).contiguous(memory_format=torch.channels_last)


def shared(denoiser: NetworkDenoiser, structure: Tensor, steps: int, scale: float) -> Tensor:
    """As the pipeline does it: one modulation a request, no second branch without guidance."""
    null = None if scale == 1 else denoiser.modulation(None, structure)
    cond = Conditioning(denoiser.modulation(structure), null)
    return run(Guided(denoiser, scale), structure, denoiser.sigmas(steps), cond)


class Naive:
    """Guidance as it is usually written: two whole passes through the network at each step."""

    def __init__(self, denoiser: NetworkDenoiser, structure: Tensor, scale: float) -> None:
        self.denoiser, self.structure, self.scale = denoiser, structure, scale

    def denoise(self, x, sigma, cond):  # type: ignore[no-untyped-def]
        """Two encoder passes, two modulations, two decoder passes."""
        parts = []
        for given in (self.structure, None):
            modulation = self.denoiser.modulation(given, self.structure)
            noisy = self.denoiser.encode(x, sigma, None, modulation)
            parts.append(self.denoiser.decode(noisy, modulation))
        c = x.shape[1]
        conditional, null = (part[:, :c] for part in parts)
        out = torch.cat([null + self.scale * (conditional - null), parts[0][:, c:]], dim=1)
        return self.denoiser.predict(out, noisy).clipped()


def naive(denoiser: NetworkDenoiser, structure: Tensor, steps: int, scale: float) -> Tensor:
    """The same result without sharing anything."""
    sampler = Naive(denoiser, structure, scale)
    return run(sampler, structure, denoiser.sigmas(steps), Conditioning())


def run(denoiser, structure, sigmas, cond) -> Tensor:  # type: ignore[no-untyped-def]
    """Sample one image, always from the same noise."""
    noise = torch.randn(structure.shape, generator=torch.Generator().manual_seed(0))
    x = noise.to(structure.device, memory_format=torch.channels_last) * float(sigmas[0])
    *_, last = sample_dpmpp_2m(denoiser, x, sigmas, cond)
    x0: Tensor = last.x0.float().cpu()
    return x0


def measured(variants: Variants, runs: int, device: torch.device) -> dict[str, dict[str, float]]:
    """Time one run of each in turn, after a warm-up; ratios and PSNR are against the first."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    images: dict[str, Tensor] = {}
    for i in range(runs + 1):
        for name, variant in variants.items():
            start = time.perf_counter()
            with torch.inference_mode():
                images[name] = variant()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if i:
                seconds[name].append(time.perf_counter() - start)
    first = next(iter(variants))
    return {
        name: {
            "median_s": statistics.median(values),
            "ratio": statistics.median(f / v for v, f in zip(values, seconds[first], strict=True)),
            "psnr_db": psnr_db(images[name], images[first]),
        }
        for name, values in seconds.items()
    }


def psnr_db(image: Tensor, reference: Tensor) -> float:
    """Peak signal to noise ratio of images on -1..1."""
    error = float((image - reference).square().mean())
    return math.inf if error == 0 else 10 * math.log10(4 / error)


if __name__ == "__main__":
    main()
