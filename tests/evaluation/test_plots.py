"""Plots are the same each time, and whatever they are given."""

import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from napari_nudiff.errors import RequestError
from napari_nudiff.evaluation.agreement import Score
from napari_nudiff.evaluation.plots import (
    check_plots,
    distance_histograms,
    nucleus_histograms,
    score_pairs,
)
from napari_nudiff.nuclei.layout import scatter_nuclei


def test_plots_are_reproducible_svg() -> None:
    layouts = [scatter_nuclei((96, 96), density=0.25, mean_area_px=200, seed=i) for i in range(2)]
    first, again = nucleus_histograms(layouts, layouts), nucleus_histograms(layouts, layouts)
    assert first == again
    assert ElementTree.fromstring(first).tag.endswith("svg")


def test_empty_and_constant_values_can_be_shown() -> None:
    assert nucleus_histograms([np.zeros((64, 64), int)], [np.zeros((64, 64), int)])
    assert distance_histograms([("same", [1.0, 1.0], [1.0], 0.2), ("none", [], [], np.nan)])


def test_more_patients_than_markers_can_be_shown() -> None:
    scores = [Score(str(i), str(i), i / 40, 0.5, 0.5, 9, 0, 0) for i in range(30)]
    assert ElementTree.fromstring(score_pairs(scores, scores)).tag.endswith("svg")


def test_without_matplotlib_the_way_out_is_told(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(RequestError, match=r"napari-nudiff\[train\]"):
        check_plots()
