"""What a user waits for before the first render: importing the package, opening a dock, a cancel.

Import times are those of fresh interpreters, in turns with one that imports nothing. Docks are
opened in one napari, in turns with an empty widget. A cancel is from the click to the moment when
the next render could start. Needs a screen (or xvfb-run).

    python benchmarks/startup.py [--runs 7] [--side 256] [--json OUT]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QApplication, QWidget

from napari_nudiff.ui.demo import open_demo

IMPORTS = {
    "nothing": "pass",
    "napari_nudiff": "import napari_nudiff",
    "napari": "import napari, napari.layers, napari._qt.qt_main_window",
    "napari and the dock": (
        "import napari, napari.layers, napari._qt.qt_main_window, napari_nudiff.ui.dock"
    ),
}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = imports(args.runs) | docks(args.runs, args.side)
    print(f"{'':<28} {'median s':>9} {'max s':>9}")
    for name, seconds in rows.items():
        print(f"{name:<28} {statistics.median(seconds):>9.3f} {max(seconds):>9.3f}")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


def imports(runs: int) -> dict[str, list[float]]:
    """Seconds of fresh interpreters, which also swear that there is no torch in them."""
    rows: dict[str, list[float]] = {f"import {name}": [] for name in IMPORTS}
    for _ in range(runs):
        for name, statement in IMPORTS.items():
            check = "import sys; assert 'torch' not in sys.modules"
            command = [sys.executable, "-c", f"{statement}; {check}"]
            rows[f"import {name}"].append(
                seconds_of(lambda c=command: subprocess.run(c, check=True))
            )
    return rows


def docks(runs: int, side: int) -> dict[str, list[float]]:
    """Seconds to open docks, and from a click on Cancel to the end of the job."""
    viewer, dock = open_demo(side)
    rows: dict[str, list[float]] = {"open an empty widget": [], "open Synthesise": [], "cancel": []}
    pump(2)
    dock.session.rendering.steps = 1000
    for _ in range(runs):
        rows["cancel"].append(cancel(dock))
    viewer.window.remove_dock_widget(dock)
    for _ in range(runs):
        empty = QWidget()
        rows["open an empty widget"].append(
            seconds_of(lambda w=empty: viewer.window.add_dock_widget(w))
        )
        viewer.window.remove_dock_widget(empty)
        opened: list[Any] = []
        rows["open Synthesise"].append(seconds_of(lambda o=opened: o.append(open_dock(viewer))))
        viewer.window.remove_dock_widget(opened[0])
    viewer.close()
    return rows


def open_dock(viewer: Any) -> Any:
    """Open the dock as its menu does, and paint it."""
    _, dock = viewer.window.add_plugin_dock_widget("napari-nudiff", "Synthesise")
    QApplication.processEvents()
    return dock


def cancel(dock: Any) -> float:
    """Start a render, cancel it in the middle, and wait for its end."""
    steps: list[int] = []
    dock.session.progressed.connect(lambda progress: steps.append(progress.done))
    dock.run_panel.render.click()
    while not steps or steps[-1] < 3:
        QApplication.processEvents()
    start_s = time.perf_counter()
    dock.run_panel.cancel.click()
    while dock.session.busy:
        QApplication.processEvents()
    return time.perf_counter() - start_s


def seconds_of(deed: Callable[[], object]) -> float:
    """How long a deed takes."""
    start_s = time.perf_counter()
    deed()
    return time.perf_counter() - start_s


def pump(seconds: float) -> None:
    """Run the event loop for a while."""
    end_s = time.perf_counter() + seconds
    while time.perf_counter() < end_s:
        QApplication.processEvents()
        time.sleep(0.001)


if __name__ == "__main__":
    main()
