"""A whole study with the tests' networks, and what it refuses."""

import json
import re
from dataclasses import replace

import pytest

from napari_nudiff.cli import main
from napari_nudiff.dataset.images import read_rgb
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


def test_a_report_shows_it_without_any_file_beside_it(study) -> None:
    path = write_report(study)
    text = path.read_text()
    assert text.count("data:image/jpeg;base64,") == 3
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert str(study.config.data.parent) not in text
    numbers = json.loads((study.config.out / "report.json").read_text())
    assert str(study.config.data.parent) not in json.dumps(numbers)
    assert [v["answer"] for v in numbers["verdicts"]].count("not measured") == 3  # 3 of 16 samples
    assert numbers["checkpoints"][1]["sha256"] == study.models[1].sha256
    assert read_rgb(study.config.out / "sheet.png").shape == (68, 3 * 68, 3)


def test_what_was_made_is_not_made_again(study, config, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("rendered again")

    monkeypatch.setattr("napari_nudiff.evaluation.study.render", refuse)
    monkeypatch.setattr("napari_nudiff.evaluation.study.sample_layout", refuse)
    *_, again = evaluate_pairs(config)
    assert again.render_scores == study.render_scores
    assert again.realism == study.realism
    with pytest.raises(AssertionError, match="rendered again"):
        list(evaluate_pairs(replace(config, seed=1)))


def test_the_command_line_ends_with_the_verdicts(study, config, capsys) -> None:
    command = ["evaluate", "pairs", "--data", str(config.data), "--out", str(config.out),
               "--held-out", "b_*", "--image", config.image, "--structure", config.structure,
               "--count", "3", "--size", "64", "--steps", "2", "--segmenter-steps", "3",
               "--device", "cpu", "--quiet"]  # fmt: skip
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "Are the nuclei where the layout has them? " in shown
    assert shown.rstrip().endswith("report.html")


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
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(RequestError, match=r"napari-nudiff\[train\]"):
        write_report(study)
