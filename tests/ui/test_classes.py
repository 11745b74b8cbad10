"""The class of a nucleus, from a lab's files through everything to the files of other programs."""

import json
from dataclasses import replace

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_nudiff.dataset.candidates import find_candidates
from napari_nudiff.dataset.checks import Rules, check_image
from napari_nudiff.dataset.export.options import ExportOptions
from napari_nudiff.dataset.export.plan import plan_set
from napari_nudiff.dataset.export.writing import write_set
from napari_nudiff.dataset.images import write_rgb
from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.dataset.pair_file import read_pair
from napari_nudiff.dataset.pairs import load_pairs
from napari_nudiff.dataset.preparation import prepare
from napari_nudiff.dataset.sample import read_sample, write_sample
from napari_nudiff.dataset.survey import PrepareConfig, survey
from napari_nudiff.dataset.writers import FORMATS
from napari_nudiff.dataset.writers.qupath import labels_to_geojson
from napari_nudiff.synthesis.pipeline import render
from napari_nudiff.synthesis.request import RenderRequest
from napari_nudiff.training.tiles import tiles_of
from napari_nudiff.ui.readers import get_reader, pair_layers
from napari_nudiff.ui.writers import write_geojson, write_mat, write_nudiff
from napari_nudiff.work import run

WITHOUT = {"cellpose", "stardist", "ome-tiff"}
"""Formats of label images, which have no place for classes."""

PLACES = {(60, 60): "tumour", (60, 180): "stroma", (180, 60): "", (180, 180): "tumour"}
"""A pixel of each nucleus, and its class."""


def seen(layout: Layout, default: str = "") -> dict[tuple[int, int], str]:
    """The class at each place, whatever the numbers of the nuclei are."""
    return {at: layout.classes.get(int(layout.labels[at]), default) for at in PLACES}


def drawn() -> Layout:
    """The nuclei, with ids in another order than any reader would give them."""
    rows, cols = np.mgrid[:256, :256]
    labels, classes = np.zeros((256, 256), np.int32), {}
    for number, (at, name) in zip((7, 3, 9, 4), PLACES.items(), strict=True):
        labels[np.hypot(rows - at[0], cols - at[1]) < 14 + number] = number
        classes |= {number: name} if name else {}
    return Layout(labels, classes, 0.25)


@pytest.fixture
def layers():
    """A pair as layers of a viewer, whose nuclei have classes in the features."""
    pair = Pair(drawn(), np.full((256, 256, 3), 200, np.uint8), "mine")
    return [(Image, Labels)[kind == "labels"](d, **about) for d, about, kind in pair_layers(pair)]


def test_the_class_of_a_nucleus_survives_from_a_lab_to_what_other_programs_read(
    tmp_path, tiny_checkpoint
) -> None:
    # A lab's outlines become a prepared set, and that the crops of a training.
    lab, layout = tmp_path / "lab", drawn()
    write_rgb(lab / "a.png", np.full((256, 256, 3), 200, np.uint8))
    (lab / "a.geojson").write_text(
        json.dumps(labels_to_geojson(layout.labels, class_names=layout.classes))
    )
    config = PrepareConfig((lab,), rules=Rules(um_per_px=0.25), held_out=0)
    prepare(tmp_path / "set", survey(config), config)
    (pair,), _ = load_pairs(tmp_path / "set")
    assert seen(pair.layout) == PLACES
    (tile,) = tiles_of([pair])
    crop = tile.window(np.s_[20:148, 140:256]).turned(1, True)
    at = turned_place((60 - 20, 180 - 140), (128, 116))
    assert crop.classes[int(crop.labels[at])] == "stroma"

    # A render of it, in a file, as layers, saved from there, and beside its request.
    request = RenderRequest(checkpoint=tiny_checkpoint("image"), steps=1, seed=1)
    made = run(render(pair.layout, request))
    assert seen(made.layout) == PLACES
    shown = [
        (data, Labels(data, **about).as_layer_data_tuple()[1], kind)
        if kind == "labels"
        else (data, Image(data, **about).as_layer_data_tuple()[1], kind)
        for data, about, kind in pair_layers(replace(made, name="a"))
    ]
    (tmp_path / "made").mkdir()
    write_nudiff(str(tmp_path / "made" / "a.nudiff"), shown)
    assert seen(read_pair(tmp_path / "made" / "a.nudiff").layout) == PLACES
    write_sample(tmp_path / "three", "a", made)
    assert seen(read_sample(tmp_path / "three" / "a.json").layout) == PLACES
    assert read_sample(tmp_path / "three" / "a.json").provenance == made.provenance

    # Every format that has classes.
    formats = tuple(name for name, form in FORMATS.items() if available(form))
    candidates = find_candidates(tmp_path / "made")
    options = ExportOptions(formats=formats)
    plan = run(plan_set(candidates, options))
    assert plan.class_names == ("nucleus", "stroma", "tumour")
    run(write_set(tmp_path / "out", candidates, plan))
    wanted = {at: name or "nucleus" for at, name in PLACES.items()}
    for name in set(formats) - WITHOUT:
        (found,) = FORMATS[name].read(tmp_path / "out" / name)
        again, _ = check_image(found, Rules(um_per_px=0.25))
        assert seen(again.layout) == wanted, name


def available(form) -> bool:
    """Whether the optional packages of a format are installed."""
    from importlib.util import find_spec

    return all(find_spec(package) for package in form.packages)


def turned_place(at, shape):
    """Where a pixel lies after a quarter turn and a mirroring."""
    marked = np.zeros(shape, bool)
    marked[at] = True
    (row, col) = np.argwhere(np.rot90(marked)[:, ::-1])[0]
    return int(row), int(col)


@pytest.mark.parametrize(
    ("write", "name", "names"),
    [
        (write_geojson, "a.geojson", {}),
        # HoVer-Net's files have numbers only: of the names in the order of the alphabet.
        (write_mat, "a.mat", {"stroma": "type 1", "tumour": "type 2"}),
    ],
)
def test_saved_labels_keep_their_classes(tmp_path, layers, write, name, names) -> None:
    data, about, _ = layers[1].as_layer_data_tuple()
    path = str(tmp_path / name)
    write(path, data, about)
    ((labels, attributes, _),) = get_reader(path)(path)
    layer = Labels(labels, **attributes)
    classes = dict(zip(layer.features["index"], layer.features["class"], strict=True))
    wanted = {at: names.get(name, name) for at, name in PLACES.items()}
    assert {at: classes.get(labels[at], "") for at in PLACES} == wanted


def test_a_layer_without_classes_has_no_features() -> None:
    ((_, attributes, _),) = pair_layers(Pair(Layout(drawn().labels)))
    assert "features" not in attributes
