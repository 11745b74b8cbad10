"""Layers saved as napari saves them, and opened again."""

import json

import numpy as np
import pytest
import scipy.io

from napari_nudiff.dataset.pair_file import read_pair
from napari_nudiff.errors import DatasetError, LayoutError
from napari_nudiff.ui.writers import write_nudiff

PLACE = {
    "scale": (0.25, 0.5),
    "translate": (10, 20),
    "rotate": 30,
    "shear": (0.1,),
    "affine": np.array([[1.0, 0, 2], [0, 1, 3], [0, 0, 1]]),
    "units": ("um", "mm"),
    "axis_labels": ("y", "x"),
}


@pytest.fixture
def tissue(nuclei):
    image = np.random.default_rng(0).integers(0, 256, (*nuclei.shape, 3), np.uint8)
    image[nuclei > 0] //= 2
    return image


@pytest.fixture
def pair(viewer, nuclei, tissue):
    """A rendered pair as the dock adds it, rotated and sheared."""
    told = {"nudiff": {"request": {"seed": 3}, "note": "σ"}}
    image = viewer.add_image(tissue, rgb=True, name="render tumour s3", metadata=told, **PLACE)
    labels = viewer.add_labels(nuclei, name="labels tumour s3", metadata=told, **PLACE)
    return image, labels


def save(viewer, path, *layers) -> None:
    viewer.layers.selection = set(layers)
    assert viewer.layers.save(str(path), selected=True, plugin="napari-nudiff") == [str(path)]


def test_a_saved_pair_opens_as_it_was(viewer, pair, tmp_path) -> None:
    save(viewer, tmp_path / "a.nudiff", *pair)
    viewer.layers.clear()
    opened = viewer.open(str(tmp_path / "a.nudiff"), plugin="napari-nudiff")
    for before, after in zip(pair, opened, strict=True):
        assert after.name == before.name
        assert np.array_equal(after.data, before.data)
        assert after.metadata == before.metadata
        assert after.units == before.units
        assert after.axis_labels == before.axis_labels
        corners = [(0, 0), (71, 79), (3, 50)]
        for corner in corners:
            assert np.allclose(after.data_to_world(corner), before.data_to_world(corner))


def test_the_order_of_the_layers_does_not_matter(pair, tmp_path) -> None:
    image, labels = (layer.as_layer_data_tuple() for layer in pair)
    write_nudiff(str(tmp_path / "a.nudiff"), [labels, image])
    assert np.array_equal(read_pair(tmp_path / "a.nudiff").image, image[0])


def test_labels_alone_are_a_layout(viewer, pair, tmp_path) -> None:
    save(viewer, tmp_path / "a.nudiff", pair[1])
    read = read_pair(tmp_path / "a.nudiff")
    assert read.image is None
    assert read.name == "tumour"
    assert np.array_equal(read.labels, pair[1].data)


def test_a_real_image_of_floats_with_alpha_keeps_its_colours(viewer, tissue, nuclei, tmp_path):
    alpha = np.ones((*nuclei.shape, 1))
    image = viewer.add_image(np.concatenate([tissue / 255, alpha], axis=2), rgb=True, name="slide")
    labels = viewer.add_labels(nuclei, name="mask")
    save(viewer, tmp_path / "a.nudiff", image, labels)
    read = read_pair(tmp_path / "a.nudiff")
    assert np.array_equal(read.image, tissue)
    assert read.provenance == {}
    assert read.name == "slide"


def test_of_a_multiscale_layer_the_finest_level_is_saved(viewer, tissue, nuclei, tmp_path) -> None:
    image = viewer.add_image([tissue, tissue[::2, ::2]], rgb=True, multiscale=True)
    labels = viewer.add_labels([nuclei, nuclei[::2, ::2]], multiscale=True)
    save(viewer, tmp_path / "a.nudiff", image, labels)
    assert np.array_equal(read_pair(tmp_path / "a.nudiff").image, tissue)


def refused(path, *layers, error=DatasetError) -> str:
    """What is said; nothing may have been written."""
    with pytest.raises(error) as caught:
        write_nudiff(str(path), [layer.as_layer_data_tuple() for layer in layers])
    assert not path.exists()
    return str(caught.value)


def test_what_is_no_pair_is_refused(viewer, nuclei, tissue, tmp_path) -> None:
    path = tmp_path / "a.nudiff"
    labels = viewer.add_labels(nuclei, name="mask")
    grey = viewer.add_image(tissue[..., 0], name="grey")
    assert "“grey” is no RGB image" in refused(path, grey, labels)
    deep = viewer.add_image(tissue.astype(np.uint16) * 257, rgb=True, name="deep")
    assert "“deep” has uint16 pixels" in refused(path, deep, labels)
    small = viewer.add_image(tissue[:40], rgb=True, name="small")
    assert "(40, 80, 3)" in refused(path, small, labels)
    moved = viewer.add_image(tissue, rgb=True, name="moved", translate=(0, 1))
    said = refused(path, moved, labels)
    assert "differ in translate: [0.0, 1.0] and [0.0, 0.0]" in said
    measured = viewer.add_image(tissue, rgb=True, name="measured", units="um")
    assert "differ in units" in refused(path, measured, labels)
    stack = viewer.add_labels(np.stack([nuclei, nuclei]), name="stack")
    assert "(2, 72, 80)" in refused(path, stack, error=LayoutError)


def test_ids_too_large_for_the_file_are_refused(viewer, nuclei, tmp_path) -> None:
    labels = viewer.add_labels(nuclei.astype(np.uint32) + np.uint32(2**31))
    assert "Renumber" in refused(tmp_path / "a.nudiff", labels)


def test_metadata_that_no_file_can_hold_are_refused(viewer, nuclei, tmp_path) -> None:
    labels = viewer.add_labels(nuclei, name="mask", metadata={"nudiff": {"at": object()}})
    assert "“mask” cannot be stored" in refused(tmp_path / "a.nudiff", labels)


def holed(nuclei):
    """One nucleus with a hole in it, and an id beyond 16 bits."""
    labels = nuclei.copy()
    labels[48:52, 55:60] = 0
    labels[labels == 1] = 70_000
    return labels


@pytest.fixture
def geojson(viewer, nuclei, tmp_path):
    """A file of the holed nuclei, a sampled layout."""
    told = {"nudiff": {"request": {"seed": 3}}}
    layer = viewer.add_labels(holed(nuclei), metadata=told, scale=(0.25, 0.25), units="um")
    save(viewer, tmp_path / "a.geojson", layer)
    return tmp_path / "a.geojson"


def test_nuclei_go_to_qupath_and_back(viewer, nuclei, geojson) -> None:
    (back,) = viewer.open(str(geojson), plugin="napari-nudiff")
    rows, cols = back.data.shape
    expected = holed(nuclei)
    assert not expected[rows:].any()
    assert not expected[:, cols:].any()
    for before, after in ((70_000, 2), (2, 1)):  # in the order of their ids
        assert np.array_equal(back.data == after, expected[:rows, :cols] == before)


def test_qupath_gets_detections_with_holes_in_pixels_from_the_corner(geojson) -> None:
    content = json.loads(geojson.read_text())
    assert content["type"] == "FeatureCollection"
    assert content["properties"]["nudiff"]["request"]["seed"] == 3
    rings = [feature["geometry"]["coordinates"] for feature in content["features"]]
    assert [len(one) for one in rings] == [2, 1]
    for feature in content["features"]:
        assert feature["properties"]["objectType"] == "detection"
        for ring in feature["geometry"]["coordinates"]:
            assert ring[0] == ring[-1]
    # Pixels 10 to 24: their centres are at 10.5 to 24.5, their corners at 10 and 25.
    assert 10 <= np.min(rings[1][0]) <= 10.5
    assert 24.5 <= np.max(rings[1][0]) <= 25


def test_qupath_outlines_are_valid_and_as_large_as_their_nuclei(geojson) -> None:
    shapely = pytest.importorskip("shapely")
    geometry = pytest.importorskip("shapely.geometry")
    shapes = [geometry.shape(f["geometry"]) for f in json.loads(geojson.read_text())["features"]]
    assert all(shapely.is_valid(shape) for shape in shapes)
    assert [shape.area for shape in shapes] == pytest.approx([480, 225], abs=4)


def test_nuclei_go_to_hovernet_and_back(viewer, nuclei, tmp_path) -> None:
    labels = holed(nuclei)
    save(viewer, tmp_path / "a.mat", viewer.add_labels(labels))
    variables = scipy.io.loadmat(tmp_path / "a.mat")
    assert {"inst_map", "type_map", "inst_centroid", "inst_type"} <= variables.keys()
    assert np.allclose(variables["inst_centroid"][1], (17, 17))  # x, y
    assert np.array_equal(variables["type_map"] > 0, labels > 0)
    (back,) = viewer.open(str(tmp_path / "a.mat"), plugin="napari-nudiff")
    for before, after in ((70_000, 2), (2, 1)):
        assert np.array_equal(back.data == after, labels == before)


@pytest.mark.parametrize("ending", ["nudiff", "geojson", "mat"])
def test_a_disk_that_cannot_be_written_leaves_the_old_file(viewer, nuclei, tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    path.mkdir()  # a folder of that name cannot be replaced
    layer = viewer.add_labels(nuclei)
    with pytest.raises(DatasetError, match=r"Cannot write .*Nothing was changed"):
        layer.save(str(path), plugin="napari-nudiff")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
