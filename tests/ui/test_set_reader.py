"""Sets and folders of pairs are dragged into napari and leafed through."""

from __future__ import annotations

import numpy as np
import pytest

from napari_nudiff.dataset.candidates import find_candidates
from napari_nudiff.dataset.export.options import ExportOptions
from napari_nudiff.dataset.export.plan import plan_set
from napari_nudiff.dataset.export.writing import write_set
from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.dataset.sample import write_sample
from napari_nudiff.ui.readers import get_reader
from napari_nudiff.work import run


def sample_of(seed: int, side: int = 64) -> Pair:
    rng = np.random.default_rng(seed)
    labels = np.zeros((side, side), np.int32)
    row, col = rng.integers(10, side - 14, 2)
    labels[row : row + 9, col : col + 9] = 1
    image = rng.integers(0, 255, (side, side, 3), dtype=np.uint8)
    provenance = {
        "synthetic": True,
        "request": {"seed": seed},
        "layout_sha256": Layout(labels).sha256(),
        "um_per_px": 0.25,
    }
    return Pair(Layout(labels), image, provenance=provenance)


@pytest.fixture
def pairs(tmp_path):
    for seed in range(6):
        write_sample(tmp_path / "pairs", f"{seed:06d}", sample_of(seed, 64 if seed < 5 else 80))
    return tmp_path / "pairs"


@pytest.fixture
def exported(pairs, tmp_path):
    candidates = find_candidates(pairs)
    options = ExportOptions(formats=("coco-polygons", "webdataset"), val=0.2, test=0)
    plan = run(plan_set(candidates, options))
    return run(write_set(tmp_path / "my set", candidates, plan)), plan


def test_a_set_opens_as_stacks(exported, make_napari_viewer):
    folder, plan = exported
    viewer = make_napari_viewer()
    layers = get_reader(str(folder))(str(folder))
    for layer in layers:
        viewer.add_layer(layer) if not isinstance(layer, tuple) else viewer._add_layer_from_data(
            *layer
        )
    names = [layer.name for layer in viewer.layers]
    assert names[0] == "my set coco-polygons 64 × 64"
    image, labels = viewer.layers[0], viewer.layers[1]
    assert image.data.shape == (5, 64, 64, 3) and labels.data.shape == (5, 64, 64)
    order = image.metadata["nudiff_set"]
    by_name = {row.name: row.index for row in plan.rows}
    for place in (0, 4):
        viewer.dims.set_current_step(0, place)
        sample = sample_of(by_name[order[place]])
        np.testing.assert_array_equal(np.asarray(image.data[place]), sample.image)
        np.testing.assert_array_equal(np.asarray(labels.data[place]), sample.labels)
    assert labels.get_value((0, 0, 0), world=False) == 0
    np.testing.assert_allclose(image.scale, (1, 0.25, 0.25))


@pytest.mark.parametrize("inside, count", [("webdataset", 6), ("coco-polygons/val", 1)])
def test_a_format_or_a_split_of_a_set_opens(exported, inside, count):
    folder, _ = exported
    layers = get_reader(str(folder / inside))(str(folder / inside))
    images = [data for data, _, kind in map(_as_data, layers) if kind == "image"]
    assert sum(len(data) for data in images) == count


def _as_data(layer):
    return layer if isinstance(layer, tuple) else (layer.data, {}, "labels")


def test_a_folder_of_generated_pairs_opens(pairs):
    layers = [_as_data(layer) for layer in get_reader(str(pairs))(str(pairs))]
    assert [data.shape for data, _, _ in layers] == [
        (5, 64, 64, 3),
        (5, 64, 64),
        (1, 80, 80, 3),
        (1, 80, 80),
    ]
    np.testing.assert_array_equal(layers[0][0][3], sample_of(3).image)


def test_a_folder_of_other_files_is_not_ours(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "notes.json").write_text("{}")
    assert get_reader(str(tmp_path / "x")) is None
