"""What the Export dock asks for, without a window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_nudiff.dataset.export.options import ExportOptions, Gate
from napari_nudiff.dataset.pair import Layout, Pair, pixels_sha256
from napari_nudiff.dataset.review import Review, ReviewFile
from napari_nudiff.dataset.sample import write_sample
from napari_nudiff.session.exports import Exports, Sources, results_of
from napari_nudiff.session.jobs import InlineExecutor, JobQueue
from napari_nudiff.session.results import Results
from napari_nudiff.session.session_folder import SessionFolder

OPTIONS = ExportOptions(val=0, test=0)


def sample_of(seed: int) -> Pair:
    rng = np.random.default_rng(seed)
    labels = np.zeros((64, 64), np.int32)
    row, col = rng.integers(10, 50, 2)
    labels[row : row + 9, col : col + 9] = 1
    image = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
    provenance = {"synthetic": True, "request": {}, "layout_sha256": Layout(labels).sha256()}
    return Pair(Layout(labels), image, provenance=provenance)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    kept = Results(SessionFolder(tmp_path / "session"))
    for seed in range(4):
        kept.add(sample_of(seed), f"layout {seed}", {})
    first, second, *_ = kept.all()
    kept.star(first.id)
    kept.mark_applied(second.id)
    yield kept
    kept.close()


class Heard:
    """Everything that is told."""

    def __init__(self, exports: Exports) -> None:
        self.told: list[tuple] = []
        for name in ("counted", "written", "failed", "cancelled"):
            getattr(exports, name).connect(lambda value, name=name: self.told.append((name, value)))

    def last(self, name: str):
        assert self.told[-1][0] == name, self.told
        return self.told[-1][1]


@pytest.fixture
def exports() -> Exports:
    return Exports(JobQueue(InlineExecutor()))


@pytest.mark.parametrize(
    "which, count", [("starred", 1), ("applied", 1), ("dear", 2), ("all", 4), ("none", 0)]
)
def test_results_are_chosen_by_their_marks(results, which, count):
    found = results_of(results, which)
    assert len(found) == count
    for candidate in found:
        assert candidate.load().image.shape == (64, 64, 3)


def test_counting_tells_what_writing_writes(exports, results, tmp_path):
    heard = Heard(exports)
    sources = Sources(results=tuple(results_of(results, "all")))
    exports.count(sources, OPTIONS)
    assert heard.last("counted").counts == {"train": 4}
    exports.write(sources, OPTIONS, tmp_path / "set")
    assert heard.last("written") == tmp_path / "set"
    assert len(list((tmp_path / "set" / "cellpose" / "train").glob("*_masks.tif"))) == 4
    exports.write(sources, OPTIONS, tmp_path / "set")
    assert "exported set already" in str(heard.last("failed"))


def test_grades_beside_the_pairs_are_the_gate(exports, tmp_path):
    folder = tmp_path / "pairs"
    for seed in range(3):
        write_sample(folder, f"s{seed}", sample_of(seed))
    reviews = ReviewFile(folder, "anna")
    for seed, realism in enumerate((5, 2)):
        reviews.append(Review("anna", pixels_sha256(sample_of(seed).image), realism=realism))
    heard = Heard(exports)
    gate = ExportOptions(val=0, test=0, gate=Gate(min_realism=4))
    exports.count(Sources(folders=(folder,)), gate)
    plan = heard.last("counted")
    assert [row.source for row in plan.rows] == ["s0.json"]
    assert plan.left_out == {"realism below 4": 1, "realism not graded": 1}


def test_a_folder_that_is_gone_is_told(exports, tmp_path):
    heard = Heard(exports)
    exports.count(Sources(folders=(tmp_path / "gone",)), OPTIONS)
    assert "neither a folder" in str(heard.last("failed"))
    assert exports.doing == ""
