import json
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from napari_nudiff.errors import RequestError
from napari_nudiff.synthesis.local import Sides, extend_image, rerender
from napari_nudiff.synthesis.pipeline import render
from napari_nudiff.synthesis.replay import request_of
from napari_nudiff.synthesis.request import EditRequest, RenderRequest
from napari_nudiff.work import run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def settings(tiny_checkpoint) -> dict:
    return {"checkpoint": tiny_checkpoint("image"), "steps": 2, "seed": 3}


@pytest.fixture
def chain(layout, settings):
    """A render, edited three times, the last time with a larger canvas."""
    made = [run(render(layout, RenderRequest(**settings)))]
    for nucleus in (1, 2):
        last = made[-1]
        after = np.where(last.labels == nucleus, 0, last.labels)
        request = EditRequest(**settings, strength=0.5 * nucleus)
        job = rerender(last.image, last.labels, after, request, parent=last.provenance)
        made.append(run(job))
    last, sides = made[-1], Sides(right=20, bottom=12)
    wide = np.pad(last.labels, ((0, 12), (0, 20)))
    job = extend_image(
        last.image, last.labels, wide, sides, EditRequest(**settings), parent=last.provenance
    )
    return [*made, run(job)]


def test_a_chain_of_edits_is_made_again_from_the_last_ones_provenance_alone(chain) -> None:
    stored = json.loads(json.dumps(chain[-1].provenance))
    again = run(request_of(stored))
    assert np.array_equal(again.image, chain[-1].image)
    assert again.provenance == chain[-1].provenance


def test_an_image_of_an_older_version_is_made_again(tmp_path, monkeypatch) -> None:
    """By the model that its request names, fetched from where the repository keeps it."""
    monkeypatch.setenv("NUDIFF_CACHE", str(tmp_path))
    monkeypatch.setenv("NUDIFF_BASE_URL", str(ROOT / "checkpoints"))
    stored = ROOT / "tests" / "data" / "requests" / "tnbc-compact.json"
    again = run(request_of(json.loads(stored.read_text()))).image
    before = iio.imread(stored.with_suffix(".png"))
    # Equal bytes on an equal processor; another one may round a value differently.
    assert np.abs(again.astype(int) - before).max() <= 1
    assert (tmp_path / "tnbc-compact-image.safetensors").is_file()


def test_a_chain_holds_one_whole_layout(chain) -> None:
    assert json.dumps(chain[-1].provenance).count('"layout": {"shape": [84, 120]') == 1
    assert "layout" not in chain[-1].provenance["parent"]
    assert chain[-1].provenance["parent"]["parent"]["parent"]["kind"] == "render"


def test_a_parent_with_another_layout_keeps_it(layout, settings) -> None:
    base = run(render(layout, RenderRequest(**settings)))
    other = np.where(layout == 1, 0, layout)
    job = rerender(base.image, other, other, EditRequest(**settings), parent=base.provenance)
    assert run(job).provenance["parent"] == base.provenance


@pytest.mark.parametrize(
    ("provenance", "words"),
    [
        ({"schema": 99, "kind": "render", "request": {}}, "Update"),
        ({"schema": 1, "kind": "poem"}, "'poem'"),
        ({"schema": 1, "kind": "render", "request": {}}, "layout is missing"),
        ({}, "schema None"),
    ],
)
def test_what_cannot_be_made_again_is_refused(provenance, words) -> None:
    with pytest.raises(RequestError, match=words):
        request_of(provenance)
