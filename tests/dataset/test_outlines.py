import numpy as np
import pytest
import scipy.io

from napari_nudiff.dataset.outlines import outlines_of
from napari_nudiff.dataset.polygons import draw_nuclei
from napari_nudiff.dataset.writers.hovernet import labels_to_mat
from napari_nudiff.dataset.writers.qupath import labels_to_geojson
from napari_nudiff.nuclei.layout import scatter_nuclei


def awkward() -> np.ndarray:
    """A ring, a nucleus in its hole, corners that touch, two parts, one pixel, the border."""
    labels = np.zeros((30, 40), np.int32)
    labels[2:14, 2:14] = 3
    labels[5:11, 5:11] = 0
    labels[7:9, 7:9] = 7
    labels[20:22, 2:4] = labels[22:24, 4:6] = 9
    labels[2:4, 30:33] = labels[10:14, 36:40] = 12
    labels[25, 20] = 15
    labels[28:, 30:] = 21
    return labels


@pytest.mark.parametrize(
    "labels", [awkward(), scatter_nuclei((90, 110), density=0.4, mean_area_px=90, seed=2)]
)
def test_outlines_draw_the_same_labels(labels) -> None:
    found = dict(outlines_of(labels))
    assert list(found) == [i for i in np.unique(labels) if i]
    drawn, lost = draw_nuclei(found.values(), labels.shape)
    assert lost == 0
    again = np.array([0, *found])[drawn]
    assert np.array_equal(again, labels)


def test_holes_belong_to_the_part_that_has_them() -> None:
    found = dict(outlines_of(awkward()))
    assert [len(part.holes) for part in found[3]] == [1]
    assert [len(part.holes) for part in found[12]] == [0, 0]


def test_geojson_is_what_qupath_documents() -> None:
    made = labels_to_geojson(awkward(), class_names={3: "tumour"}, properties={"synthetic": True})
    by_name = {f["properties"]["name"]: f for f in made["features"]}
    assert made["type"] == "FeatureCollection"
    assert made["properties"] == {"synthetic": True}
    assert by_name["3"]["properties"]["classification"] == {"name": "tumour"}
    assert by_name["7"]["properties"]["objectType"] == "detection"
    assert by_name["12"]["geometry"]["type"] == "MultiPolygon"
    ring = by_name["21"]["geometry"]["coordinates"][0]
    assert ring[0] == ring[-1], "rings are closed"
    xs, ys = zip(*ring, strict=True)
    assert (min(xs), max(xs), min(ys), max(ys)) == (30, 40, 28, 30)


def test_mat_variables_are_those_of_hovernet(tmp_path) -> None:
    labels = awkward()
    scipy.io.savemat(tmp_path / "x.mat", labels_to_mat(labels, {3: 2}))
    read = scipy.io.loadmat(tmp_path / "x.mat")
    assert np.array_equal(read["inst_map"] > 0, labels > 0)
    assert len(np.unique(read["inst_map"])) == len(np.unique(labels))
    assert (read["type_map"][labels == 3] == 2).all()
    assert (read["type_map"][labels == 7] == 1).all()
    row = read["inst_map"][7, 7] - 1
    assert read["inst_centroid"][row].tolist() == [7.5, 7.5]
    assert read["inst_type"].shape == (6, 1)


def test_a_layout_without_background_keeps_its_ids_apart() -> None:
    made = labels_to_mat(np.array([[4, 4], [9, 9]]))
    assert made["inst_map"].tolist() == [[1, 1], [2, 2]]
