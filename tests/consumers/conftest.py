"""A set with everything that readers stumble over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_fill_holes

from napari_nudiff.dataset.candidates import find_candidates
from napari_nudiff.dataset.export.options import ExportOptions
from napari_nudiff.dataset.export.plan import Plan, plan_set
from napari_nudiff.dataset.export.writing import write_set
from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.dataset.sample import write_sample
from napari_nudiff.nuclei.layout import relabel_contiguous
from napari_nudiff.work import run

SIDE = 256


def labels_of(number: int) -> np.ndarray:
    """Touching nuclei, one with a hole, one cut by the border, one in two parts; the last empty."""
    labels = np.zeros((SIDE, SIDE), np.int32)
    if number == 3:
        return labels
    rows, cols = np.mgrid[:SIDE, :SIDE]
    shift = 7 * number
    for i, (row, col, radius) in enumerate(
        [(60, 60, 20), (60, 99, 20), (2, 150, 15), (150, 150, 25)], start=1
    ):
        labels[np.hypot(rows - row - shift, cols - col) < radius] = i
    labels[np.hypot(rows - 151 - shift, cols - 150) < 6] = 0
    labels[200:210, 20:30] = labels[215:218, 40:44] = 5
    return labels


def classes_of(labels: np.ndarray) -> dict[str, str]:
    return {str(i): ("epithelial", "dead")[i % 2] for i in np.unique(labels[labels > 0]).tolist()}


class Set:
    """An exported set and what went into it."""

    def __init__(self, folder: Path, plan: Plan, pairs: dict[str, tuple]) -> None:
        self.folder, self.plan, self.pairs = folder, plan, pairs

    def in_split(self, split: str) -> list[str]:
        return [row.name for row in self.plan.in_split(split)]

    def image(self, name: str) -> np.ndarray:
        return self.pairs[name][0]

    def labels(self, name: str) -> np.ndarray:
        return self.pairs[name][1]

    def classes(self, name: str) -> list[int]:
        """Numbers of the classes of nucleus 1, 2, ..."""
        names = self.pairs[name][2]
        return [self.plan.class_names.index(names[str(i)]) + 1 for i in range(1, len(names) + 1)]

    def order(self, name: str, *, as_outlines: bool) -> list[int]:
        """Nuclei in the order of their annotations: outlines of those with holes come first."""
        labels = self.labels(name)
        ids = range(1, int(labels.max()) + 1)
        holed = {i for i in ids if (binary_fill_holes(labels == i) != (labels == i)).any()}
        return sorted(ids, key=lambda i: (as_outlines and i not in holed, i))


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Set]:
    """The set in one format."""
    source = tmp_path_factory.mktemp("pairs")
    made = []
    for number in range(4):
        labels = relabel_contiguous(labels_of(number))
        image = np.random.default_rng(number).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
        provenance = {
            "schema": 1,
            "synthetic": True,
            "request": {"seed": number},
            "layout_sha256": Layout(labels).sha256(),
            "layout": {"shape": [SIDE, SIDE]},
            "um_per_px": 0.25,
            "classes": classes_of(labels),
        }
        write_sample(source, f"pair_{number}", Pair(Layout(labels), image, provenance=provenance))
        made.append((image, labels, classes_of(labels)))
    candidates = find_candidates(source)

    def export(name: str, *, val: float = 0.25) -> Set:
        options = ExportOptions(formats=(name,), val=val, test=0)
        plan = run(plan_set(candidates, options))
        out = tmp_path_factory.mktemp(name) / "set"
        run(write_set(out, candidates, plan))
        return Set(out / name, plan, {row.name: made[row.index] for row in plan.rows})

    return export
