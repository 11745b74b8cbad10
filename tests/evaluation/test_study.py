"""A whole study with the tests' networks, and what it refuses."""

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_nudiff.dataset.images import read_layout, read_rgb, write_layout
from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.dataset.prepared import Item, write_set
from napari_nudiff.diffusion.weights import Header, write_weights
from napari_nudiff.errors import DatasetError, RequestError
from napari_nudiff.evaluation.report import write_report
from napari_nudiff.evaluation.study import Study, StudyConfig, evaluate_pairs, scale_option
from napari_nudiff.nuclei.layout import scatter_nuclei
from napari_nudiff.synthesis import backoff
from napari_nudiff.work import Work, run

from ..conftest import write_tiny_checkpoint
from ..networks import IMAGE, randomised
from .conftest import tissue


@pytest.fixture(scope="module")
def config(data, tmp_path_factory) -> StudyConfig:
    folder = tmp_path_factory.mktemp("study")
    return StudyConfig(
        data=data,
        out=folder / "out",
        held_out=("b_*",),
        image=str(write_tiny_checkpoint(folder / "image.safetensors", "image")),
        structure=str(write_tiny_checkpoint(folder / "structure.safetensors", "structure")),
        count=3,
        size_px=64,
        steps=2,
        segmenter_steps=3,
        device="cpu",
    )


@pytest.fixture(scope="module")
def study(config) -> Study:
    made = run(evaluate_pairs(config))
    assert isinstance(made, Study)
    return made


def test_a_study_measures_every_render_and_sample(study) -> None:
    assert {f.name for f in study.fields} == {"b_1", "b_2"}
    assert len(study.renders) == len(study.real_scores) == len(study.render_scores) == 2
    assert len(study.layouts) == len(study.samples) == len(study.copies.synthetic) == 3
    assert study.realism.n == 3
    assert study.models[0].role == "structure"
    assert len(study.real_layouts) == 4


def test_a_report_shows_it_without_any_file_beside_it(study) -> None:
    path = write_report(study)
    text = path.read_text()
    assert text.count("data:image/jpeg;base64,") == 3
    assert text.count("data:image/svg+xml;base64,") == 3
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert str(study.config.data.parent) not in text
    numbers = json.loads((study.config.out / "report.json").read_text())
    assert str(study.config.data.parent) not in json.dumps(numbers)
    # 2 fields, and 3 of 16 samples
    assert {v["answer"] for v in numbers["verdicts"]} == {"not measured"}
    assert numbers["agreement"]["difference"]["dice"]["n"] == 2
    assert numbers["memorisation"]["images"]["n"] == 3
    assert numbers["realism"]["nearest_below_1_percent"]["n_unseen"] == 6
    assert numbers["checkpoints"][1]["sha256"] == study.models[1].sha256
    assert read_rgb(study.config.out / "sheet.png").shape == (68, 3 * 68, 3)


def test_what_was_made_is_not_made_again(study, config, monkeypatch) -> None:
    def refuse(*_: object) -> Work[None]:
        raise AssertionError("rendered again")
        yield

    monkeypatch.setattr("napari_nudiff.evaluation.study.render", refuse)
    monkeypatch.setattr("napari_nudiff.evaluation.study.sample_layout", refuse)
    again = run(evaluate_pairs(config))
    assert again.render_scores == study.render_scores
    assert repr(again.realism) == repr(study.realism)  # NaN is not equal to itself
    with pytest.raises(AssertionError, match="rendered again"):
        run(evaluate_pairs(replace(config, seed=1)))


def test_the_same_study_gives_the_same_report(study) -> None:
    first = write_report(study).read_bytes()
    assert write_report(study).read_bytes() == first


def test_renders_of_labels_that_changed_are_made_again(study, config, tmp_path) -> None:
    data = shutil.copytree(config.data, tmp_path / config.data.name)
    path = data / "labels" / "b_1.tif"
    write_layout(path, np.flipud(read_layout(path)))
    out = shutil.copytree(config.out, tmp_path / "out")
    again = run(evaluate_pairs(replace(config, data=data, out=out)))
    same = [np.array_equal(a, b) for a, b in zip(study.renders, again.renders, strict=True)]
    assert same == [False, True]
    assert all(np.array_equal(a, b) for a, b in zip(study.samples, again.samples, strict=True))


def test_a_record_that_is_damaged_is_made_again(study, config) -> None:
    (record,) = config.out.glob("samples-*/sampled-0001.json")
    whole = record.read_text()
    record.write_text(whole[:100])
    again = run(evaluate_pairs(config))
    assert record.read_text() == whole
    assert np.array_equal(again.samples[1], study.samples[1])


def test_one_sample_is_reported_without_realism(config, tmp_path) -> None:
    made = run(evaluate_pairs(replace(config, count=1, out=tmp_path)))
    assert made.realism is None
    assert "Not measured: 1 render" in write_report(made).read_text()


def test_bad_input_is_refused(config, tmp_path) -> None:
    with pytest.raises(DatasetError, match="--held-out"):
        run(evaluate_pairs(replace(config, held_out=("nobody",))))
    with pytest.raises(DatasetError, match=r"smaller than --size.* --size 96 fits all"):
        run(evaluate_pairs(replace(config, size_px=128)))
    with pytest.raises(RequestError, match="a structure model is needed"):
        run(evaluate_pairs(replace(config, structure=config.image)))
    with pytest.raises(RequestError, match="count is 0"):
        replace(config, count=0)


def scaled_set(folder: Path, um_per_px: dict[str, float]) -> Path:
    """A prepared set with a pair of each name at its scale; c is held out."""
    entries = []
    for i, (name, scale) in enumerate(um_per_px.items()):
        labels = scatter_nuclei((98, 98), density=0.25, mean_area_px=150, seed=i)
        split = "held_out" if name.startswith("c") else "train"
        item = Item(name, name[0], split, 98, 98, int(labels.max()), scale, "made", "")
        entries.append((item, Pair(Layout(labels), tissue(labels, i))))
    write_set(folder, entries, {})
    return folder


def test_a_set_of_two_scales_is_studied_one_at_a_time(config, tmp_path) -> None:
    scales = {"a_1": 0.25, "a_2": 0.5, "b_1": 0.504, "c_1": 0.5, "c_2": 0.25}
    data = scaled_set(tmp_path / "data", scales)
    both = replace(config, data=data, out=tmp_path / "out", held_out=())
    with pytest.raises(DatasetError, match=r"0.25 to 0.504 um per px.*--um-per-px"):
        run(evaluate_pairs(both))
    made = run(evaluate_pairs(replace(both, um_per_px=0.5)))
    assert made.um_per_px == 0.5
    assert {f.name for f in made.fields} == {"c_1"}
    assert len(made.training) == 2
    text = write_report(made).read_text()
    assert "64 px of 0.5 um" in text
    assert json.loads((both.out / "report.json").read_text())["um_per_px"] == 0.5
    with pytest.raises(DatasetError, match=r"0 images to train .* at 2 um per px"):
        run(evaluate_pairs(replace(both, um_per_px=2.0)))


def test_layouts_of_a_finer_model_are_brought_to_the_scale_of_the_set(config, tmp_path) -> None:
    """The tests' structure model is of 0.25 um: at 0.5 um a field is twice as many of its px."""
    data = scaled_set(tmp_path / "data", {"a_1": 0.5, "c_1": 0.5})
    made = run(
        evaluate_pairs(replace(config, data=data, out=tmp_path / "out", held_out=(), count=1))
    )
    (sampled,) = (tmp_path / "out").glob("samples-*/layout-0000.tif")
    assert read_layout(sampled).shape == (128, 128)
    assert made.layouts[0].shape == (64, 64)
    assert np.array_equal(made.layouts[0] > 0, read_layout(sampled)[1::2, 1::2] > 0)


def test_a_model_that_knows_several_scales_is_asked_for_that_of_the_set(config, tmp_path) -> None:
    network = replace(IMAGE, conditions=("style", "resolution"))
    path = tmp_path / "scaled.safetensors"
    write_weights(path, randomised(network), Header("image", network), torch.float16)
    assert scale_option(str(path), 0.5) == {"um_per_px": 0.5}
    assert scale_option(str(path), None) == {}
    assert scale_option(config.image, 0.5) == {}


def test_without_matplotlib_the_way_out_is_told(study, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(RequestError, match=r"napari-nudiff\[train\]"):
        write_report(study)
    report = study.config.out / "report.html"
    report.unlink(missing_ok=True)
    with pytest.raises(RequestError):
        write_report(study)
    assert not report.exists()


def test_a_study_does_with_less_memory_and_passes_the_note_on(
    config, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(backoff, "available_bytes", lambda device: 1000)
    notes: list[str] = []
    small = replace(config, count=1, size_px=96, out=tmp_path)
    run(evaluate_pairs(small), lambda progress: notes.append(progress.note))
    assert any("There is not enough memory for 96 x 96 px" in note for note in notes)
    (record,) = tmp_path.glob("samples-*/sampled-0000.json")
    assert json.loads(record.read_text())["request"]["window_px"] == 64
