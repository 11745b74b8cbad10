"""A whole study with the tests' networks, and what it refuses."""

import json
import re
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest

from napari_nudiff.dataset.images import read_layout, read_rgb, write_layout
from napari_nudiff.errors import DatasetError, RequestError
from napari_nudiff.evaluation.report import write_report
from napari_nudiff.evaluation.study import Study, StudyConfig, evaluate_pairs

from ..conftest import write_tiny_checkpoint


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
    *_, made = evaluate_pairs(config)
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
    def refuse(*_: object) -> None:
        raise AssertionError("rendered again")

    monkeypatch.setattr("napari_nudiff.evaluation.study.render", refuse)
    monkeypatch.setattr("napari_nudiff.evaluation.study.sample_layout", refuse)
    *_, again = evaluate_pairs(config)
    assert again.render_scores == study.render_scores
    assert repr(again.realism) == repr(study.realism)  # NaN is not equal to itself
    with pytest.raises(AssertionError, match="rendered again"):
        list(evaluate_pairs(replace(config, seed=1)))


def test_the_same_study_gives_the_same_report(study) -> None:
    first = write_report(study).read_bytes()
    assert write_report(study).read_bytes() == first


def test_renders_of_labels_that_changed_are_made_again(study, config, tmp_path) -> None:
    data = shutil.copytree(config.data, tmp_path / config.data.name)
    path = data / "labels" / "b_1.tif"
    write_layout(path, np.flipud(read_layout(path)))
    out = shutil.copytree(config.out, tmp_path / "out")
    *_, again = evaluate_pairs(replace(config, data=data, out=out))
    same = [np.array_equal(a, b) for a, b in zip(study.renders, again.renders, strict=True)]
    assert same == [False, True]
    assert all(np.array_equal(a, b) for a, b in zip(study.samples, again.samples, strict=True))


def test_a_record_that_is_damaged_is_made_again(study, config) -> None:
    (record,) = config.out.glob("samples-*/sampled-0001.json")
    whole = record.read_text()
    record.write_text(whole[:100])
    *_, again = evaluate_pairs(config)
    assert record.read_text() == whole
    assert np.array_equal(again.samples[1], study.samples[1])


def test_one_sample_is_reported_without_realism(config, tmp_path) -> None:
    *_, made = evaluate_pairs(replace(config, count=1, out=tmp_path))
    assert made.realism is None
    assert "Not measured: 1 render" in write_report(made).read_text()


def test_bad_input_is_refused(config, tmp_path) -> None:
    with pytest.raises(DatasetError, match="--held-out"):
        list(evaluate_pairs(replace(config, held_out=("nobody",))))
    with pytest.raises(DatasetError, match="smaller than --size"):
        list(evaluate_pairs(replace(config, size_px=128)))
    with pytest.raises(RequestError, match="a structure model is needed"):
        list(evaluate_pairs(replace(config, structure=config.image)))
    with pytest.raises(RequestError, match="count is 0"):
        replace(config, count=0)


def test_without_matplotlib_the_way_out_is_told(study, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(RequestError, match=r"napari-nudiff\[train\]"):
        write_report(study)
    report = study.config.out / "report.html"
    report.unlink(missing_ok=True)
    with pytest.raises(RequestError):
        write_report(study)
    assert not report.exists()
