"""The demo: ``python -m napari_nudiff.ui.demo`` opens napari with a layout, ready to render."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer

from napari_nudiff.dataset.sample import write_sample
from napari_nudiff.sample_data import rendered_pair
from napari_nudiff.session.jobs import JobError
from napari_nudiff.ui.dock import SynthesisDock

if TYPE_CHECKING:
    import napari

    from napari_nudiff.dataset.sample import Sample

_SIDE_PX = 384  # of the real layout: renders in seconds on a laptop
_WINDOW_PX = (1440, 900)
_SETTLE_MS = 1500  # until everything is painted
_LIMIT_MS = 15 * 60 * 1000


def main(argv: Sequence[str] | None = None) -> int:
    """Open the demo; or, with ``--render-and-exit``, run it without a person.

    Returns
    -------
    int
        0; 1 if the render failed.
    """
    import napari

    args = _parser().parse_args(argv)
    viewer, dock = open_demo(args.side, args.theme)
    if args.checkpoint:
        dock.session.rendering.checkpoint = args.checkpoint
    if not args.render_and_exit:
        napari.run()
        return 0
    robot = _Robot(viewer, dock, args.out)
    QTimer.singleShot(_SETTLE_MS, robot.start)
    napari.run()
    return robot.status


def open_demo(side_px: int = _SIDE_PX, theme: str = "dark") -> tuple[Any, SynthesisDock]:
    """A viewer with a real layout, the image it came from (hidden), and the Synthesise dock."""
    import napari

    viewer = napari.Viewer(title="Nudiff demo", show_welcome_screen=False)
    viewer.theme = theme
    for data, attributes, kind in rendered_pair():
        layer = getattr(viewer, f"add_{kind}")(data[:side_px, :side_px], **attributes)
        layer.visible = kind == "labels"
    _, dock = viewer.window.add_plugin_dock_widget("napari-nudiff", "Synthesise")
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
        """Press Render."""
        self._dock.run_panel.render.click()

    def _on_finished(self, sample: Sample, frame: object) -> None:
        QTimer.singleShot(_SETTLE_MS, lambda: self._finish(sample))

    def _on_failed(self, error: JobError) -> None:
        print(error.report, file=sys.stderr)
        self._viewer.close()

    def _finish(self, sample: Sample) -> None:
        try:
            paths = write_sample(self._out, "render", sample)
            paths.append(self._out / "screenshot.png")
            self._viewer.screenshot(str(paths[-1]), canvas_only=False, flash=False)
            print("\n".join(map(str, paths)))
            self.status = 0
        finally:
            self._viewer.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="napari_nudiff.ui.demo", description=__doc__)
    parser.add_argument(
        "--render-and-exit",
        action="store_true",
        default=os.environ.get("NUDIFF_DEMO_EXIT") == "1",
        help="render, write the result and a screenshot to --out, and close (NUDIFF_DEMO_EXIT=1)",
    )
    parser.add_argument("--out", type=Path, default=Path("demo-output"), help="where to write to")
    parser.add_argument("--side", type=int, default=_SIDE_PX, help="of the layout, 64 to 512 px")
    parser.add_argument("--theme", default="dark", choices=("dark", "light"))
    parser.add_argument("--checkpoint", help="image model: name or file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
