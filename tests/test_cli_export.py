"""``nudiff export`` as a user types it."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from napari_nudiff.cli import main
from napari_nudiff.dataset.images import write_layout, write_rgb
from napari_nudiff.dataset.pair import Layout, Pair, pixels_sha256
from napari_nudiff.dataset.review import Review, ReviewFile
from napari_nudiff.dataset.sample import read_sample
from napari_nudiff.nuclei.layout import scatter_nuclei


@pytest.fixture(scope="module")
def pairs(tmp_path_factory, tiny_checkpoint):
    """Three renders of the tiny network, with everything that makes them again."""
    folder = tmp_path_factory.mktemp("cli")
    for seed in range(3):
        labels = scatter_nuclei((64, 64), density=0.3, mean_area_px=150, seed=seed)
        write_layout(folder / f"layout{seed}.tif", labels)
    layouts = [str(path) for path in sorted(folder.glob("*.tif"))]
    told = ["--steps", "2", "--precision", "fp32", "--quiet", "--out", str(folder / "pairs")]
    assert main(["render", *layouts, "--checkpoint", tiny_checkpoint("image"), *told]) == 0
    return folder / "pairs"


def test_a_set_is_written_verified_and_rendered_again(pairs, tmp_path, capsys):
    out = tmp_path / "set"
    told = ["--format", "cellpose", "qupath", "--val", "0", "--test", "0", "--border", "drop"]
    assert main(["export", "write", str(pairs), "--out", str(out), *told, "--quiet"]) == 0
    assert "3 pairs, 3 lineages" in capsys.readouterr().out
    assert main(["export", "verify", str(out), "--rerender", "2", "--quiet"]) == 0
    assert "is what its manifest says" in capsys.readouterr().out
    assert json.loads((out / "dataset.json").read_text())["options"]["border"] == "drop"


def test_an_image_that_is_not_what_was_rendered_is_found(pairs, tmp_path, capsys):
    """The files are as the manifest says, but the provenance is of another image."""
    from napari_nudiff.dataset.sample import write_sample

    sample = read_sample(pairs / "layout0.json")
    forged = Pair(Layout(sample.labels), 255 - sample.image, provenance=sample.provenance)
    write_sample(tmp_path / "forged", "x", forged)
    out = tmp_path / "set"
    told = ["export", "write", str(tmp_path / "forged"), "--out", str(out), "--format", "stardist"]
    assert main([*told, "--quiet"]) == 0
    assert main(["export", "verify", str(out), "--quiet"]) == 0
    assert main(["export", "verify", str(out), "--rerender", "1", "--quiet"]) == 2
    assert "it is another image" in capsys.readouterr().out


def test_an_image_that_the_memory_is_too_small_for_is_not_called_another(
    tmp_path, tiny_checkpoint, monkeypatch, capsys
):
    from napari_nudiff.synthesis import backoff

    write_layout(tmp_path / "layout.tif", scatter_nuclei((96, 96), density=0.3, seed=1))
    how = ["--steps", "2", "--checkpoint", tiny_checkpoint("image"), "--quiet"]
    made, out = str(tmp_path / "pairs"), str(tmp_path / "set")
    assert main(["render", str(tmp_path / "layout.tif"), "--out", made, *how]) == 0
    assert main(["export", "write", made, "--out", out, "--format", "stardist", "--quiet"]) == 0
    monkeypatch.setattr(backoff, "available_bytes", lambda device: 1000)
    assert main(["export", "verify", out, "--rerender", "1", "--quiet"]) == 0
    assert "cannot be made again here. There is not enough memory" in capsys.readouterr().out


def test_pairs_of_a_layout_that_no_real_image_has_are_named(tmp_path, tiny_checkpoint, capsys):
    for number in range(2):
        labels = scatter_nuclei((96, 96), density=0.3, seed=number)
        write_layout(tmp_path / "layouts" / f"slide{number}.tif", labels)
        write_layout(tmp_path / "real" / "labels" / f"slide{number}.tif", labels)
        image = np.random.default_rng(number).integers(0, 255, (96, 96, 3), dtype=np.uint8)
        write_rgb(tmp_path / "real" / "images" / f"slide{number}.png", image)
    layouts = [str(path) for path in sorted((tmp_path / "layouts").iterdir())]
    told = ["--count", "4", "--size", "64", "64", "--steps", "1", "--processes", "1", "--quiet"]
    told += ["--image-checkpoint", tiny_checkpoint("image"), "--out", str(tmp_path / "made")]
    assert main(["generate", "--layouts", *layouts, *told]) == 0
    told = ["export", "write", str(tmp_path / "made"), "--real", str(tmp_path / "real"), "--quiet"]
    told += ["--format", "cellpose", "--val", "0", "--test", "0"]
    assert main([*told, "--out", str(tmp_path / "known")]) == 0
    assert "warning" not in capsys.readouterr().out
    for path in (tmp_path / "real").rglob("slide1.*"):
        path.unlink()
    assert main([*told, "--out", str(tmp_path / "unknown")]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "warning" in line]
    assert "slide1.tif, which no real image of this set has" in line
    assert line.strip() in (tmp_path / "unknown" / "DATASHEET.md").read_text()


def test_reviews_beside_the_pairs_are_the_gate(pairs, tmp_path):
    image = read_sample(pairs / "layout1.json").image
    reviews = ReviewFile(pairs, "bea")
    reviews.append(Review("bea", pixels_sha256(image), realism=5, correctness=4))
    told = ["export", "write", str(pairs), "--out", str(tmp_path / "set"), "--format", "yolo"]
    assert main([*told, "--min-realism", "4", "--quiet"]) == 0
    with (tmp_path / "set" / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    reviews.path.unlink()
    assert [(row["source"], row["realism"]) for row in rows] == [("layout1.json", "5.0")]


def test_a_dry_run_writes_nothing(pairs, tmp_path, capsys):
    assert main(["export", "write", str(pairs), "--format", "coco-polygons", "--dry-run"]) == 0
    assert "3 pairs" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "told, complaint",
    [
        (["--out", "x"], "No format"),
        (["--format", "cellpose"], "--out"),
        (["--format", "cellpose", "--out", "x", "--class", "tumour"], "OLD=NEW"),
    ],
)
def test_what_is_missing_is_said(pairs, told, complaint, capsys):
    assert main(["export", "write", str(pairs), *told]) == 2
    assert complaint in capsys.readouterr().err


def test_no_pairs_at_all(tmp_path, capsys):
    assert main(["export", "write", "--format", "cellpose", "--out", str(tmp_path / "x")]) == 2
    assert "--real" in capsys.readouterr().err
    assert main(["export", "verify", str(tmp_path)]) == 2
    assert "no exported set" in capsys.readouterr().err


def test_formats_are_listed_with_who_reads_them(capsys):
    assert main(["export", "formats"]) == 0
    told = capsys.readouterr().out
    assert "cellpose" in told and "QuPath (drag and drop)" in told


def test_the_real_reader_gets_the_labels(pairs, tmp_path):
    """Without any of ours in between: tifffile and the names that cellpose looks for."""
    import tifffile

    out = tmp_path / "set"
    told = ["--format", "cellpose", "--val", "0", "--test", "0", "--names", "{name}", "--quiet"]
    assert main(["export", "write", str(pairs), "--out", str(out), *told]) == 0
    for number in range(3):
        labels = read_sample(pairs / f"layout{number}.json").labels
        path = out / "cellpose" / "train" / f"layout{number}_masks.tif"
        np.testing.assert_array_equal(tifffile.imread(path), labels)
