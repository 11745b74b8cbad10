"""``nudiff evaluate pairs`` from the command line."""

import json
import sys

import numpy as np
import pytest

from napari_nudiff.cli import main
from napari_nudiff.dataset.images import write_layout, write_rgb
from napari_nudiff.nuclei.layout import scatter_nuclei


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Four pairs of two patients that are easy to segment."""
    folder, rng = tmp_path_factory.mktemp("pairs"), np.random.default_rng(0)
    for i, stem in enumerate(["a_1", "a_2", "b_1", "b_2"]):
        labels = scatter_nuclei((64, 64), density=0.25, mean_area_px=150, seed=i)
        image = np.where(labels[..., None] > 0, (90, 60, 140), (230, 180, 210))
        noisy = (image + rng.normal(0, 6, image.shape)).clip(0, 255).astype(np.uint8)
        write_rgb(folder / "images" / f"{stem}.png", noisy)
        write_layout(folder / "labels" / f"{stem}.tif", labels)
    return folder


@pytest.fixture
def command(data, tiny_checkpoint, tmp_path):
    """A small study: options given to it come last and win."""
    small = ["--count", "2", "--size", "64", "--steps", "2", "--segmenter-steps", "2",
             "--device", "cpu", "--quiet"]  # fmt: skip
    models = ["--image", tiny_checkpoint("image"), "--structure", tiny_checkpoint("structure")]
    where = ["--data", str(data), "--out", str(tmp_path / "out"), "--held-out", "b_*"]
    return lambda *options: main(["evaluate", "pairs", *where, *models, *small, *options])


def test_a_study_ends_with_its_verdicts_and_the_report(command, tmp_path, capsys) -> None:
    assert command() == 0
    shown = capsys.readouterr().out
    assert "Are the nuclei where the layout has them? not measured." in shown
    assert shown.rstrip().endswith("report.html")
    out = tmp_path / "out"
    assert (out / "report.html").stat().st_size > 10_000
    assert (out / "sheet.png").is_file()
    numbers = json.loads((out / "report.json").read_text())
    assert numbers["config"]["count"] == 2
    assert len(list(out.glob("samples-*/sampled-*.png"))) == 2
    before = (out / "report.html").read_bytes()
    assert command() == 0
    assert (out / "report.html").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--data", "nowhere"], "No images"),
        (["--held-out", "nobody"], "0 held out"),
        (["--held-out", "*"], "0 images to train"),
        (["--image", "no-such-model"], "no-such-model"),
        (["--size", "80"], "smaller than --size"),
        (["--count", "0"], "count is 0"),
        (["--features", "eyes"], "known are judge"),
        (["--features", "inception"], "feature-weights"),
        (["--sampler", "dice"], "sampler"),
        (["--steps", "0"], "steps"),
        (["--device", "abacus"], "device"),
    ],
)
def test_bad_input_is_told_in_one_line(command, options, told, capsys, tmp_path) -> None:
    assert command(*options) == 2
    shown = capsys.readouterr().err
    assert told in shown
    assert shown.startswith("nudiff: ")
    assert shown.count("\n") == 1


def test_matplotlib_is_missed_before_anything_is_made(
    command, monkeypatch, capsys, tmp_path
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert command() == 2
    assert "napari-nudiff[train]" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
