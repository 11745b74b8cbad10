"""Time every edit of a layout, and its inspection, on a small and on a large canvas.

Each edit is timed as an interaction makes it: look for the nuclei, make the edit, apply it, undo
it. "hinted" is the same with `bounds`, where an edit takes them.

    python benchmarks/editing.py [--labels FILE.tif] [--runs 9] [--json OUT.json]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import tifffile

from napari_nudiff.errors import LayoutError
from napari_nudiff.nuclei import editing
from napari_nudiff.nuclei.inspection import inspect_layout
from napari_nudiff.nuclei.layout import scatter_nuclei

REPEATS = 4  # tiles on each side of the large canvas


def tiled(labels: np.ndarray, repeats: int) -> np.ndarray:
    """A layout beside and below itself, with ids of its own in each tile."""
    highest = int(labels.max())
    tiles = [
        [
            np.where(labels > 0, labels + highest * (row * repeats + col), 0)
            for col in range(repeats)
        ]
        for row in range(repeats)
    ]
    return np.block(tiles).astype(np.int32)


def timings(labels: np.ndarray, runs: int) -> dict[str, dict[str, float]]:
    """Median times in ms of everything on one layout."""
    report = inspect_layout(labels)
    middle = labels.shape[0] // 2, labels.shape[1] // 2
    near = labels[middle[0] - 60 : middle[0] + 60, middle[1] - 60 : middle[1] + 60]
    one = int(np.bincount(near[near > 0]).argmax())
    ten = [one, *(int(i) for i in report.ids[:: max(report.count // 9, 1)][:9])]
    rows, cols = report.bounds_of(one)
    centre = (rows.start + rows.stop) / 2, (cols.start + cols.stop) / 2
    line = (rows.start, centre[1]), (rows.stop, centre[1])
    shape = labels[rows, cols] == one
    region = np.zeros(labels.shape, dtype=bool)
    region[middle[0] - 150 : middle[0] + 150, middle[1] - 150 : middle[1] + 150] = True
    pair = _touching_pair(labels, near)
    over = {"on_overlap": "over"}
    edits: dict[str, tuple[Callable, bool]] = {
        "add_ellipse": (lambda la: editing.add_ellipse(la, centre, (12, 8), 30, **over), False),
        "stamp": (lambda la: editing.stamp(la, shape, centre, 30, 1.2, **over), False),
        "move": (lambda la, **b: editing.move(la, one, (9, 5), **over, **b), True),
        "move 10, far apart": (lambda la: editing.move(la, ten, (9, 5), **over), False),
        "rotate": (lambda la, **b: editing.rotate(la, one, 30, **over, **b), True),
        "scale": (lambda la, **b: editing.scale(la, one, 1.3, **over, **b), True),
        "duplicate": (lambda la, **b: editing.duplicate(la, one, (9, 5), **over, **b), True),
        "delete": (lambda la, **b: editing.delete(la, one, **b), True),
        "split along a line": (lambda la, **b: editing.split(la, one, line, **b), True),
        "split by itself": (lambda la, **b: _tried(editing.split, la, one, **b), True),
        "merge two": (lambda la: _tried(editing.merge, la, pair), False),
        "fill_holes of one": (lambda la, **b: editing.fill_holes(la, one, **b), True),
        "smooth_outlines of one": (lambda la, **b: editing.smooth_outlines(la, 2, one, **b), True),
        "fill_holes": (editing.fill_holes, False),
        "remove_specks": (lambda la: editing.remove_specks(la, 60), False),
        "smooth_outlines": (lambda la: editing.smooth_outlines(la, 2), False),
        "split_disconnected": (editing.split_disconnected, False),
        "relabel_contiguous": (editing.relabel_contiguous, False),
        "scatter_in 300 x 300 px": (lambda la: editing.scatter_in(la, region, density=0.5), False),
    }
    bounds = editing.bounds_at(labels, tuple(int(p[0]) for p in np.nonzero(labels == one)))
    results = {}
    for name, (edit, takes_bounds) in edits.items():
        few = runs if "of one" in name or name not in _WHOLE else max(runs // 4, 1)
        results[name] = {"ms": _median_ms(lambda e=edit: _interact(labels, e), few)}
        if takes_bounds:
            hinted = lambda e=edit: _interact(labels, lambda la: e(la, bounds=bounds))  # noqa: E731
            results[name]["hinted_ms"] = _median_ms(hinted, runs)
    results["bounds_at"] = {"ms": _median_ms(lambda: editing.bounds_at(labels, centre), runs)}
    results["inspect_layout"] = {"ms": _median_ms(lambda: inspect_layout(labels), runs)}
    follow = lambda: inspect_layout(labels, previous=report, bounds=bounds)  # noqa: E731
    results["inspect_layout"]["hinted_ms"] = _median_ms(follow, runs)
    return results


_WHOLE = ("fill_holes", "remove_specks", "smooth_outlines", "split_disconnected")


def _touching_pair(labels: np.ndarray, near: np.ndarray) -> list[int]:
    """Two nuclei that touch, from a part of a layout if it has such; else any two of it."""
    beside = (near[:, 1:] != near[:, :-1]) & (near[:, 1:] > 0) & (near[:, :-1] > 0)
    if beside.any():
        row, col = np.argwhere(beside)[0]
        return [int(near[row, col]), int(near[row, col + 1])]
    return [int(i) for i in np.unique(near)[1:3]]


def _tried(verb: Callable, *args, **kwargs) -> editing.Edit:
    """An edit, or none where the nucleus is no case for it; the time is that of the attempt."""
    try:
        return verb(*args, **kwargs)
    except LayoutError:
        none = np.zeros(0, dtype=np.int32)
        return editing.Edit((none, none), none, none)


def _interact(labels: np.ndarray, edit: Callable) -> None:
    change = edit(labels)
    change.apply(labels)
    change.revert(labels)


def _median_ms(function: Callable, runs: int) -> float:
    function()
    times = []
    for _ in range(runs):
        start = perf_counter()
        function()
        times.append(perf_counter() - start)
    return float(np.median(times)) * 1e3


def print_table(columns: dict[str, dict[str, dict[str, float]]]) -> None:
    """One line for each edit, two columns for each canvas."""
    print(f"{'ms':26}" + "".join(f"{title:>18}{'hinted':>10}" for title in columns))
    for name in next(iter(columns.values())):
        row = f"{name:26}"
        for results in columns.values():
            hinted = results[name].get("hinted_ms")
            row += f"{results[name]['ms']:18.2f}" + (
                "" if hinted is None else f"{hinted:.2f}"
            ).rjust(10)
        print(row)


def main() -> None:
    """Read the arguments, time, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path, help="layout to use (default: a scattered one)")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    arguments = parser.parse_args()
    if arguments.labels:
        labels = tifffile.imread(arguments.labels).astype(np.int32)
    else:
        labels = scatter_nuclei((1000, 1000), density=0.2, mean_area_px=400, min_gap_px=0, seed=0)
    columns = {}
    for canvas in (labels, tiled(labels, REPEATS)):
        title = f"{canvas.shape[0]} px, {len(np.unique(canvas)) - 1}"
        columns[title] = timings(canvas, arguments.runs)
    print_table(columns)
    if arguments.json:
        arguments.json.write_text(json.dumps(columns, indent=2) + "\n")


if __name__ == "__main__":
    main()
