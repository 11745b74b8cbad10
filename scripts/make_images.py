"""Make the still pictures of the docs from what the default models draw.

    xvfb-run -a -s "-screen 0 1440x900x24" python scripts/make_images.py docs/images

`--only stains sheet` needs no screen. No picture shows a real slide. The film is scripts/tour.py's.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from skimage.transform import downscale_local_mean

from napari_nudiff.evaluation.report import sheet
from napari_nudiff.nuclei.stain import PRESETS
from napari_nudiff.synthesis.generation import generate, make
from napari_nudiff.synthesis.generation_plan import GenerationPlan
from napari_nudiff.synthesis.pipeline import render, sample_layout
from napari_nudiff.synthesis.request import LayoutRequest, RenderRequest
from napari_nudiff.work import run

_SHEET = 8  # rows and columns
_JPEG_QUALITY = 85
_WINDOW_PX = (1300, 900)
_LIMIT_S = 120.0


def main() -> None:
    """Make the pictures that are asked for, all by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="+", choices=sorted(PICTURES), default=sorted(PICTURES))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.only:
        print(PICTURES[name](args.out))


def make_stains(out: Path) -> Path:
    """One sampled layout in each of the presets."""
    wanted = LayoutRequest(density=0.2, mean_area_px=400.0, seed=3)
    labels = run(sample_layout(wanted)).labels
    rendered = [
        run(render(labels, RenderRequest(seed=3, steps=20, style=style))).image
        for style in PRESETS.values()
    ]
    path = out / "stains.png"
    iio.imwrite(path, sheet(rendered, columns=4))
    return path


def make_sheet(out: Path) -> Path:
    """64 sampled layouts, each rendered once; none is left out."""
    plan = GenerationPlan(count=_SHEET**2, density=None)
    images = [run(make(plan, number)).image for number in range(plan.count)]
    path = out / "sheet.jpg"
    halves = [downscale_local_mean(image, (2, 2, 1)).round().astype(np.uint8) for image in images]
    iio.imwrite(path, sheet(halves, columns=_SHEET), quality=_JPEG_QUALITY)
    return path


def make_review(out: Path) -> Path:
    """The Review dock with a pair that is graded."""
    import napari
    from qtpy.QtWidgets import QApplication

    def wait_until(done: Callable[[], bool]) -> None:
        limit_s = time.monotonic() + _LIMIT_S
        while not done():
            QApplication.processEvents()
            time.sleep(0.01)
            if time.monotonic() > limit_s:
                raise TimeoutError("what the picture waits for did not happen")

    def wait(seconds: float) -> None:
        end_s = time.monotonic() + seconds
        wait_until(lambda: time.monotonic() >= end_s)

    path = out / "review.jpg"
    with tempfile.TemporaryDirectory() as folder:
        for _ in generate(GenerationPlan(count=8, seed=1, density=(0.12, 0.25)), Path(folder)):
            pass
        viewer = napari.Viewer(show_welcome_screen=False)
        viewer.window.resize(*_WINDOW_PX)
        _, dock = viewer.window.add_plugin_dock_widget("napari-nudiff", "Review")
        dock.sources.add("synthetic", Path(folder))
        dock.sources.reviewer.setText("ab")
        dock.sources.begin.click()
        wait_until(lambda: dock.sitting is not None)
        for grade in (4, 5, 3, 4):
            dock.grades.rate.buttons[grade - 1].click()
            dock.grades.rate_labels.buttons[4].click()
            dock.grades.next.click()
            wait(0.5)
        dock.grades.previous.click()
        wait(2)
        window = viewer.screenshot(canvas_only=False, flash=False)[..., :3]
        iio.imwrite(path, window, quality=_JPEG_QUALITY)
        viewer.close()
    return path


PICTURES = {"review": make_review, "sheet": make_sheet, "stains": make_stains}


if __name__ == "__main__":
    main()
