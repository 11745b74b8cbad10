"""``nudiff generate`` as a user types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from napari_nudiff.cli import main
from napari_nudiff.dataset.images import read_rgb, write_layout, write_rgb
from napari_nudiff.dataset.sample import read_sample
from napari_nudiff.nuclei.layout import scatter_nuclei
from napari_nudiff.synthesis.appearance import appearance_of_image


@pytest.fixture
def generate(tiny_checkpoint):
    """Run the command in this process, with the tiny networks."""
    tiny = ["--image-checkpoint", tiny_checkpoint("image"), "--precision", "fp32"]
    tiny += ["--structure-checkpoint", tiny_checkpoint("structure"), "--device", "cpu"]
    tiny += ["--size", "64", "64", "--steps", "2", "--layout-steps", "2", "--processes", "1"]

    def run(out: Path, *told: object) -> int:
        return main(["generate", *tiny, "--out", str(out), *map(str, told)])

    return run


def requests_in(folder: Path) -> list[dict]:
    return [read_sample(p).provenance["request"] for p in sorted(folder.glob("0*.json"))]


def test_pairs_are_made_and_the_same_command_goes_on(generate, tmp_path, capsys):
    assert generate(tmp_path, "--count", 3) == 0
    told = capsys.readouterr()
    assert "complete" in told.out and "3/3" in told.err
    (tmp_path / "000001.json").unlink()
    assert generate(tmp_path, "--count", 3) == 0
    assert "3/3" in capsys.readouterr().err
    assert generate(tmp_path, "--count", 3) == 0
    assert "pair" not in capsys.readouterr().err  # nothing to make, no progress
    assert len(requests_in(tmp_path)) == 3


def test_the_plan_that_lies_in_the_folder_is_one_to_give(generate, tmp_path):
    varied = ("--vary-stain", 0.5, "--guidance", 1, 2, "--density", 0.1, 0.2, "--perturb", 0.2)
    assert generate(tmp_path / "a", "--count", 2, "--seed", 5, *varied) == 0
    plan = ("--plan", tmp_path / "a" / "plan.json")
    assert generate(tmp_path / "b", *plan) == 0
    assert requests_in(tmp_path / "a") == requests_in(tmp_path / "b")
    assert generate(tmp_path / "c", *plan, "--seed", 6) == 0
    assert requests_in(tmp_path / "a") != requests_in(tmp_path / "c")


def test_another_plan_is_told_in_one_line(generate, tmp_path, capsys):
    assert generate(tmp_path, "--count", 1) == 0
    capsys.readouterr()
    assert generate(tmp_path, "--count", 2, "--guidance", 2, 3) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "(guidance differ)" in told


@pytest.mark.parametrize("kind", ["file", "folder", "dataset"])
def test_layouts_that_are_given(generate, tmp_path, kind):
    folder = tmp_path / "lab" / "labels" if kind == "dataset" else tmp_path / "lab"
    labels = scatter_nuclei((64, 64), density=0.3, seed=1)
    write_layout(folder / "a_labels.tif", labels)
    write_layout(folder / "a.tif" if kind == "folder" else tmp_path / "a.tif", labels * 0)
    told = folder / "a_labels.tif" if kind == "file" else tmp_path / "lab"
    assert generate(tmp_path / "out", "--count", 1, "--layouts", told, "--no-turns") == 0
    sample = read_sample(tmp_path / "out" / "000000.json")
    np.testing.assert_array_equal(sample.labels > 0, labels > 0)


def test_shares_together_are_the_whole(generate, tmp_path, capsys):
    for share in ("2/3", "1/3", "3/3"):
        assert generate(tmp_path, "--count", 4, "--shard", share) == 0
        assert "this share is complete" in capsys.readouterr().out
    assert generate(tmp_path / "whole", "--count", 4) == 0
    assert requests_in(tmp_path) == requests_in(tmp_path / "whole")


def test_a_dry_run_estimates_and_writes_nothing(generate, tmp_path, capsys):
    assert generate(tmp_path / "out", "--count", 1000, "--dry-run") == 0
    told = capsys.readouterr().out
    assert "1,000 pairs of 64 x 64 px, 1,000 to make" in told
    assert "s each" in told and "MB are free" in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "told, complaint",
    [
        (["--shard", "4/3"], "--shard 4/3: K/N was expected"),
        (["--shard", "half"], "--shard half: K/N was expected"),
        (["--processes", "-1"], "--processes is -1"),
        (["--layouts", "nowhere"], "--layouts nowhere: sampled, scattered, or files"),
        (["--layouts", "."], "holds no label images"),
        (["--density", "0.5", "0.1"], "the lower first"),
        (["--stain", "mauve"], "mauve"),
        (["--plan", "nowhere.toml"], "Cannot read the plan"),
        (["--size", "32", "64"], "height_px is 32"),
    ],
)
def test_what_makes_no_sense_is_told_in_one_line(
    generate, tmp_path, monkeypatch, capsys, told, complaint
):
    monkeypatch.chdir(tmp_path)
    assert generate(tmp_path / "out", *told) == 2
    error = capsys.readouterr().err
    assert complaint in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.fixture
def lab(tmp_path) -> Path:
    """Two images of a lab, one with labels."""
    for number in range(2):
        image = np.random.default_rng(number).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        write_rgb(tmp_path / "lab" / f"{number}.png", image)
    write_layout(tmp_path / "lab" / "0_labels.tif", np.zeros((64, 64), np.int32))
    return tmp_path / "lab"


@pytest.fixture
def scaled(tiny_checkpoint) -> list[str]:
    return [
        *("--image-checkpoint", tiny_checkpoint("scaled-image")),
        *("--structure-checkpoint", tiny_checkpoint("scaled-structure")),
        *("--layouts", "scattered"),
    ]


def test_appearances_of_a_lab_are_taken_once(generate, lab, scaled, tmp_path, tiny_checkpoint):
    out, told = tmp_path / "out", [*scaled, "--appearance-from", lab]
    assert generate(out, "--count", 4, *told) == 0
    codes = {tuple(request["appearance"]) for request in requests_in(out)}
    expected = {
        appearance_of_image(tiny_checkpoint("scaled-image"), read_rgb(path))
        for path in lab.glob("*.png")
    }
    assert codes == expected
    assert generate(out, "--count", 5, *told) == 0
    # The plan has all of it: the images are no longer needed.
    assert generate(tmp_path / "again", *scaled, "--plan", out / "plan.json") == 0
    assert requests_in(tmp_path / "again")[:4] == requests_in(out)[:4]


def test_processes_share_the_appearances(generate, lab, scaled, tmp_path):
    told = ["--count", 4, *scaled, "--appearance-from", lab / "0.png", "--um-per-px", 0.5]
    assert generate(tmp_path / "one", *told) == 0
    assert generate(tmp_path / "two", *told, "--processes", 2) == 0
    assert requests_in(tmp_path / "one") == requests_in(tmp_path / "two")
    assert {request["um_per_px"] for request in requests_in(tmp_path / "one")} == {0.5}


def test_given_layouts_keep_their_scale(generate, scaled, tmp_path, capsys):
    labels = scatter_nuclei((64, 64), density=0.3, seed=1)
    for name, um_per_px in {"a": 0.5, "b": 0.5, "c": 0.25, "d": None}.items():
        write_layout(tmp_path / f"{name}.tif", labels, um_per_px)

    def made(*names: str, told: tuple = ()) -> set[float]:
        out = tmp_path / "".join((*names, *map(str, told)))
        files = [tmp_path / f"{name}.tif" for name in names]
        assert generate(out, "--count", 1, *scaled, "--layouts", *files, *told) == 0
        return {request["um_per_px"] for request in requests_in(out)}

    assert made("a", "b") == {0.5}
    assert made("c", "d") == {0.25}
    assert made("a", "c", told=("--um-per-px", 0.4)) == {0.4}
    mixed = ["--layouts", tmp_path / "a.tif", tmp_path / "c.tif"]
    assert generate(tmp_path / "mixed", "--count", 1, *scaled, *mixed) == 2
    assert "0.25 to 0.5 um per px" in capsys.readouterr().err


def test_an_appearance_can_be_varied(generate, scaled, tmp_path):
    assert generate(tmp_path, "--count", 1, *scaled, "--vary-appearance", 0.5) == 0
    assert requests_in(tmp_path)[0]["appearance_spread"] == 0.5


@pytest.mark.parametrize(
    "told, complaint",
    [
        (["--appearance-from", "nowhere"], "--appearance-from nowhere: images"),
        (["--appearance-from", "."], "holds no images"),
        (["--vary-appearance", "9"], "appearance_spread is 9"),
        (["--um-per-px", "7"], "um_per_px is 7"),
    ],
)
def test_a_wrong_appearance_is_told_in_one_line(
    generate, scaled, tmp_path, monkeypatch, capsys, told, complaint
):
    monkeypatch.chdir(tmp_path)
    assert generate(tmp_path / "out", *scaled, *told) == 2
    error = capsys.readouterr().err
    assert complaint in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "told", [["--vary-appearance", "1"], ["--appearance-from", "lab"], ["--um-per-px", "0.5"]]
)
def test_a_model_that_cannot_be_given_it_says_so(
    generate, lab, tmp_path, monkeypatch, capsys, told
):
    monkeypatch.chdir(tmp_path)
    assert generate(tmp_path / "out", *told) == 2
    error = capsys.readouterr().err
    assert "takes no appearance" in error or "0.25 um per px only" in error
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("processes", ["1", "2"])
def test_ctrl_c_tells_how_to_go_on(tiny_checkpoint, tmp_path, processes):
    out = tmp_path / "out"
    told = ["--count", "5000", "--size", "64", "64", "--layouts", "scattered", "--steps", "2"]
    told += ["--image-checkpoint", tiny_checkpoint("image"), "--processes", processes]
    running = subprocess.Popen(
        [sys.executable, "-m", "napari_nudiff.cli", "generate", *told, "--out", str(out)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while running.poll() is None and not (out / "000003.json").is_file():
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does
    error = running.communicate(timeout=60)[1]
    kept = len(list(out.glob("0*.json")))
    assert running.returncode == 130
    assert f"\n{kept:,} of 5,000 pairs are complete" in error
    assert "Run the same command again" in error and "Traceback" not in error
    assert json.loads((out / "plan.json").read_text())["count"] == 5000
