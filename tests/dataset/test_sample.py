import json

import numpy as np
import pytest

from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.dataset.sample import pack_layout, unpack_layout, write_sample
from napari_nudiff.errors import DatasetError

LABELS = np.array([[0, 1, 1], [70_000, 0, 2]], dtype=np.int32)


def test_a_packed_layout_survives_json() -> None:
    packed = json.loads(json.dumps(pack_layout(LABELS)))
    assert np.array_equal(unpack_layout(packed), LABELS)


def test_the_fingerprint_sees_values_and_shape_but_not_the_type() -> None:
    assert Layout(LABELS).sha256() == Layout(LABELS.astype(np.uint64)).sha256()
    assert Layout(LABELS).sha256() != Layout(LABELS.reshape(3, 2)).sha256()
    assert Layout(LABELS).sha256() != Layout(np.where(LABELS == 2, 3, LABELS)).sha256()


@pytest.mark.parametrize(
    "damage",
    [{"data": "!!"}, {"data": ""}, {"shape": [3, 2]}, {"shape": [9, 9]}, {"sha256": "0"}],
)
def test_damaged_layouts_are_refused(damage) -> None:
    with pytest.raises(DatasetError, match="layout"):
        unpack_layout(pack_layout(LABELS) | damage)


def test_a_layout_without_an_image_is_written_under_its_own_name(tmp_path) -> None:
    paths = write_sample(
        tmp_path, "layout-0000", Pair(Layout(LABELS), provenance={"kind": "layout"})
    )
    assert [p.name for p in paths] == ["layout-0000.tif", "layout-0000.json"]
    assert sorted(tmp_path.iterdir()) == sorted(paths)
