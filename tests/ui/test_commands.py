"""Commands of the menus, as napari calls them."""

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QTableView

from napari_nudiff.errors import LayoutError
from napari_nudiff.ui.commands import (
    copy_report,
    instances_from_structure,
    new_layout,
    nuclei_table,
    structure_from_labels,
)


@pytest.fixture
def layer(viewer, nuclei):
    """A selected layout, in micrometres and turned."""
    return viewer.add_labels(nuclei, name="layout", scale=(0.25, 0.5), units="um", rotate=20)


def said(viewer) -> str:
    from napari.utils.notifications import notification_manager

    return notification_manager.records[-1].message


def test_a_new_layout_is_ready_to_paint_in(viewer) -> None:
    new_layout(viewer)
    assert viewer.layers[0].data.shape == (256, 256)
    assert viewer.layers[0].mode == "paint"


def test_structure_maps_lie_on_their_layout_and_lead_back_to_it(viewer, layer) -> None:
    structure_from_labels(viewer)
    maps = list(viewer.layers)[1:]
    assert [m.name for m in maps] == ["layout semantic", "layout horizontal", "layout vertical"]
    assert not any(m.visible for m in maps)
    assert "three structure maps" in said(viewer).lower()
    assert np.allclose(maps[1].data_to_world((5, 6)), layer.data_to_world((5, 6)))
    assert maps[1].data[15, 10] == pytest.approx(-1, abs=0.01)  # left end of the first nucleus
    viewer.layers.selection = {maps[2], maps[0], maps[1]}
    instances_from_structure(viewer)
    found = viewer.layers[-1]
    assert found.name == "layout nuclei"
    assert np.array_equal(found.data > 0, layer.data > 0)
    assert found.data.max() == 2
    assert np.allclose(found.data_to_world((5, 6)), layer.data_to_world((5, 6)))


def test_maps_that_were_moved_in_the_list_are_still_known(viewer, layer) -> None:
    structure_from_labels(viewer)
    viewer.layers.move(1, 4)
    viewer.layers.selection = set(list(viewer.layers)[1:])
    instances_from_structure(viewer)
    assert np.array_equal(viewer.layers[-1].data > 0, layer.data > 0)


def test_one_image_of_three_planes_is_decoded_too(viewer, nuclei) -> None:
    from napari_nudiff.nuclei.structure import encode_structure

    viewer.add_image(encode_structure(nuclei), name="stack", scale=(1, 0.25, 0.5))
    instances_from_structure(viewer)
    assert np.allclose(viewer.layers[-1].scale, (0.25, 0.5))
    assert np.array_equal(viewer.layers[-1].data > 0, nuclei > 0)
    assert viewer.layers[-1].name == "stack nuclei"


def test_other_selections_are_refused_with_what_to_select(viewer, layer) -> None:
    with pytest.raises(LayoutError, match=r"0 images.*Select three structure maps"):
        instances_from_structure(viewer)
    viewer.layers.selection = set()
    with pytest.raises(LayoutError, match=r"0 Labels layers are selected\. Select one"):
        structure_from_labels(viewer)
    with pytest.raises(LayoutError, match="0 Labels layers"):
        nuclei_table(viewer)
    viewer.add_labels([layer.data, layer.data[::2, ::2]], multiscale=True, name="big")
    with pytest.raises(LayoutError, match="“big” is multiscale"):
        nuclei_table(viewer)


def table_of(viewer) -> QTableView:
    _, widget = viewer.window.add_plugin_dock_widget("napari", "Features table widget")
    return widget.findChild(QTableView)


def click_row(qtbot, table: QTableView, row: int) -> None:
    place = table.visualRect(table.model().index(row, 0)).center()
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)


def test_nuclei_are_measured_and_a_click_shows_one(viewer, layer, qtbot) -> None:
    nuclei_table(viewer)
    features = layer.features
    assert features["label"].tolist() == [0, 1, 2]
    assert features["area_px"].tolist()[1:] == [225, 500]
    assert features["area_um2"][1] == pytest.approx(225 * 0.125, abs=0.01)
    assert np.isnan(features["area_px"][0])
    table = table_of(viewer)
    assert table.model().rowCount() == 3
    camera = getattr(viewer, "scene", viewer).camera
    camera.center = (1000, 1000)
    click_row(qtbot, table, 2)
    assert layer.selected_label == 2
    assert np.allclose(camera.center[-2:], layer.data_to_world((49.5, 57)), atol=0.3)


def test_measured_again_a_click_still_works_once(viewer, layer, qtbot, monkeypatch) -> None:
    from napari_nudiff.ui.tools import camera

    nuclei_table(viewer)
    layer.data[0:5, 0:5] = 3
    nuclei_table(viewer)
    assert layer.features["area_px"].tolist()[1:] == [225, 500, 25]
    looks = []
    monkeypatch.setattr(camera, "look_at", lambda *args: looks.append(args))
    click_row(qtbot, table_of(viewer), 3)
    assert len(looks) == 1


def test_in_pixels_there_are_no_micrometres(viewer, nuclei) -> None:
    layer = viewer.add_labels(nuclei)
    nuclei_table(viewer)
    assert "area_um2" not in layer.features


def test_ids_far_apart_are_not_put_into_a_table(viewer, nuclei) -> None:
    layer = viewer.add_labels(nuclei * 100_000)
    with pytest.raises(LayoutError, match=r"2 nuclei with ids up to 200000.*Renumber"):
        nuclei_table(viewer)
    assert layer.features.shape[1] == 0


def test_the_report_names_versions_settings_and_layers_but_no_names(viewer, dock, layer) -> None:
    layer.name = "Smith, John 1950"
    copy_report(viewer)
    report = QApplication.clipboard().text()
    assert f"napari {version('napari')}" in report
    assert f"torch {version('torch')}" in report
    assert "Labels, (72, 80), int32, scale (0.25, 0.5) (micrometer, micrometer)" in report
    assert '"guidance": 1.0' in report
    assert "devices: cpu" in report or "devices: NVIDIA" in report or "devices: mps" in report
    assert "Smith" not in report
    assert "copied" in said(viewer)


def test_the_report_does_not_tell_whose_machine_it_is(viewer, dock, monkeypatch) -> None:
    home = Path(dock.session.rendering.checkpoint).parent
    monkeypatch.setattr(Path, "home", lambda: home)
    copy_report(viewer)
    report = QApplication.clipboard().text()
    assert str(home) not in report
    assert "image.safetensors" in report


def test_a_report_does_not_load_torch(viewer, monkeypatch) -> None:
    from napari_nudiff.ui.report import bug_report

    monkeypatch.delitem(sys.modules, "torch")
    assert "devices: unknown" in bug_report(viewer)
    assert "torch" not in sys.modules
