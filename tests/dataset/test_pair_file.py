"""A pair survives its file, and a bad file is refused with a reason."""

import io
import json
import zipfile
from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.dataset.pair_file import read_about, read_pair, write_pair
from napari_nudiff.errors import DatasetError, LayoutError

PROVENANCE = {
    "schema": 1,
    "kind": "image",
    "request": {"seed": 2**40, "guidance": 1.2, "style": None, "interval": [0.0, None]},
    "note": "σ = 0.1",
}
SPATIAL = {
    "scale": [0.25, 0.5],
    "translate": [3.0, -1.5],
    "rotate": [[0.0, -1.0], [1.0, 0.0]],
    "shear": [0.1],
    "affine": [[1.0, 0.0, 2.0], [0.0, 1.0, 3.0], [0.0, 0.0, 1.0]],
    "units": ["micrometer", "micrometer"],
    "axis_labels": ["y", "x"],
}


@pytest.fixture
def pair(crop):
    image, labels = crop
    return Pair(
        Layout(labels),
        image,
        provenance=PROVENANCE,
        name="a / layout",
        spatial=SPATIAL,
        notes={"starred": True},
    )


@pytest.fixture
def path(tmp_path, pair):
    write_pair(tmp_path / "pair.nudiff", pair)
    return tmp_path / "pair.nudiff"


def test_a_pair_comes_back_as_it_was(path, pair) -> None:
    read = read_pair(path)
    assert np.array_equal(read.image, pair.image)
    assert np.array_equal(read.labels, pair.labels)
    assert read.labels.dtype == np.int32
    assert read.provenance == PROVENANCE
    assert (read.name, read.spatial, read.notes) == ("a / layout", SPATIAL, {"starred": True})


def test_what_is_known_is_read_without_the_pixels(path) -> None:
    about = read_about(path)
    assert about["spatial"] == SPATIAL
    assert about["provenance"] == PROVENANCE


def test_a_layout_has_no_image(tmp_path, layout) -> None:
    write_pair(tmp_path / "a.nudiff", Pair(Layout(layout)))
    read = read_pair(tmp_path / "a.nudiff")
    assert read.image is None
    assert np.array_equal(read.labels, layout)


def test_other_programs_open_its_parts(path, tmp_path, pair) -> None:
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "parts")
    assert np.array_equal(iio.imread(tmp_path / "parts" / "image.png"), pair.image)
    assert np.array_equal(tifffile.imread(tmp_path / "parts" / "labels.tif"), pair.labels)
    assert json.loads((tmp_path / "parts" / "pair.json").read_text())["schema"] == 1


def test_the_largest_id_is_kept(tmp_path) -> None:
    labels = np.array([[0, np.iinfo(np.int32).max]], np.uint32)
    write_pair(tmp_path / "a.nudiff", Pair(Layout(labels)))
    assert np.array_equal(read_pair(tmp_path / "a.nudiff").labels, labels)


@pytest.mark.parametrize(
    ("change", "error", "reason"),
    [
        ({"layout": Layout(np.full((140, 160), 2**31, np.uint32))}, DatasetError, "2147483648"),
        ({"layout": Layout(np.zeros((140, 160), np.float32))}, LayoutError, "float32"),
        ({"layout": Layout(np.zeros((140, 159), np.int32))}, DatasetError, "140, 159"),
        ({"image": np.zeros((140, 160), np.uint8)}, DatasetError, "8-bit RGB"),
        ({"provenance": {"seed": object()}}, DatasetError, "JSON"),
    ],
)
def test_what_cannot_be_stored_is_refused_and_the_old_file_stays(
    path, pair, change, error, reason
) -> None:
    before = path.read_bytes()
    with pytest.raises(error, match=reason):
        write_pair(path, replace(pair, **change))
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def rewritten(path, **parts: bytes | None) -> None:
    """Replace parts of a file, by name with _ for the dot; None leaves one out."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content |= {name.replace("_", "."): data for name, data in parts.items()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            if data is not None:
                archive.writestr(name, data)


def as_tiff(labels) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, labels)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"pair_json": None}, "without pair.json"),
        ({"labels_tif": None}, "labels.tif is missing"),
        ({"pair_json": b"{"}, "is damaged"),
        ({"pair_json": b"[]"}, "none of ours"),
        ({"pair_json": b'{"schema": 2}'}, "schema 2.*Update"),
        ({"pair_json": b'{"schema": 1, "name": "a", "notes": {}}'}, "spatial, provenance"),
        ({"labels_tif": as_tiff(np.zeros((9, 9), np.int32))}, "image has .*its labels"),
        ({"labels_tif": as_tiff(np.zeros((9, 9), np.float32))}, "float32"),
        ({"labels_tif": b"no TIFF"}, "is damaged"),
        ({"image_png": b"no PNG"}, "is damaged"),
    ],
)
def test_a_bad_file_is_refused_with_its_name_and_a_reason(path, parts, reason) -> None:
    rewritten(path, **parts)
    with pytest.raises(DatasetError, match=reason) as caught:
        read_pair(path)
    assert str(path) in str(caught.value)


def test_something_else_is_refused(tmp_path) -> None:
    (tmp_path / "a.nudiff").write_bytes(b"\x89PNG and so on")
    with pytest.raises(DatasetError, match=r"no \.nudiff file"):
        read_pair(tmp_path / "a.nudiff")
    with pytest.raises(DatasetError, match="No such file"):
        read_about(tmp_path / "gone.nudiff")


def test_half_a_file_is_refused(path) -> None:
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DatasetError, match="only part"):
        read_pair(path)


def test_a_flipped_bit_is_noticed(path) -> None:
    data = bytearray(path.read_bytes())
    data[2000] ^= 1
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=r"is damaged.*CRC"):
        read_pair(path)


def test_an_image_that_claims_to_be_enormous_is_not_unpacked(path) -> None:
    with zipfile.ZipFile(path) as archive:
        png = bytearray(archive.read("image.png"))
    png[16:24] = (60000).to_bytes(4, "big") * 2
    rewritten(path, image_png=bytes(png))
    with pytest.raises(DatasetError, match=r"claims \(60000, 60000\)"):
        read_pair(path)


def test_labels_that_claim_to_be_enormous_are_not_unpacked(tmp_path, path) -> None:
    small = tmp_path / "small.tif"
    tifffile.imwrite(small, np.zeros((8, 8), np.int32))
    data = bytearray(small.read_bytes())
    with tifffile.TiffFile(small) as tiff:
        tags = tiff.pages[0].tags
        places = [tags[name].valueoffset for name in ("ImageWidth", "ImageLength", "RowsPerStrip")]
    for place in places:
        data[place : place + 4] = (60000).to_bytes(4, "little")
    rewritten(path, labels_tif=bytes(data))
    with pytest.raises(DatasetError, match=r"labels.tif in it claims \(60000, 60000\)"):
        read_pair(path)
