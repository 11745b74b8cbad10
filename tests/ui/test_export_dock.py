"""The Export dock, with real files."""

from __future__ import annotations

import numpy as np
import pytest

from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.dataset.sample import write_sample
from napari_nudiff.ui.dock import SynthesisDock
from napari_nudiff.ui.export_dock import ExportDock


def sample_of(seed: int) -> Pair:
    rng = np.random.default_rng(seed)
    labels = np.zeros((64, 64), np.int32)
    row, col = rng.integers(10, 50, 2)
    labels[row : row + 9, col : col + 9] = 1
    image = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
    provenance = {"synthetic": True, "request": {}, "layout_sha256": Layout(labels).sha256()}
    return Pair(Layout(labels), image, provenance=provenance)


@pytest.fixture
def pairs(tmp_path):
    for seed in range(10):
        write_sample(tmp_path / "pairs", f"pair{seed}", sample_of(seed))
    return tmp_path / "pairs"


@pytest.fixture
def dock(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    dock = ExportDock(viewer)
    viewer.window.add_dock_widget(dock)
    yield dock
    dock.shut_down()


def test_a_folder_is_counted_and_exported(dock, pairs, tmp_path, qtbot):
    dock.sources_panel.add_folder(pairs, is_real=False)
    qtbot.waitUntil(lambda: len(dock.table.cells()) == 4, timeout=5000)
    assert dock.table.cells()[1] == ["train", "8", "0", "8"]
    assert "10 lineages" in dock.table.notes.text()
    dock.formats_panel.boxes["hovernet"].setChecked(True)
    dock.run_panel.out.setText(str(tmp_path / "set"))
    with qtbot.waitSignal(dock.run_panel.export.clicked):
        dock.run_panel.export.click()
    qtbot.waitUntil(lambda: "complete" in dock.message.text(), timeout=10000)
    assert (tmp_path / "set" / "cellpose" / "train" / "synthetic_00000.tif").is_file()
    assert len(list((tmp_path / "set" / "hovernet").glob("*/Labels/*.mat"))) == 10
    assert dock.run_panel.export.isEnabled() and not dock.run_panel.cancel.isEnabled()


def test_what_is_missing_is_asked_for(dock, pairs):
    dock.run_panel.export.click()
    assert "Choose pairs" in dock.message.text()
    dock.sources_panel.add_folder(pairs, is_real=False)
    dock.run_panel.export.click()
    assert "where the set goes" in dock.message.text()
    for box in dock.formats_panel.boxes.values():
        box.setChecked(False)
    dock.run_panel.export.click()
    assert "No format" in dock.message.text()
    dock.formats_panel.boxes["yolo"].setChecked(True)
    dock.split_panel.classes.setText("tumour")
    dock.run_panel.export.click()
    assert "old=new" in dock.message.text()


def test_a_set_that_is_there_is_not_replaced(dock, pairs, tmp_path, qtbot):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    dock.sources_panel.add_folder(pairs, is_real=False)
    dock.run_panel.out.setText(str(tmp_path / "mine"))
    dock.run_panel.export.click()
    qtbot.waitUntil(lambda: "not replaced" in dock.message.text(), timeout=10000)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years"


def test_cancelled_the_export_goes_on_later(dock, pairs, tmp_path, qtbot, monkeypatch):
    monkeypatch.setattr("napari_nudiff.dataset.export.writing._MOST_MEMBERS", 1)
    dock.sources_panel.add_folder(pairs, is_real=False)
    dock.run_panel.out.setText(str(tmp_path / "set"))
    with qtbot.waitSignal(dock.exports.progressed, timeout=10000, check_params_cb=in_writing):
        dock.run_panel.export.click()
    dock.run_panel.cancel.click()
    assert "goes on from there" in dock.run_panel.status.text()
    qtbot.wait(300)
    assert not (tmp_path / "set").exists() and (tmp_path / "set.part").exists()
    dock.run_panel.export.click()
    qtbot.waitUntil(lambda: "complete" in dock.message.text(), timeout=10000)
    assert not (tmp_path / "set.part").exists()


def in_writing(step) -> bool:
    return step.stage == "write" and step.done > 2


def test_results_of_the_window_are_offered(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    synthesis, dock = SynthesisDock(viewer), ExportDock(viewer)
    for each in (synthesis, dock):
        viewer.window.add_dock_widget(each)
    other = make_napari_viewer()
    elsewhere = ExportDock(other)
    assert dock.sources_panel.which.itemText(0) == "starred or applied (0)"
    result = synthesis.results.add(sample_of(0), "layout", {})
    synthesis.results.star(result.id)
    qtbot.waitUntil(lambda: dock.sources_panel.which.itemText(0) == "starred or applied (1)")
    assert elsewhere.sources_panel.which.itemText(0) == "starred or applied (0)"
    qtbot.waitUntil(lambda: len(dock.table.cells()) == 2, timeout=5000)
    synthesis.shut_down()
    assert not dock.sources_panel.which.isEnabled()
    for each in (dock, elsewhere):
        each.shut_down()
