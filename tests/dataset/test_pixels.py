"""What files say of their pixels: modes, orientation, range, alpha."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from napari_nudiff.dataset.images import read_layout, read_rgb
from napari_nudiff.dataset.masks import as_rgb, number_nuclei
from napari_nudiff.dataset.pixels import read_image, read_labels
from napari_nudiff.dataset.pyramid import open_layout
from napari_nudiff.errors import DatasetError, LayoutError

LABELS = np.zeros((24, 36), np.uint8)
LABELS[3:9, 4:12], LABELS[9:14, 4:12], LABELS[15:22, 20:33] = 1, 2, 7
PICTURE = np.full((24, 36, 3), (235, 190, 215), np.uint8)
PICTURE[LABELS > 0] = 90, 60, 140
PICTURE[:4, :4] = 250, 20, 60
COLOURS = np.array([[0, 0, 0], [255, 0, 0], [255, 0, 0], [0, 0, 255]] + [[9, 9, 9]] * 252)


def off(found: np.ndarray, expected: np.ndarray) -> float:
    assert found.shape == expected.shape
    return float(np.abs(found.astype(float) - expected).mean())


def indexed(path: Path, indices: np.ndarray) -> Path:
    image = Image.fromarray(indices)
    image.putpalette(COLOURS.astype(np.uint8).ravel().tolist())
    image.save(path)
    return path


def test_an_index_is_an_id_whatever_its_colour(tmp_path) -> None:
    path = indexed(tmp_path / "x.png", LABELS)
    assert np.array_equal(read_labels(path), LABELS)
    assert np.array_equal(read_layout(path), LABELS)
    tifffile.imwrite(
        tmp_path / "x.tif", LABELS, photometric="palette", colormap=COLOURS.T.astype(np.uint16)
    )
    assert np.array_equal(read_labels(tmp_path / "x.tif"), LABELS)


def test_a_palette_without_background_is_a_picture(tmp_path) -> None:
    path = indexed(tmp_path / "x.png", LABELS // 7 + 2)  # red and blue
    ids, notes = number_nuclei(read_labels(path))
    assert np.array_equal(ids, LABELS == 7)
    assert "colour mask" in notes[0]


def test_images_with_a_palette_have_its_colours(tmp_path) -> None:
    expected = COLOURS[LABELS // 7]
    assert np.array_equal(read_rgb(indexed(tmp_path / "x.png", LABELS // 7)), expected)
    deep = (COLOURS * 257).T.astype(np.uint16)
    tifffile.imwrite(tmp_path / "x.tif", LABELS // 7, photometric="palette", colormap=deep)
    assert np.array_equal(read_rgb(tmp_path / "x.tif"), expected)


@pytest.mark.parametrize("name", ["x.jpg", "x.tif"])
def test_cmyk_is_shown_as_it_is_printed(tmp_path, name) -> None:
    Image.fromarray(PICTURE).convert("CMYK").save(tmp_path / name, quality=98)
    assert off(read_rgb(tmp_path / name), PICTURE) < 8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_files_are_turned_as_viewers_turn_them(tmp_path, orientation) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(PICTURE).save(tmp_path / "x.png", exif=exif)
    tag = [(274, "H", 1, orientation, False)]
    tifffile.imwrite(tmp_path / "x.tif", PICTURE, photometric="rgb", extratags=tag)
    tifffile.imwrite(tmp_path / "labels.tif", LABELS, extratags=tag)
    planes = np.moveaxis(PICTURE, -1, 0)
    tifffile.imwrite(
        tmp_path / "planes.tif", planes, photometric="rgb", planarconfig="separate", extratags=tag
    )
    with Image.open(tmp_path / "x.png") as file:
        expected = np.asarray(ImageOps.exif_transpose(file))
    for name in ("x.png", "x.tif", "planes.tif"):
        assert np.array_equal(read_rgb(tmp_path / name), expected), name
    assert np.array_equal(read_labels(tmp_path / "labels.tif") > 0, expected[..., 2] == 140)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_of_16_bits_those_that_are_used_count(tmp_path, bits) -> None:
    deep = (PICTURE.astype(np.uint32) * ((1 << bits) - 1) // 255).astype(np.uint16)
    tifffile.imwrite(tmp_path / "x.tif", deep, photometric="rgb")
    image, notes = as_rgb(read_image(tmp_path / "x.tif"))
    assert off(image, PICTURE) < 1
    assert len(notes) == 1
    assert (f"{bits} of them" in notes[0]) == (bits < 16)
    (tmp_path / "x.png").write_bytes(imagecodecs.png_encode(deep))
    assert off(read_rgb(tmp_path / "x.png"), PICTURE) < 1


def test_what_is_transparent_is_white(tmp_path) -> None:
    alpha = np.where(LABELS == 7, 0, 255).astype(np.uint8)
    expected = np.where(LABELS[..., None] == 7, 255, PICTURE)
    rgba = np.dstack([PICTURE, alpha])
    Image.fromarray(rgba).save(tmp_path / "x.png")
    tifffile.imwrite(tmp_path / "x.tif", rgba, photometric="rgb", extrasamples=["unassalpha"])
    for name in ("x.png", "x.tif"):
        image, notes = as_rgb(read_image(tmp_path / name))
        assert np.array_equal(image, expected)
        assert notes == ["transparent pixels were laid on white"]


def test_colours_that_were_multiplied_by_alpha_are_taken_apart(tmp_path) -> None:
    half = np.full(LABELS.shape, 128, np.uint8)
    multiplied = np.dstack([(PICTURE.astype(int) * 128 // 255).astype(np.uint8), half])
    tifffile.imwrite(tmp_path / "x.tif", multiplied, photometric="rgb", extrasamples=["assocalpha"])
    assert off(read_rgb(tmp_path / "x.tif"), (PICTURE.astype(float) + 255) / 2) < 2


@pytest.mark.parametrize("dtype", [bool, np.uint8])
def test_white_may_be_0(tmp_path, dtype) -> None:
    mask = LABELS > 0
    stored = ~mask if dtype is bool else np.where(mask, 0, 255).astype(np.uint8)
    tifffile.imwrite(tmp_path / "x.tif", stored, photometric="miniswhite")
    ids, _ = number_nuclei(read_labels(tmp_path / "x.tif"))
    assert np.array_equal(ids > 0, mask)


@pytest.mark.parametrize("kind", ["cielab", "ycbcr"])
def test_colours_that_are_not_known_are_refused_by_name(tmp_path, kind) -> None:
    tifffile.imwrite(tmp_path / "x.tif", PICTURE, photometric=kind)
    with pytest.raises(DatasetError, match=rf"x\.tif is a TIFF in {kind.upper()}"):
        read_image(tmp_path / "x.tif")


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.tif", "x.bmp"])
def test_pixels_are_the_readers_own(tmp_path, name) -> None:
    Image.fromarray(PICTURE).save(tmp_path / name)
    read_rgb(tmp_path / name)[:] = 0
    read_image(tmp_path / name)[:] = 0
    indexed(tmp_path / "labels.png", LABELS)
    read_labels(tmp_path / "labels.png")[:] = 0
    assert off(read_rgb(tmp_path / name), PICTURE) < 20


def test_jpeg_in_a_tiff_is_read(tmp_path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", PICTURE, photometric="rgb", compression="jpeg")
    assert off(read_rgb(tmp_path / "x.tif"), PICTURE) < 12


def test_pixels_of_another_file_are_not_taken(tmp_path) -> None:
    tifffile.imwrite(tmp_path / "other.ome.tif", LABELS, metadata={"axes": "YX"})
    with tifffile.TiffFile(tmp_path / "other.ome.tif") as tiff:
        about = tiff.ome_metadata
    start = about.index("<TiffData")
    stop = about.index("</Pixels>")
    foreign = '<TiffData IFD="0"><UUID FileName="other.ome.tif">urn:uuid:{}</UUID></TiffData>'
    about = about[:start] + foreign.format("0" * 8 + "-0000-0000-0000-" + "0" * 12) + about[stop:]
    tifffile.imwrite(
        tmp_path / "x.ome.tif", np.zeros((24, 36), np.uint8), description=about, metadata=None
    )
    for read in (read_labels, open_layout):
        with pytest.raises(DatasetError, match=r"another file, .*other\.ome\.tif"):
            read(tmp_path / "x.ome.tif")


@pytest.mark.parametrize("way", [{"photometric": "miniswhite"}, {"extratags": [(274, "H", 1, 6)]}])
def test_layouts_that_are_opened_are_those_that_are_read(tmp_path, way) -> None:
    tifffile.imwrite(tmp_path / "x.tif", LABELS, **way)
    assert np.array_equal(open_layout(tmp_path / "x.tif")[:], read_layout(tmp_path / "x.tif"))


def test_a_damaged_tiff_is_one_clear_error(tmp_path) -> None:
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, LABELS, compression="zlib")
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    for _ in range(40):
        damaged = bytearray(whole)
        for place in random.integers(0, len(whole), 6):
            damaged[place] = random.integers(256)
        path.write_bytes(bytes(damaged[: random.integers(8, len(whole))]))
        with suppress(DatasetError, LayoutError):
            open_layout(path)[:]
