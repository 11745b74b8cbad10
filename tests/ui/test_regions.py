"""Regions in the pixels of a layout, wherever the layers lie in the world."""

from typing import Any

import numpy as np
import pytest

from napari_nudiff.errors import LayoutError
from napari_nudiff.ui.regions import SELECTED, VIEW, WHOLE, RegionCombo, nuclei_mask

SIDE = 100


@pytest.fixture
def layer(viewer: Any) -> Any:
    labels = np.zeros((SIDE, SIDE + 20), dtype=np.uint16)
    labels[20:30, 20:30], labels[60:70, 80:90] = 1, 2
    return viewer.add_labels(labels, name="layout", scale=(0.5, 0.5), rotate=20, translate=(3, 4))


@pytest.fixture
def combo(viewer: Any, layer: Any, qtbot: Any) -> RegionCombo:
    made = RegionCombo(viewer, lambda: [1])
    qtbot.addWidget(made)
    yield made
    made.release()


def titles(combo: RegionCombo) -> list[str]:
    return [combo.itemText(i) for i in range(combo.count())]


def in_world(layer: Any, corners: Any) -> np.ndarray:
    return np.array([layer.data_to_world(corner) for corner in corners])


def test_it_follows_the_shapes_layers(viewer, combo) -> None:
    assert titles(combo) == ["whole canvas", "what is in view", "selected nuclei"]
    shapes = viewer.add_shapes(name="tumour")
    assert titles(combo)[-1] == "shapes: tumour"
    combo.choose(shapes)
    shapes.name = "stroma"
    assert titles(combo)[-1] == "shapes: stroma"
    assert combo.region() is shapes
    viewer.layers.remove(shapes)
    assert combo.region() == WHOLE


def test_without_a_selection_to_ask_for_it_is_not_offered(viewer, qtbot) -> None:
    combo = RegionCombo(viewer)
    qtbot.addWidget(combo)
    assert titles(combo) == ["whole canvas", "what is in view"]
    combo.release()
    viewer.add_shapes(name="later")
    assert len(titles(combo)) == 2, "a released one no longer follows"


def test_the_whole_canvas(combo, layer) -> None:
    mask = combo.mask_in(layer)
    assert mask.shape == layer.data.shape
    assert mask.dtype == bool
    assert mask.all()


@pytest.mark.parametrize("kind", ["rectangle", "polygon"])
def test_shapes_lie_in_the_pixels_under_them(viewer, combo, layer, kind) -> None:
    corners = in_world(layer, [(9.5, 19.5), (9.5, 49.5), (39.5, 49.5), (39.5, 19.5)])
    shapes = viewer.add_shapes([corners], shape_type=kind)
    combo.choose(shapes)
    expected = np.zeros(layer.data.shape, dtype=bool)
    expected[10:40, 20:50] = True
    np.testing.assert_array_equal(combo.mask_in(layer), expected)


def test_a_shapes_layer_may_have_a_place_of_its_own(viewer, combo, layer) -> None:
    corners = in_world(layer, [(9.5, 19.5), (9.5, 49.5), (39.5, 49.5), (39.5, 19.5)])
    shapes = viewer.add_shapes([(corners - (7, 8)) / 2], shape_type="polygon", scale=(2, 2))
    shapes.translate = (7, 8)
    combo.choose(shapes)
    assert combo.mask_in(layer).sum() == 900


def test_an_ellipse_is_round(viewer, combo, layer) -> None:
    box = in_world(layer, [(10, 20), (10, 60), (30, 60), (30, 20)])
    combo.choose(viewer.add_shapes([box], shape_type="ellipse"))
    mask = combo.mask_in(layer)
    assert mask.sum() == pytest.approx(np.pi * 10 * 20, rel=0.03)
    rows, cols = np.nonzero(mask)
    assert (rows.mean(), cols.mean()) == pytest.approx((20, 40), abs=0.3)


def test_only_selected_shapes_count_if_there_are_any(viewer, combo, layer) -> None:
    one = in_world(layer, [(-0.5, -0.5), (-0.5, 9.5), (9.5, 9.5), (9.5, -0.5)])
    other = in_world(layer, [(49.5, 49.5), (49.5, 59.5), (69.5, 59.5), (69.5, 49.5)])
    shapes = viewer.add_shapes([one, other], shape_type="polygon")
    combo.choose(shapes)
    shapes.selected_data = set()
    assert combo.mask_in(layer).sum() == 300
    shapes.selected_data = {1}
    mask = combo.mask_in(layer)
    assert mask.sum() == 200
    assert mask[50:70, 50:60].all()


def test_shapes_without_area_or_beside_the_layout_are_refused(viewer, combo, layer) -> None:
    line = in_world(layer, [(10, 10), (80, 90)])
    combo.choose(viewer.add_shapes([line], shape_type="line", name="a line"))
    with pytest.raises(LayoutError, match="“a line” covers no pixel"):
        combo.mask_in(layer)
    beside = in_world(layer, [(-50, -50), (-50, -20), (-20, -20)])
    combo.choose(viewer.add_shapes([beside], shape_type="polygon", name="beside"))
    with pytest.raises(LayoutError, match="beside"):
        combo.mask_in(layer)


def test_the_field_of_view_shrinks_as_one_zooms_in(viewer, combo) -> None:
    layer = viewer.add_labels(np.ones((200, 200), dtype=np.int32), name="upright")
    canvas = viewer.window._qt_viewer.canvas
    camera = getattr(viewer, "scene", viewer).camera
    combo.choose(VIEW)
    viewer.reset_view()
    canvas.on_draw(None)
    assert combo.mask_in(layer).sum() >= 0.9 * 200 * 200
    camera.center, camera.zoom = (100, 60), min(canvas.size) / 40
    canvas.on_draw(None)
    rows, cols = np.nonzero(combo.mask_in(layer))
    assert (rows.mean(), cols.mean()) == pytest.approx((100, 60), abs=2)
    assert min(np.ptp(rows), np.ptp(cols)) == pytest.approx(40, abs=3)
    camera.center = (5000, 5000)
    canvas.on_draw(None)
    with pytest.raises(LayoutError, match="in view"):
        combo.mask_in(layer)


def test_selected_nuclei_with_a_margin(combo, layer) -> None:
    combo.choose(SELECTED)
    mask = combo.mask_in(layer)
    assert mask[20:30, 20:30].all()
    assert mask[25, 30 + 15]
    assert not mask[25, 30 + 16]
    assert not mask[layer.data == 2].any()
    layer.data = np.zeros_like(layer.data)
    with pytest.raises(LayoutError, match="Select nuclei first"):
        combo.mask_in(layer)


def test_the_margin_is_cut_off_at_the_canvas() -> None:
    labels = np.zeros((20, 20), dtype=np.uint8)
    labels[0, 0] = labels[19, 19] = 7
    mask = nuclei_mask(labels, [7], margin_px=3)
    assert mask[3, 0] and mask[16, 19] and not mask[10, 10]
