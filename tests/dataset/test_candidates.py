"""Pairs are found wherever they are kept."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_nudiff.dataset.candidates import find_candidates, find_real
from napari_nudiff.dataset.images import write_layout, write_rgb
from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.dataset.pair_file import write_pair
from napari_nudiff.dataset.sample import write_sample
from napari_nudiff.errors import DatasetError


def sample_of(seed: int, *, with_image: bool = True) -> Pair:
    rng = np.random.default_rng(seed)
    labels = np.zeros((48, 64), np.int32)
    labels[10:30, 10 + seed : 30 + seed] = 1
    image = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8) if with_image else None
    provenance = {"synthetic": True, "request": {}, "layout_sha256": Layout(labels).sha256()}
    return Pair(Layout(labels), image, provenance=provenance)


def write_session(folder):
    for name in ("a", "b", "c"):
        write_pair(folder / "results" / f"{name}.nudiff", sample_of(ord(name) % 7))
    layout = sample_of(1, with_image=False)
    write_pair(folder / "layouts" / "000.nudiff", layout)
    about = {"schema": 1, "order": ["c", "a", "b"], "starred": ["a"], "applied": ["b"]}
    (folder / "session.json").write_text(json.dumps(about))
    return folder


def test_a_session_tells_its_order_and_its_marks(tmp_path):
    found = find_candidates(write_session(tmp_path / "my session"))
    assert [c.name for c in found] == ["c", "a", "b"]
    assert [(c.starred, c.applied) for c in found] == [
        (False, False),
        (True, False),
        (False, True),
    ]


def test_results_are_found_where_the_session_file_is_damaged(tmp_path):
    folder = write_session(tmp_path / "s")
    (folder / "session.json").write_text("{")
    assert [c.name for c in find_candidates(folder)] == ["a", "b", "c"]


def test_a_folder_of_many_kinds(tmp_path):
    write_session(tmp_path / "all" / "session.nudiff")
    write_sample(tmp_path / "all" / "deep" / "er", "x", sample_of(0))
    write_sample(tmp_path / "all", "layout", sample_of(2, with_image=False))
    write_pair(tmp_path / "all" / "y.nudiff", sample_of(3))
    (tmp_path / "all" / ".new-1").mkdir()
    write_sample(tmp_path / "all" / ".new-1", "half", sample_of(4))
    (tmp_path / "all" / "plan.json").write_text("{}")
    found = find_candidates(tmp_path / "all")
    assert [c.name for c in found] == ["x", "c", "a", "b", "y"]
    for candidate in found:
        sample = candidate.load()
        assert sample.image.shape == (48, 64, 3)
        assert candidate.about() == sample.provenance


def test_a_layout_is_no_pair(tmp_path):
    write_pair(tmp_path / "x.nudiff", sample_of(0, with_image=False))
    (found,) = find_candidates(tmp_path / "x.nudiff")
    with pytest.raises(DatasetError, match="without an image"):
        found.load()


@pytest.mark.parametrize("name, complaint", [("gone", "neither a folder"), (".", "no synthetic")])
def test_nothing_to_be_found(tmp_path, name, complaint):
    with pytest.raises(DatasetError, match=complaint):
        find_candidates(tmp_path / name)


def test_real_images_are_checked_and_grouped(tmp_path):
    for patient in (1, 2):
        labels = sample_of(patient).labels * 300
        write_rgb(tmp_path / "images" / f"tnbc_{patient:02d}_1.png", sample_of(patient).image)
        write_layout(tmp_path / "labels" / f"tnbc_{patient:02d}_1.tif", labels)
    found = find_real(tmp_path)
    assert [(c.group, c.synthetic) for c in found] == [("01", False), ("02", False)]
    pair = found[0].load()
    assert pair.labels.max() == 1 and pair.provenance["synthetic"] is False


def test_a_real_image_that_cannot_be_used_says_why(tmp_path):
    write_rgb(tmp_path / "images" / "a.png", sample_of(0).image)
    write_layout(tmp_path / "labels" / "a.tif", sample_of(0).labels[:40])
    (found,) = find_real(tmp_path)
    with pytest.raises(DatasetError, match="sizes differ"):
        found.load()
