"""How late the window's clock ticks while an image is rendered, against when nothing happens.

A timer of 10 ms runs in the GUI's event loop; each tick's lateness is how long a click would have
waited. Idle and rendering take turns in one process. Needs a screen (or xvfb-run).

    python benchmarks/responsiveness.py [--runs 3] [--side 256] [--steps 20] [--json OUT]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication

from napari_nudiff.ui.demo import open_demo

TICK_S = 0.010


class Ticks:
    """Lateness of each tick of a timer, in milliseconds."""

    def __init__(self) -> None:
        self.late_ms: list[float] = []
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(round(TICK_S * 1000))
        self._timer.timeout.connect(self._on_tick)

    def during(self, wait: Callable[[], None]) -> list[float]:
        """Ticks that come while `wait` runs the event loop."""
        self.late_ms, self._last_s = [], time.perf_counter()
        self._timer.start()
        wait()
        self._timer.stop()
        return self.late_ms

    def _on_tick(self) -> None:
        now_s = time.perf_counter()
        self.late_ms.append(max(now_s - self._last_s - TICK_S, 0) * 1000)
        self._last_s = now_s


def main() -> None:
    """Run the comparison and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    viewer, dock = open_demo(args.side)
    dock.session.rendering.steps = args.steps
    late, seconds = measure(dock, args.runs)
    report(late, seconds, args)
    viewer.close()


def measure(dock: Any, runs: int) -> tuple[dict[str, list[float]], float]:
    """Lateness of ticks by what went on meanwhile, and the seconds of the last render."""
    ticks = Ticks()
    late: dict[str, list[float]] = {"idle": [], "first render": [], "rendering": []}
    pump(lambda t: t > 2)
    for run in range(runs + 1):
        late["idle"] += ticks.during(lambda: pump(lambda t: t > 4))
        start_s = time.perf_counter()
        name = "rendering" if run else "first render"
        late[name] += ticks.during(lambda: render(dock))
    return late, time.perf_counter() - start_s


def render(dock: Any) -> None:
    """Press Render and run the event loop until the image is there."""
    dock.run_panel.render.click()
    pump(lambda _: not dock.session.busy)


def pump(done: Callable[[float], bool]) -> None:
    """Run the event loop until `done`, which is told the seconds so far."""
    start_s = time.perf_counter()
    while not done(time.perf_counter() - start_s):
        QApplication.processEvents()
        time.sleep(0.0005)


def report(late: dict[str, list[float]], seconds: float, args: argparse.Namespace) -> None:
    """Print the table, and write it as JSON where asked for."""
    rows = {
        name: {
            "ticks": len(values),
            **{f"p{p}_ms": round(float(np.percentile(values, p)), 1) for p in (50, 95, 99)},
            "max_ms": round(max(values), 1),
        }
        for name, values in late.items()
    }
    print(
        f"{args.side} x {args.side} px, {args.steps} steps, {seconds:.1f} s a render, "
        f"napari {napari.__version__}; lateness of a {TICK_S * 1000:.0f} ms tick, ms"
    )
    print(f"{'':>14} {'ticks':>6} {'p50':>7} {'p95':>7} {'p99':>7} {'max':>7}")
    for name, row in rows.items():
        print(f"{name:>14} " + " ".join(f"{v:>{6 + (i > 0)}}" for i, v in enumerate(row.values())))
    if args.json:
        args.json.write_text(json.dumps({"render_s": seconds, **rows}, indent=1))


if __name__ == "__main__":
    main()
