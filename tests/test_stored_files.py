"""Files that an older version wrote still open; see tests/data/stored/README.md."""

import json
from pathlib import Path

import numpy as np
import pytest

from napari_nudiff.dataset.candidates import find_candidates, find_real
from napari_nudiff.dataset.export.verification import images_in, verify_set
from napari_nudiff.dataset.pair import Layout, pixels_sha256
from napari_nudiff.dataset.pair_file import read_pair
from napari_nudiff.dataset.pairs import load_layouts, load_pairs
from napari_nudiff.dataset.readers import find_images
from napari_nudiff.dataset.review import grades_in
from napari_nudiff.dataset.sample import read_sample
from napari_nudiff.session.jobs import InlineExecutor
from napari_nudiff.session.session import Session
from napari_nudiff.session.session_folder import open_session
from napari_nudiff.synthesis.generation import read_plan
from napari_nudiff.synthesis.replay import request_of
from napari_nudiff.synthesis.request import load_provenance
from napari_nudiff.work import run

STORED = Path(__file__).parent / "data" / "stored"


@pytest.mark.parametrize("path", ["render/given.json", "generated/000000.json"])
def test_a_rendered_pair_with_its_request(path) -> None:
    sample = read_sample(STORED / path)
    assert sample.image.shape == (64, 64, 3)
    assert sample.labels.max() > 5
    assert Layout(sample.labels).sha256() == sample.provenance["layout_sha256"]
    # A generator: building it reads the request and the layout that is packed in it.
    assert request_of(load_provenance(STORED / path)) is not None


def test_a_plan_of_a_generation() -> None:
    plan = read_plan(STORED / "generated")
    assert (plan.count, plan.height_px, plan.layouts, plan.steps) == (1, 64, "given", 2)
    assert plan.image_checkpoint == "tnbc-compact-image"


def test_a_pair_file() -> None:
    pair = read_pair(STORED / "pair.nudiff")
    assert pair.name == "a layout"
    assert pair.spatial["scale"] == [0.5, 0.5]
    assert pair.notes == {"starred": True}


def test_a_session() -> None:
    stored = open_session(STORED / "session")
    assert list(stored.results) == ["bb", "aa"]
    assert [pair.name for pair in stored.layouts] == ["drawn"]
    assert stored.damaged == []
    session = Session(InlineExecutor())
    session.apply_values(stored.about["settings"])
    assert session.rendering.guidance == 1.2
    found = find_candidates(STORED / "session")
    assert [each.starred for each in found] == [False, True]
    assert found[0].load().name == "second"


def test_reviews_of_images_that_are_known_again() -> None:
    grades = grades_in(STORED / "reviews")
    image = read_pair(STORED / "session" / "results" / "aa.nudiff").image
    assert len(grades) == 2
    assert grades[pixels_sha256(image)].realism == 4


def test_a_prepared_set() -> None:
    training, held_out = load_pairs(STORED / "prepared")
    assert [len(training), len(held_out)] == [1, 1]
    assert training[0].um_per_px == 0.5
    assert len(np.unique(training[0].labels)) == 7
    layouts, _ = load_layouts(STORED / "prepared")
    assert np.array_equal(layouts[0].labels, training[0].labels)
    found, _ = find_images(STORED / "prepared")
    assert [each.held_out for each in found] == [False, True]


def test_an_exported_set() -> None:
    assert run(verify_set(STORED / "exported")) == []
    entries = images_in(STORED / "exported")
    assert sorted(entries) == [
        "real_00002", "real_00003", "synthetic_00000", "synthetic_00001"
    ]  # fmt: skip
    # Read as real images, synthetic ones say what they are.
    synthetic = {
        each.name for each in find_real(STORED / "exported" / "hovernet") if each.synthetic
    }
    assert synthetic == {"synthetic_00000", "synthetic_00001"}
    index = json.loads((STORED / "exported" / "dataset.json").read_text())
    assert index["classes"] == {"1": "nucleus", "2": "type 1", "3": "type 2"}
