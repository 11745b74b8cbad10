import json

import numpy as np
import pytest
import tifffile
import zarr

from napari_nudiff.dataset.images import write_layout
from napari_nudiff.dataset.pyramid import (
    PyramidWriter,
    RgbLevel,
    bands_over,
    level_shapes,
    open_layout,
    open_pyramid,
)
from napari_nudiff.errors import DatasetError, LayoutError

SIZE = (515, 1031)


@pytest.fixture(scope="module")
def pixels():
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    return image, random.integers(0, 2**31 - 1, SIZE, dtype=np.int32)


@pytest.fixture(scope="module")
def written(pixels, tmp_path_factory):
    path = tmp_path_factory.mktemp("pyramid") / "sample.zarr"
    image, labels = pixels
    writer = PyramidWriter(path, SIZE, um_per_px=0.25)
    for rows in bands_over(SIZE[0]):
        writer.write_image(rows.start, image[rows])
        writer.write_labels(rows.start, labels[rows])
    for _ in writer.write_levels():
        pass
    writer.finish({"schema": 1, "layout_sha256": "abc"})
    return path


def test_what_was_written_is_read_back(written, pixels) -> None:
    image, labels, provenance, path, classes = open_pyramid(written)
    assert path == written
    assert np.array_equal(np.asarray(image[0]), pixels[0])
    assert np.array_equal(labels[0][:], pixels[1])
    assert provenance == {"schema": 1, "layout_sha256": "abc"}
    assert classes == {}


def test_levels_halve_until_they_are_small(written) -> None:
    image, labels, *_ = open_pyramid(written)
    assert [level.shape for level in labels] == [(515, 1031), (258, 516), (129, 258)]
    assert [level.shape for level in image] == [(*level.shape, 3) for level in labels]
    assert level_shapes((512, 64)) == [(512, 64)]
    assert level_shapes((8192, 8192))[-1] == (512, 512)


def test_a_smaller_image_is_the_mean_and_smaller_labels_are_labels(written, pixels) -> None:
    image, labels, *_ = open_pyramid(written)
    even = np.pad(pixels[0], ((0, 1), (0, 1), (0, 0)), mode="edge").astype(float)
    mean = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
    assert np.abs(np.asarray(image[1]) - mean).max() <= 0.5
    assert np.array_equal(labels[1][:], pixels[1][::2, ::2])
    assert np.array_equal(labels[2][:], pixels[1][::4, ::4])


@pytest.mark.parametrize(
    "at",
    [
        ...,
        5,
        (slice(3, 9), slice(4, 700)),
        (slice(None, None, 7), slice(500, None), slice(0, 2)),
        (..., 1),
        (slice(2, 4), ..., slice(None)),
        (8, 9, 1),
    ],
)
def test_a_level_is_indexed_like_an_rgb_array(written, pixels, at) -> None:
    level = open_pyramid(written).image[0]
    assert level.ndim == 3
    assert level.dtype == np.uint8
    assert np.array_equal(level[at], pixels[0][at])


def test_a_level_reads_no_more_than_is_asked_for(written) -> None:
    class Watched:
        """The part of a zarr array that a level needs, remembering what is asked for."""

        shape, dtype = (3, *SIZE), np.dtype(np.uint8)

        def __getitem__(self, at):
            self.at = at
            return np.zeros((3, 2, 5), np.uint8)

    array = Watched()
    assert RgbLevel(array)[10:12, 20:25].shape == (2, 5, 3)
    assert array.at == (slice(None), slice(10, 12), slice(20, 25))


def test_the_attributes_say_what_it_is(written) -> None:
    attributes = zarr.open_group(written, mode="r").attrs.asdict()
    json.dumps(attributes)
    assert attributes["synthetic"] is True
    assert attributes["ome"]["version"] == "0.5"
    (multiscale,) = attributes["ome"]["multiscales"]
    assert [axis["name"] for axis in multiscale["axes"]] == ["c", "y", "x"]
    second = multiscale["datasets"][1]["coordinateTransformations"]
    assert second[0]["scale"] == [1.0, 0.5, 0.5]
    assert second[1]["translation"] == [0.0, 0.125, 0.125]


def test_ome_zarr_reads_image_and_labels(written, pixels) -> None:
    io = pytest.importorskip("ome_zarr.io")
    reader = pytest.importorskip("ome_zarr.reader")
    nodes = [node for node in reader.Reader(io.parse_url(str(written)))() if node.data]
    image, labels = nodes
    assert np.array_equal(np.moveaxis(image.data[0].compute(), 0, -1), pixels[0])
    assert image.metadata["channel_names"] == ["red", "green", "blue"]
    assert np.array_equal(labels.data[0].compute(), pixels[1])
    assert labels.metadata["name"] == "nuclei"


def test_an_existing_folder_is_not_overwritten(written) -> None:
    with pytest.raises(FileExistsError):
        PyramidWriter(written, SIZE, um_per_px=0.25)
    assert open_pyramid(written).image[0].shape == (*SIZE, 3)


@pytest.mark.parametrize("what", ["nothing", "an array", "a group", "a file"])
def test_what_is_no_large_image_is_refused(tmp_path, what) -> None:
    path = tmp_path / "x.zarr"
    if what == "an array":
        zarr.create_array(path, data=np.zeros((4, 4)))
    elif what == "a group":
        zarr.open_group(path, mode="w")
    elif what == "a file":
        path.write_text("no")
    with pytest.raises(DatasetError, match=r"x\.zarr"):
        open_pyramid(path)


# Layouts


@pytest.mark.parametrize("kind", ["tif", "plain.tif", "npy", "array.zarr", "ours.zarr", "png"])
def test_layouts_of_every_format_are_opened(tmp_path, written, pixels, kind) -> None:
    labels, path = pixels[1] % 60_000, tmp_path / f"x.{kind}"
    if kind == "tif":
        write_layout(path, labels)
    elif kind == "plain.tif":
        tifffile.imwrite(path, labels)
    elif kind == "npy":
        np.save(path, labels)
    elif kind == "array.zarr":
        zarr.create_array(path, data=labels)
    elif kind == "ours.zarr":
        path, labels = written, pixels[1]
    else:
        import imageio.v3 as iio

        iio.imwrite(path, labels.astype(np.uint16))
    opened = open_layout(path)
    assert opened.shape == SIZE
    assert np.array_equal(opened[100:300], labels[100:300])


def test_what_is_no_layout_is_refused_with_its_name(tmp_path) -> None:
    rgb, damaged = tmp_path / "rgb.tif", tmp_path / "damaged.tif"
    tifffile.imwrite(rgb, np.zeros((40, 40, 3), np.uint8))
    damaged.write_bytes(b"II*\0 and then nothing")
    with pytest.raises(LayoutError, match=r"rgb\.tif"):
        open_layout(rgb)
    with pytest.raises(DatasetError, match=r"damaged\.tif"):
        open_layout(damaged)
    with pytest.raises(DatasetError, match="does not exist"):
        open_layout(tmp_path / "missing.zarr")
