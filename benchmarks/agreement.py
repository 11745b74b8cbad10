"""Do the renders agree with their layouts? A segmenter trained on real images is the judge.

A small U-Net learns to segment nuclei from the real images of the training patients. It then
segments (a) the real images of the held-out patients and (b) renders of their layouts, in the
stain of the real image. The Dice of (a) is the ceiling for (b).

    python benchmarks/agreement.py --data FOLDER [--held-out 'tnbc_09_*' 'tnbc_10_*']
        [--guidance 1 1.5 2] [--steps 8 20] [--samplers dpmpp_2m] [--json OUT] [--pictures DIR]

FOLDER has images/*.png and labels/*.tif. The segmenter is kept in --segmenter and used again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from napari_nudiff.dataset.images import write_rgb
from napari_nudiff.dataset.pairs import Pair, load_pairs
from napari_nudiff.diffusion.unet import UNet, UNetConfig
from napari_nudiff.nuclei.descriptors import stain_style
from napari_nudiff.nuclei.metrics import dice
from napari_nudiff.synthesis.pipeline import completed, render
from napari_nudiff.synthesis.request import RenderRequest
from napari_nudiff.training.data import sample_batch

SEGMENTER = UNetConfig(out_channels=1, base_channels=32, multipliers=(1, 2, 3), stem=2)


def main() -> None:
    """Train or load the judge, score every variant, print a table."""
    args = _arguments()
    training, held_out = load_pairs(args.data, held_out=args.held_out)
    judge = _judge(args.segmenter, training, args.segmenter_steps)
    real = [dice(p.labels > 0, segment(judge, p.image)) for p in held_out]
    rows = [{"variant": "real images (ceiling)", **_summary(real)}]
    print(rows[0])
    for sampler, steps, guidance in itertools.product(args.samplers, args.steps, args.guidance):
        request = {"sampler": sampler, "steps": steps, "guidance": guidance}
        scores = [_score(judge, pair, request, args) for pair in held_out]
        name = f"{sampler}, {steps} steps, guidance {guidance}"
        rows.append({"variant": name, **_summary(scores)})
        print(rows[-1], flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


def segment(judge: UNet, image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Foreground of an image as the judge sees it."""
    x = torch.from_numpy(image.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
    down, right = (-side % SEGMENTER.multiple_px for side in x.shape[2:])
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        logit = judge(F.pad(x, (0, right, 0, down), mode="replicate"), torch.zeros(1))
    return (logit[0, 0, : image.shape[0], : image.shape[1]] > 0).numpy()


def _score(judge: UNet, pair: Pair, settings: dict[str, object], args: argparse.Namespace) -> float:
    """Dice between a layout and the segmentation of its render."""
    window = np.s_[: args.side, : args.side]
    labels, image = pair.labels[window], pair.image[window]
    style = tuple(float(v) for v in stain_style(image))
    request = RenderRequest(seed=args.seed, style=style, checkpoint=args.checkpoint, **settings)  # type: ignore[arg-type]
    made = completed(render(labels, request)).image
    assert made is not None
    if args.pictures:
        name = "-".join(str(v) for v in settings.values())
        write_rgb(args.pictures / f"{pair.stem}-{name}.png", np.concatenate([made, image], axis=1))
    return dice(labels > 0, segment(judge, made))


def _judge(path: Path, pairs: list[Pair], steps: int) -> UNet:
    """The segmenter, trained on real images, from a file where it was trained before."""
    torch.manual_seed(0)
    unet = UNet(SEGMENTER)
    if path.exists():
        unet.load_state_dict(torch.load(path, weights_only=True))
        return unet.eval()
    optimizer = torch.optim.AdamW(unet.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
    for step in range(steps):
        batch = sample_batch(pairs, 16, 128, (1, step), stain_jitter=0.8)
        with torch.autocast("cpu", torch.bfloat16):
            logit = unet(batch.image, torch.zeros(16)).float()
        truth = batch.structure[:, :1]
        loss = F.binary_cross_entropy_with_logits(logit, truth)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        if step % 50 == 0:
            print(f"segmenter step {step}: loss {loss.item():.3f}", flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(unet.state_dict(), path)
    return unet.eval()


def _summary(scores: list[float]) -> dict[str, float]:
    return {"median_dice": statistics.median(scores), "mean_dice": statistics.mean(scores)}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--held-out", nargs="+", default=["tnbc_09_*", "tnbc_10_*"])
    parser.add_argument("--checkpoint", default="tnbc-compact-image")
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.0, 1.5, 2.0])
    parser.add_argument("--steps", type=int, nargs="+", default=[20])
    parser.add_argument("--samplers", nargs="+", default=["dpmpp_2m"])
    parser.add_argument("--side", type=int, default=256, help="of the crop that is rendered")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--segmenter", type=Path, default=Path("runs/segmenter.pt"))
    parser.add_argument("--segmenter-steps", type=int, default=500)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
