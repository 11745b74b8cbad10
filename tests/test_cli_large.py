"""``nudiff render`` of layouts that are rendered on disk."""

import numpy as np
import pytest
import zarr

from napari_nudiff.cli import main
from napari_nudiff.dataset.images import write_layout
from napari_nudiff.dataset.pyramid import open_pyramid
from napari_nudiff.synthesis import large
from napari_nudiff.synthesis.pipeline import render
from napari_nudiff.synthesis.request import RenderRequest
from napari_nudiff.work import run as run_work


def run(*args: object) -> int:
    return main([str(arg) for arg in args])


@pytest.fixture
def options(tiny_checkpoint):
    return ("--checkpoint", tiny_checkpoint("image"), "--steps", 2, "--quiet")


@pytest.fixture
def layout_file(tmp_path, layout):
    path = tmp_path / "biopsy.tif"
    write_layout(path, layout)
    return path


def test_an_out_that_ends_with_zarr_is_one_large_image(
    tmp_path, layout, layout_file, options, tiny_checkpoint, capsys
) -> None:
    out = tmp_path / "new" / "image.zarr"
    assert run("render", layout_file, "--out", out, *options) == 0
    assert capsys.readouterr().out.strip() == str(out)
    made = open_pyramid(out)
    request = RenderRequest(checkpoint=tiny_checkpoint("image"), steps=2)
    assert np.array_equal(np.asarray(made.image[0]), run_work(render(layout, request)).image)
    assert np.array_equal(made.labels[0][:], layout)


def test_large_layouts_get_a_zarr_each_and_small_ones_image_files(
    tmp_path, layout, layout_file, options, monkeypatch
) -> None:
    monkeypatch.setattr(large, "LARGE_PX", layout.size)
    wide = tmp_path / "wide.tif"
    write_layout(wide, np.pad(layout, ((0, 0), (0, 20))))
    assert run("render", wide, layout_file, "--out", tmp_path / "out", *options) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "biopsy.json",
        "biopsy.png",
        "biopsy_labels.tif",
        "wide.zarr",
    ]


def test_a_large_render_and_its_labels_can_be_rendered_again(
    tmp_path, layout_file, options
) -> None:
    first, again, other = (tmp_path / f"{name}.zarr" for name in ("first", "again", "other"))
    assert run("render", layout_file, "--out", first, *options) == 0
    assert run("render", "--request", first, "--out", again, "--quiet") == 0
    assert run("render", first, "--seed", 1, "--out", other, *options) == 0
    a, b, c = (np.asarray(open_pyramid(path).image[0]) for path in (first, again, other))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_a_zarr_of_labels_can_be_rendered_into_a_folder(tmp_path, layout, options) -> None:
    zarr.create_array(tmp_path / "labels.zarr", data=layout)
    assert run("render", tmp_path / "labels.zarr", "--out", tmp_path / "out", *options) == 0
    assert (tmp_path / "out" / "labels.png").is_file()


def test_what_cannot_be_is_refused_before_any_work(tmp_path, layout_file, options, capsys) -> None:
    there = tmp_path / "there.zarr"
    there.mkdir()
    assert run("render", layout_file, "--out", there, *options) == 2
    assert "is there already" in capsys.readouterr().err
    copy = tmp_path / "other.tif"
    copy.write_bytes(layout_file.read_bytes())
    assert run("render", layout_file, copy, "--out", tmp_path / "x.zarr", *options) == 2
    assert "is one image" in capsys.readouterr().err
    stored = tmp_path / "stored.json"
    stored.write_text("{}")
    assert run("render", "--request", stored, "--out", tmp_path / "x.zarr") == 2
    assert "Give a folder" in capsys.readouterr().err
    assert not (tmp_path / "x.zarr").exists()
