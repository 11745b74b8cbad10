"""Files opened as napari opens them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.io

from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.dataset.pair_file import write_pair
from napari_nudiff.dataset.pyramid import PyramidWriter
from napari_nudiff.dataset.sample import write_sample
from napari_nudiff.errors import DatasetError
from napari_nudiff.sample_data import rendered_pair
from napari_nudiff.ui.readers import get_reader

SPATIAL = {
    "scale": [0.25, 0.5],
    "translate": [10.0, 20.0],
    "rotate": [[0.0, -1.0], [1.0, 0.0]],
    "shear": [0.1],
    "affine": [[1.0, 0.0, 2.0], [0.0, 1.0, 3.0], [0.0, 0.0, 1.0]],
    "units": ["micrometer", "micrometer"],
    "axis_labels": ["y", "x"],
}


@pytest.fixture
def sample():
    (image, _, _), (labels, _, _) = rendered_pair()
    labels = np.ascontiguousarray(labels[:64, :80], np.int32)
    provenance = {
        "schema": 1,
        "request": {"seed": 7},
        "layout_sha256": Layout(labels).sha256(),
        "um_per_px": 0.25,
    }
    return Pair(Layout(labels), np.ascontiguousarray(image[:64, :80]), provenance=provenance)


def opened(viewer, path):
    return viewer.open(str(path), plugin="napari-nudiff")


def test_a_pair_opens_in_place_as_an_image_and_outlines(viewer, tmp_path, sample) -> None:
    write_pair(tmp_path / "a.nudiff", replace(sample, name="my layout", spatial=SPATIAL))
    image, labels = opened(viewer, tmp_path / "a.nudiff")
    assert (image.name, labels.name) == ("render my layout s7", "labels my layout s7")
    assert image.rgb
    assert labels.contour == 1
    assert np.array_equal(image.data, sample.image)
    assert np.array_equal(labels.data, sample.labels)
    for layer in (image, labels):
        assert layer.metadata["nudiff"] == sample.provenance
        assert np.allclose(layer.affine.affine_matrix, SPATIAL["affine"])
        assert np.allclose(layer.scale, (0.25, 0.5))
        assert np.allclose(layer.rotate, SPATIAL["rotate"])
        assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
    assert np.allclose(image.data_to_world((3, 4)), labels.data_to_world((3, 4)))
    assert image.metadata["nudiff"] is not labels.metadata["nudiff"]


def test_a_layout_opens_as_labels_to_edit(viewer, tmp_path, sample) -> None:
    write_pair(tmp_path / "a.nudiff", Pair(Layout(sample.labels)))
    (layer,) = opened(viewer, tmp_path / "a.nudiff")
    assert layer.name == "a"
    assert layer.contour == 0
    assert layer.metadata == {}
    assert np.array_equal(layer.data, sample.labels)


def test_unknown_places_are_left_out(viewer, tmp_path, sample) -> None:
    write_pair(
        tmp_path / "a.nudiff",
        replace(sample, name="a", spatial={"scale": [2.0, 2.0], "of_tomorrow": 1}),
    )
    image, _ = opened(viewer, tmp_path / "a.nudiff")
    assert np.allclose(image.scale, 2)


def test_what_was_opened_can_be_rendered(viewer, dock, tmp_path, sample) -> None:
    write_pair(tmp_path / "a.nudiff", replace(sample, name="a", spatial=SPATIAL))
    _, labels = opened(viewer, tmp_path / "a.nudiff")
    assert dock.layout_panel.layer.layer() is labels


def test_a_damaged_pair_is_explained(tmp_path) -> None:
    (tmp_path / "a.nudiff").write_bytes(b"PK no more")
    with pytest.raises(DatasetError, match=r"no \.nudiff file"):
        get_reader(str(tmp_path / "a.nudiff"))(str(tmp_path / "a.nudiff"))


@pytest.fixture
def session(tmp_path, sample):
    """A session of four results: a to d, of which c and b are dear."""
    folder = tmp_path / "mine.nudiff"
    for name in "abcd":
        write_pair(folder / "results" / f"{name}.nudiff", replace(sample, name=name))
    about = {"schema": 1, "order": list("dcba"), "starred": ["b"], "applied": ["c"]}
    (folder / "session.json").write_text(json.dumps(about))
    return folder


def test_of_a_session_the_kept_results_open_in_their_order(viewer, session) -> None:
    names = [layer.name for layer in opened(viewer, session)]
    assert names == ["render c s7", "labels c s7", "render b s7", "labels b s7"]


@pytest.mark.parametrize("about", ['{"schema": 1}', '{"order": 3, "starred": [[]]}'])
def test_of_a_session_without_kept_results_all_open(viewer, session, about) -> None:
    (session / "session.json").write_text(about)
    assert len(opened(viewer, session)) == 8


def test_a_damaged_result_does_not_hide_the_others(viewer, session) -> None:
    (session / "results" / "c.nudiff").write_bytes(b"half")
    with pytest.warns(UserWarning, match=r"Not all.*c\.nudiff"):
        layers = opened(viewer, session)
    assert [layer.name for layer in layers] == ["render b s7", "labels b s7"]


def test_an_empty_session_says_so(session) -> None:
    for path in (session / "results").iterdir():
        path.unlink()
    with pytest.raises(DatasetError, match="no results"):
        get_reader(str(session))(str(session))


def test_a_layout_of_a_session_opens_where_there_are_no_results(session, sample) -> None:
    for path in (session / "results").iterdir():
        path.unlink()
    write_pair(session / "layouts" / "000.nudiff", Pair(Layout(sample.labels), name="drawn"))
    ((_, attributes, kind),) = get_reader(str(session))(str(session))
    assert (attributes["name"], kind) == ("drawn", "labels")


def test_what_the_command_line_wrote_opens_by_its_json(viewer, tmp_path, sample) -> None:
    write_sample(tmp_path, "layout-0001", sample)
    image, labels = opened(viewer, tmp_path / "layout-0001.json")
    assert image.name == "render layout-0001 s7"
    assert np.array_equal(image.data, sample.image)
    assert np.array_equal(labels.data, sample.labels)
    assert np.allclose(labels.scale, 0.25)
    assert labels.metadata["nudiff"] == sample.provenance


def test_a_sampled_layout_opens_by_its_json(viewer, tmp_path, sample) -> None:
    write_sample(tmp_path, "layout", replace(sample, image=None))
    (layer,) = opened(viewer, tmp_path / "layout.json")
    assert np.array_equal(layer.data, sample.labels)


def test_a_large_render_opens_as_two_multiscale_layers(viewer, tmp_path) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (600, 700, 3), np.uint8)
    labels = rng.integers(0, 9, (600, 700), np.int32)
    writer = PyramidWriter(tmp_path / "big.zarr", labels.shape, 0.25)
    writer.write_image(0, image)
    writer.write_labels(0, labels)
    list(writer.write_levels())
    writer.finish({"schema": 1, "um_per_px": 0.25})
    opened_image, opened_labels = opened(viewer, tmp_path / "big.zarr")
    for layer, pixels in ((opened_image, image), (opened_labels, labels)):
        assert layer.multiscale
        assert len(layer.data) == 2
        assert np.array_equal(np.asarray(layer.data[0]), pixels)
        assert np.allclose(layer.scale, 0.25)
    assert opened_image.rgb
    assert opened_labels.metadata["nudiff"]["schema"] == 1


def square(x: float, y: float, side: float) -> list[list[float]]:
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]


def detection(*rings: list[list[float]]) -> dict:
    geometry = {"type": "Polygon", "coordinates": list(rings)}
    return {"type": "Feature", "geometry": geometry, "properties": {"objectType": "detection"}}


def test_qupath_objects_open_as_labels_with_their_holes(viewer, tmp_path) -> None:
    features = [detection(square(2, 3, 10), square(5, 6, 2)), detection(square(20, 1, 4))]
    path = tmp_path / "slide.tif.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    (layer,) = opened(viewer, path)
    expected = np.zeros((13, 24), np.int32)
    expected[3:13, 2:12] = 1
    expected[6:8, 5:7] = 0
    expected[1:5, 20:24] = 2
    assert layer.name == "slide"
    assert np.array_equal(layer.data, expected)


def test_qupath_objects_too_far_out_are_refused(tmp_path) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps([detection(square(1e5, 1e5, 9))]))
    with pytest.raises(DatasetError, match=r"x = 100009.*smaller region"):
        get_reader(str(path))(str(path))


def test_damaged_qupath_objects_are_explained(tmp_path) -> None:
    path = tmp_path / "a.geojson"
    path.write_text('[{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [[1]]}}]')
    with pytest.raises(DatasetError, match="damaged object"):
        get_reader(str(path))(str(path))


def test_hovernet_labels_open_as_labels(viewer, tmp_path, sample) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"inst_map": sample.labels.astype(float)})
    (layer,) = opened(viewer, tmp_path / "a.mat")
    assert np.array_equal(layer.data, sample.labels)
    assert layer.data.dtype == np.int32


def test_files_of_others_are_left_to_others(tmp_path) -> None:
    scipy.io.savemat(tmp_path / "signal.mat", {"ecg": np.zeros(9)})
    (tmp_path / "broken.mat").write_bytes(b"none")
    (tmp_path / "package.json").write_text('{"name": "x"}')
    (tmp_path / "alone.json").write_text('{"request": {}, "layout_sha256": ""}')
    (tmp_path / "points.geojson").write_text('{"type": "Point", "coordinates": [1, 2]}')
    (tmp_path / "other.zarr").mkdir()
    (tmp_path / "other.zarr" / "zarr.json").write_text('{"attributes": {"ome": {}}}')
    (tmp_path / "empty.zarr").mkdir()
    (tmp_path / "images").mkdir()
    for path in tmp_path.iterdir():
        assert get_reader(str(path)) is None, path


def test_several_files_open_one_after_another(viewer, tmp_path, sample) -> None:
    paths = [str(tmp_path / f"{name}.nudiff") for name in "ab"]
    for path in paths:
        write_pair(path, sample)
    names = [layer.name for layer in viewer.open(paths, plugin="napari-nudiff", stack=True)]
    assert names == ["render a s7", "labels a s7", "render b s7", "labels b s7"]
    assert get_reader([*paths, str(tmp_path / "x.json")]) is None
