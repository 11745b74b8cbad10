"""The plots of a report, as SVG: the same numbers give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.errors import RequestError
from napari_nudiff.evaluation.agreement import Score
from napari_nudiff.evaluation.statistics import NUCLEUS_STATISTICS, measure

REAL, MADE = "#8a8590", "#8a4fbf"
"""Colours of real and of made values in all plots."""

_BINS = 25


def check_plots() -> None:
    """Make sure that plots can be drawn, before hours are spent on what they show.

    Raises
    ------
    RequestError
        matplotlib is not installed.
    """
    try:
        import matplotlib.backends.backend_svg
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise RequestError(
            "The report needs the package matplotlib. Install it with "
            "`pip install 'napari-nudiff[train]'`; renders and samples are kept."
        ) from error


def nucleus_histograms(
    real: Sequence[NDArray[np.integer]], sampled: Sequence[NDArray[np.integer]]
) -> str:
    """Histograms of the statistics of single nuclei."""
    figure = _figure(11, 2.6)
    tables = [[measure(layout) for layout in layouts] for layouts in (real, sampled)]
    all_axes = figure.subplots(1, len(NUCLEUS_STATISTICS))
    for axes, (name, label) in zip(all_axes, NUCLEUS_STATISTICS.items(), strict=True):
        values = [np.concatenate([t[name] for t in of_set]) for of_set in tables]
        _histograms(axes, [v[np.isfinite(v)] for v in values])
        axes.set_xlabel(label)
    return _svg(figure)


def distance_histograms(sets: Sequence[tuple[str, Sequence[float], Sequence[float], float]]) -> str:
    """Histograms of distances to the training images.

    Parameters
    ----------
    sets : sequence of (str, sequence of float, sequence of float, float)
        Title, distances of unseen and of made images, and the threshold (NaN for none).
    """
    figure = _figure(11, 2.6)
    for axes, (title, unseen, made, threshold) in zip(
        np.atleast_1d(figure.subplots(1, len(sets))), sets, strict=True
    ):
        _histograms(axes, [np.asarray(unseen), np.asarray(made)])
        axes.set_xlabel(title)
        if np.isfinite(threshold):
            axes.axvline(threshold, color="#b3423a", linewidth=1)
    return _svg(figure)


def score_pairs(made: Sequence[Score], real: Sequence[Score]) -> str:
    """Dice of each field: real image below, render beside it."""
    figure = _figure(5, 3.4)
    axes = figure.subplots()
    groups = sorted({s.group for s in real})
    for group, marker in zip(groups, "os^Dv<>pPX*hH" * (len(groups) // 13 + 1), strict=False):
        points = [(r.dice, m.dice) for r, m in zip(real, made, strict=True) if r.group == group]
        axes.scatter(*zip(*points, strict=True), s=18, color=MADE, marker=marker, label=group)
    low = min(0.5, *(s.dice for s in (*made, *real)))
    axes.plot([low, 1], [low, 1], color=REAL, linewidth=1)
    axes.set(xlabel="Dice, real image", ylabel="Dice, render of its layout")
    axes.spines[["top", "right"]].set_visible(False)
    if len(groups) <= 8:
        axes.legend(title="patient", frameon=False, fontsize=8)
    return _svg(figure)


def _histograms(axes: Any, sets: Sequence[NDArray[np.float64]]) -> None:
    pool = np.concatenate(sets)
    axes.set_yticks([])
    axes.spines[["top", "right", "left"]].set_visible(False)
    if not len(pool):
        return
    low, high = (float(v) for v in np.percentile(pool, [0.5, 99.5]))
    edges = np.linspace(low, high if high > low else low + 1, _BINS)
    for values, colour in zip(sets, (REAL, MADE), strict=True):
        weights = np.full(len(values), 1 / max(len(values), 1))
        axes.hist(values, edges, weights=weights, color=colour, alpha=0.55)


def _figure(width: float, height: float) -> Any:
    check_plots()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _svg(figure: Any) -> str:
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "nudiff"}):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    return buffer.getvalue()
