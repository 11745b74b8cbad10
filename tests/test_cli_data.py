"""``nudiff data prepare`` as a user meets it."""

import json
import shutil

import numpy as np
import pytest
from skimage.measure import regionprops

from napari_nudiff.cli import main
from napari_nudiff.dataset.images import read_layout, read_rgb, write_layout, write_rgb
from napari_nudiff.dataset.pairs import load_layouts, load_pairs
from napari_nudiff.sample_data import rendered_pair


def prepare(*args: object) -> int:
    return main(["data", "prepare", *(str(arg) for arg in args), "--quiet"])


@pytest.fixture
def lab(tmp_path):
    """Four quarters of a render, as if of two patients."""
    (image, _, _), (labels, _, _) = rendered_pair()
    for i, stem in enumerate(["p1_a", "p1_b", "p2_a", "p2_b"]):
        part = np.s_[256 * (i // 2) :, 256 * (i % 2) :]
        write_rgb(tmp_path / "lab" / "images" / f"{stem}.png", image[part][:256, :256])
        write_layout(tmp_path / "lab" / "labels" / f"{stem}.tif", labels[part][:256, :256])
    return tmp_path / "lab"


def test_a_set_is_written_reported_and_trained_from(tmp_path, lab, capsys) -> None:
    options = ("--group-by", "^(p[0-9])", "--held-out-groups", "p2", "--um-per-px", 0.25)
    assert prepare(lab, "--out", tmp_path / "set", *options, "--licence", "CC BY 4.0") == 0
    out = capsys.readouterr().out
    assert "4 images found, 4 in order" in out
    assert "train     2 images" in out
    assert "held_out  2 images" in out
    training, held_out = load_pairs(tmp_path / "set")
    assert [(p.name, p.group) for p in training] == [("p1_a", "p1"), ("p1_b", "p1")]
    assert [p.name for p in held_out] == ["p2_a", "p2_b"]
    content = json.loads((tmp_path / "set" / "dataset.json").read_text())
    assert content["licence"] == "CC BY 4.0"
    assert {item["um_per_px"] for item in content["items"]} == {0.25}


def test_check_reports_and_writes_nothing(tmp_path, lab, capsys) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert prepare(lab, "--check") == 0
    assert "um per px missing" in capsys.readouterr().out
    (lab / "labels" / "p1_a.tif").write_bytes(b"")
    assert prepare(lab, "--check", "--out", tmp_path / "set") == 2
    assert "p1_a" in capsys.readouterr().err
    assert prepare(lab, "--check", "--skip-bad") == 0
    assert sorted(tmp_path.rglob("*")) == before


def test_errors_end_with_status_2_one_line_and_a_table_of_all(tmp_path, lab, capsys) -> None:
    (lab / "labels" / "p1_a.tif").unlink()
    write_layout(lab / "labels" / "p2_b.tif", np.ones((9, 9), int))
    assert prepare(lab, "--out", tmp_path / "set") == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("nudiff: 2 errors, so nothing was written: p1_a: unreadable")
    assert "p2_b: sizes differ" in printed.err
    assert "--skip-bad" in printed.err
    assert not (tmp_path / "set").exists()
    assert (tmp_path / "set-problems.csv").read_text().count("error,") == 2
    assert prepare(lab, "--out", tmp_path / "set", "--skip-bad") == 0
    assert [p.name for p in load_pairs(tmp_path / "set")[0]] == ["p1_b", "p2_a"]


def test_a_tenth_of_the_nuclei_as_patches(tmp_path, lab, capsys) -> None:
    subset = ("--subset", 20, "--patch", 64, "--stride", 32, "--held-out-groups", "p2_*")
    for selection in ("official", "diverse", "random"):
        out = tmp_path / selection
        assert prepare(lab, "--out", out, *subset, "--selection", selection) == 0
        facts = json.loads((out / "dataset.json").read_text())["subset"]
        assert facts["nuclei"] / facts["of_nuclei"] == pytest.approx(0.2, abs=0.05)
        training, held_out = load_pairs(out)
        assert {p.image.shape for p in training} == {(64, 64, 3)}
        assert len(training) == facts["patches"]
        assert {p.image.shape for p in held_out} == {(256, 256, 3)}
    assert "each counted once" in capsys.readouterr().out


def test_sets_of_several_sources_are_resampled_to_one_scale(tmp_path, lab) -> None:
    assert prepare(lab, "--out", tmp_path / "fine", "--um-per-px", 0.25) == 0
    both = (lab, tmp_path / "fine")
    assert prepare(*both, "--out", tmp_path / "x", "--target-um-per-px", 0.5) == 2
    options = ("--um-per-px", 0.25, "--target-um-per-px", 0.5)
    assert prepare(*both, "--out", tmp_path / "coarse", *options) == 0
    training, _ = load_pairs(tmp_path / "coarse")
    assert len({p.name for p in training}) == 8
    assert {p.image.shape for p in training} == {(128, 128, 3)}


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        ((), "--out"),
        (("--out", "{set}", "--kind", "dicom"), "no kind dicom"),
        (("--out", "{set}", "--selection", "best"), "official, diverse, random"),
        (("--out", "{set}", "--held-out", "2"), "fraction from 0"),
        (("--out", "{set}", "--held-out-groups", "p9"), "matches no group"),
        (("--out", "{lab}"), "lie in each other"),
    ],
)
def test_arguments_that_make_no_sense(tmp_path, lab, capsys, args, complaint) -> None:
    places = {"set": tmp_path / "set", "lab": lab}
    assert prepare(lab, *(arg.format(**places) for arg in args)) == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


# Points, layouts, classes


@pytest.fixture
def pointed(tmp_path, lab):
    """The same images with a point and a class for each nucleus."""
    for path in sorted((lab / "labels").iterdir()):
        nuclei = regionprops(read_layout(path))
        rows = [f"{n.centroid[0]:.0f},{n.centroid[1]:.0f},tumor" for n in nuclei]
        points = tmp_path / "pointed" / "points" / f"{path.stem}.csv"
        points.parent.mkdir(parents=True, exist_ok=True)
        points.write_text("\n".join(["y_px,x_px,class", *rows]))
        image = tmp_path / "pointed" / "images" / f"{path.stem}.png"
        write_rgb(image, read_rgb(lab / "images" / f"{path.stem}.png"))
    return tmp_path / "pointed"


def test_points_are_outlined_by_a_segmenter_of_ones_own(tmp_path, lab, pointed, capsys) -> None:
    at = ("--um-per-px", 0.25)
    assert prepare(pointed, "--out", tmp_path / "set", *at) == 2
    error = capsys.readouterr().err
    assert error.startswith("nudiff: 1 error, so nothing was written")
    assert "nudiff data segmenter --data SET --out FILE" in error
    assert prepare(lab, "--out", tmp_path / "outlined", *at) == 0
    judge = tmp_path / "judge.safetensors"
    train = ["data", "segmenter", "--data", str(tmp_path / "outlined"), "--out", str(judge)]
    assert main([*train, "--steps", "2", "--also-at", "0.5", "--quiet"]) == 0
    assert main([*train[:-1], str(lab / "labels" / "p1_a.tif"), "--quiet"]) == 2
    assert "is no segmenter" in capsys.readouterr().err  # and the file is still there
    assert read_layout(lab / "labels" / "p1_a.tif").any()
    named = ("--segmenter", judge, "--rename-class", "tumor=tumour", "--sheet")
    assert prepare(pointed, "--out", tmp_path / "set", *at, *named) == 0
    out = capsys.readouterr().out
    assert "classes   tumour" in out
    assert (tmp_path / "set" / "contact-sheet-001.jpg").is_file()
    pairs, _ = load_pairs(tmp_path / "set")
    for pair in pairs:
        rows = (pointed / "points" / f"{pair.name}.csv").read_text().splitlines()[1:]
        assert len(np.unique(pair.labels)) - 1 == len(rows)  # discs, where it has learned nothing
        assert set(pair.classes.values()) == {"tumour"}
    content = json.loads((tmp_path / "set" / "dataset.json").read_text())
    assert content["arguments"]["segmenter"] == "judge.safetensors"


def test_options_of_points_are_checked(tmp_path, pointed, capsys) -> None:
    at = ("--um-per-px", 0.25, "--check")
    assert prepare(pointed, *at, "--segmenter", tmp_path / "none") == 2
    assert "is no segmenter" in capsys.readouterr().err
    assert prepare(pointed, *at, "--rename-class", "tumor") == 2
    assert "takes OLD=NEW, not tumor" in capsys.readouterr().err
    assert prepare(pointed, *at, "--disagreeing", "maybe") == 2
    assert "--disagreeing must be keep or drop" in capsys.readouterr().err


def test_layouts_without_images(tmp_path, lab, capsys) -> None:
    shutil.rmtree(lab / "images")
    assert prepare(lab, "--out", tmp_path / "set", "--um-per-px", 0.25) == 2
    assert "--kind layouts" in capsys.readouterr().err
    options = ("--kind", "layouts", "--um-per-px", 0.25, "--held-out-groups", "p2_*", "--sheet")
    assert prepare(lab, "--out", tmp_path / "set", *options) == 0
    assert "train     2 layouts" in capsys.readouterr().out
    training, held_out = load_layouts(tmp_path / "set")
    assert [p.name for p in training] == ["p1_a", "p1_b"]
    assert held_out[0].um_per_px == 0.25
