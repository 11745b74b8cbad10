"""The demo: a sampled layout and its render, ready to edit and to render what changed.

``python -m napari_nudiff.ui.demo`` opens napari. With ``--render-and-exit`` nobody needs to be
there: it moves a nucleus, renders what changed, and writes both pairs and a screenshot of each.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QTimer
from skimage.measure import regionprops

from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.dataset.sample import write_sample
from napari_nudiff.errors import LayoutError
from napari_nudiff.nuclei.editing import Edit, move
from napari_nudiff.sample_data import rendered_pair
from napari_nudiff.session.jobs import JobError
from napari_nudiff.ui.dock import SynthesisDock

if TYPE_CHECKING:
    import napari

_WINDOW_PX = (1440, 900)
_SETTLE_MS = 1500  # until everything is painted
_LIMIT_MS = 15 * 60 * 1000
_STEP_PX = 36  # about the diameter of a nucleus and a half
_INVITATION = (
    "Drag a nucleus, or draw one with the tools under Nuclei. Then press Render: only what changed "
    "is rendered again."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Open the demo; or, with ``--render-and-exit``, run it without a person.

    Returns
    -------
    int
        0; 1 if the render failed.
    """
    import napari

    args = _parser().parse_args(argv)
    viewer, dock = open_demo(args.theme)
    if args.checkpoint:
        dock.session.rendering.checkpoint = args.checkpoint
    if not args.render_and_exit:
        napari.run()
        return 0
    robot = _Robot(viewer, dock, args.out)
    QTimer.singleShot(_SETTLE_MS, robot.start)
    napari.run()
    return robot.status


def open_demo(theme: str = "dark") -> tuple[Any, SynthesisDock]:
    """A viewer with the sampled layout on its render, and the dock set to render what changed."""
    import napari

    viewer = napari.Viewer(title="Nudiff demo", show_welcome_screen=False)
    viewer.theme = theme
    (pixels, of_image, _), (labels, of_labels, _) = rendered_pair()
    image = viewer.add_image(pixels, **of_image)
    layout = viewer.add_labels(labels, **of_labels)
    layout.contour = 1
    _, dock = viewer.window.add_plugin_dock_widget("napari-nudiff", "Synthesise")
    dock.render_panel.image.choose(image)
    dock.session.editing.scope = "changes"
    dock.nuclei_panel.toolbox.take("select")
    dock.message.show_hint(_INVITATION)
    viewer.window.resize(*_WINDOW_PX)
    QTimer.singleShot(_SETTLE_MS // 2, viewer.reset_view)  # when the canvas has its size
    return viewer, dock


class _Robot:
    """Does what the README tells a person to do, and writes down what came of it."""

    def __init__(self, viewer: napari.Viewer, dock: SynthesisDock, out: Path) -> None:
        self.status = 1  # until proven otherwise
        self._viewer, self._dock, self._out = viewer, dock, out
        dock.session.finished.connect(self._on_finished)
        dock.session.failed.connect(self._on_failed)
        QTimer.singleShot(_LIMIT_MS, self._viewer.close)

    def start(self) -> None:
        """Write down what there is, move a nucleus, press Render."""
        image, layout = self._viewer.layers
        self._keep(
            "1-sampled", Pair(Layout(layout.data), image.data, provenance=image.metadata["nudiff"])
        )
        self._dock.nuclei_panel.editor.edit(_some_move)
        self._dock.run_panel.render.click()

    def _on_finished(self, sample: Pair, frame: object) -> None:
        QTimer.singleShot(_SETTLE_MS, lambda: self._finish(sample))

    def _on_failed(self, error: JobError) -> None:
        print(error.report, file=sys.stderr)
        self._viewer.close()

    def _finish(self, sample: Pair) -> None:
        try:
            self._keep("2-edited", sample)
            self.status = 0
        finally:
            self._viewer.close()

    def _keep(self, stem: str, sample: Pair) -> None:
        paths = write_sample(self._out, stem, sample)
        paths.append(self._out / f"{stem}-screenshot.png")
        self._viewer.screenshot(str(paths[-1]), canvas_only=False, flash=False)
        print("\n".join(map(str, paths)))


def _some_move(labels: NDArray[Any]) -> Edit:
    """Move a large nucleus near the middle to where there is room."""
    middle, nuclei = np.array(labels.shape) / 2, regionprops(labels)
    mean_area = np.mean([nucleus.area for nucleus in nuclei])
    nuclei.sort(key=lambda n: (n.area < mean_area, np.hypot(*(n.centroid - middle))))
    steps = -_STEP_PX, 0, _STEP_PX
    ways = [(down, right) for down in steps for right in steps if down or right]
    for nucleus, way in itertools.product(nuclei, ways):
        try:
            return move(labels, nucleus.label, way, on_overlap="refuse")
        except LayoutError:
            continue
    raise LayoutError("No nucleus has room beside it. Nothing was moved.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="napari_nudiff.ui.demo", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "--render-and-exit",
        action="store_true",
        default=os.environ.get("NUDIFF_DEMO_EXIT") == "1",
        help="edit, render, write both pairs and screenshots to --out, close (NUDIFF_DEMO_EXIT=1)",
    )
    parser.add_argument("--out", type=Path, default=Path("demo-output"), help="where to write to")
    parser.add_argument("--theme", default="dark", choices=("dark", "light"))
    parser.add_argument("--checkpoint", help="image model: name or file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
