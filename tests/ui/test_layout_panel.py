"""The live check of a layout: what it says, shows and puts right."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QPushButton

from napari_nudiff.nuclei.inspection import inspect_layout
from napari_nudiff.session import Session
from napari_nudiff.session.jobs import InlineExecutor, JobQueue
from napari_nudiff.ui import layout_check
from napari_nudiff.ui.canvas import Canvas
from napari_nudiff.ui.panels.layout_panel import LayoutPanel


def flawed() -> np.ndarray:
    """A speck, a nucleus in two parts, and one with a hole."""
    labels = np.zeros((96, 128), dtype=np.int32)
    labels[10:30, 10:30] = 1
    labels[15:20, 15:20] = 0
    labels[50:53, 50:53] = 2
    labels[60:75, 20:35], labels[60:75, 60:70] = 3, 3
    return labels


@pytest.fixture
def viewer(make_napari_viewer: Any) -> Any:
    """One that is shown: in a hidden one napari draws the whole layer after each stroke."""
    return make_napari_viewer(show=True)


@pytest.fixture
def bench(viewer: Any, qtbot: Any) -> SimpleNamespace:
    layer = viewer.add_labels(flawed(), name="mine")
    canvas = Canvas(viewer)
    panel = LayoutPanel(Session(JobQueue(InlineExecutor())), canvas)
    viewer.window.add_dock_widget(panel)
    qtbot.wait(50)  # until the layer is drawn
    yield SimpleNamespace(layer=layer, panel=panel, canvas=canvas)
    panel.close()
    canvas.close()


def rows(bench: SimpleNamespace) -> dict[str, str]:
    return {row.kind: row.text for row in bench.panel.findings.rows()}


def button(bench: SimpleNamespace, text: str) -> QPushButton:
    buttons = bench.panel.findings.findChildren(QPushButton)
    return next(b for b in buttons if b.accessibleName() == text and not b.parent().isHidden())


def test_what_is_wrong_is_said_beside_the_count(bench) -> None:
    assert bench.panel.summary.text() == "3 nuclei · 96 × 128 px"
    assert rows(bench)["disconnected"] == "1 nucleus in several parts"
    assert rows(bench)["hole"] == "1 nucleus with holes"
    assert set(rows(bench)) == {"speck", "disconnected", "hole"}
    assert not bench.panel.findings.isHidden()


def test_a_layout_without_faults_shows_none(viewer, bench) -> None:
    labels = np.zeros((96, 128), dtype=np.int32)
    labels[10:30, 10:30] = 1
    bench.layer.data = labels
    bench.panel.check.run()
    assert bench.panel.summary.text() == "1 nucleus · 96 × 128 px"
    assert rows(bench) == {}
    assert bench.panel.findings.isHidden()


@pytest.mark.parametrize("kind", ["speck", "disconnected", "hole"])
def test_fix_is_one_step_that_can_be_undone(bench, click, qtbot, kind) -> None:
    before = bench.layer.data.copy()
    click(button(bench, f"Fix: {rows(bench)[kind]}"))
    assert not np.array_equal(bench.layer.data, before)
    qtbot.waitUntil(lambda: kind not in rows(bench), timeout=3000)
    bench.layer.undo()
    np.testing.assert_array_equal(bench.layer.data, before)
    qtbot.waitUntil(lambda: kind in rows(bench), timeout=3000)


def test_a_click_asks_to_show_one_after_the_other(bench, click, qtbot) -> None:
    bench.layer.data_setitem(np.nonzero(np.pad([[True] * 3] * 3, ((80, 13), (100, 25)))), 9)
    bench.panel.check.run()
    qtbot.wait(10)  # until the buttons are there
    shown: list[int] = []
    bench.panel.nucleus_show_requested.connect(shown.append)
    for _ in range(3):
        click(button(bench, rows(bench)["speck"]))
    assert shown == [2, 9, 2]


def test_a_fix_is_about_the_layout_as_it_is(bench, click) -> None:
    text = f"Fix: {rows(bench)['speck']}"
    bench.layer.data_setitem(np.nonzero(bench.layer.data == 2), 0)  # the brush was quicker
    before = bench.layer.data.copy()
    click(button(bench, text))
    np.testing.assert_array_equal(bench.layer.data, before)


def test_painting_is_checked_where_it_happened(bench, qtbot, monkeypatch) -> None:
    looked: list[Any] = []

    def spy(labels: Any, **known: Any) -> Any:
        looked.append(known["bounds"])
        return inspect_layout(labels, **known)

    monkeypatch.setattr(layout_check, "inspect_layout", spy)
    bench.layer.mode = "paint"
    bench.layer.selected_label, bench.layer.brush_size = 8, 5
    bench.layer.paint((80, 110), 8)
    bench.layer.paint((84, 110), 8)
    qtbot.waitUntil(lambda: bench.panel.summary.text().startswith("4 nuclei"), timeout=3000)
    assert len(looked) == 1, "once, when the brush came to rest"
    window = bench.layer.data[looked[0]]
    assert 8 in window
    assert window.size < 400


def test_a_large_layout_waits_for_check(viewer, bench, qtbot, click, monkeypatch) -> None:
    monkeypatch.setattr(layout_check, "LIVE_PX", 100 * 100)
    large = viewer.add_labels(np.pad(flawed(), ((0, 30), (0, 0))), name="large")
    bench.panel.layer.choose(large)
    qtbot.wait(50)
    assert bench.panel.summary.text() == "126 × 128 px"
    assert not bench.panel.check_now.isHidden()
    click(bench.panel.check_now)
    assert bench.panel.summary.text() == "3 nuclei · 126 × 128 px"
    assert bench.panel.check_now.isHidden()
    large.data_setitem(np.nonzero(large.data == 2), 0)
    qtbot.waitUntil(lambda: bench.panel.summary.text().startswith("2 nuclei"), timeout=3000)
    large.undo()
    qtbot.waitUntil(lambda: not bench.panel.check_now.isHidden(), timeout=3000)


def test_closing_lets_go_of_the_layer(bench) -> None:
    bench.panel.close()
    before = bench.panel.summary.text()
    bench.layer.data = np.zeros_like(bench.layer.data)
    assert bench.panel.summary.text() == before
    assert not bench.panel.check._timer.isActive()


# Scale


def set_scale(layer: Any, *sides: float, unit: str = "um") -> None:
    layer.scale, layer.units = sides, (unit, unit)


def test_a_layout_without_a_scale_is_taken_as_of_a_quarter(bench) -> None:
    assert bench.panel.scale.text() == "No scale in µm: taken as 0.25 µm per px."
    assert "layer.scale" in bench.panel.scale.toolTip()
    assert not bench.panel.scale.isHidden()


def test_a_scale_that_the_model_does_not_make_is_said_at_once(bench, tiny_checkpoint) -> None:
    settings = bench.panel._session.rendering
    settings.checkpoint = tiny_checkpoint("image")
    set_scale(bench.layer, 0.5, 0.5)
    assert bench.panel.summary.text() == "3 nuclei · 96 × 128 px · 0.5 µm/px"
    assert "image.safetensors makes 0.25 µm per px only" in bench.panel.scale.text()
    settings.checkpoint = tiny_checkpoint("scaled-image")
    assert bench.panel.scale.isHidden()
    set_scale(bench.layer, 1, 1)
    assert "beyond what the model has learned, 0.25 to 0.5" in bench.panel.scale.text()
    set_scale(bench.layer, 250, 250, unit="nm")
    assert bench.panel.scale.isHidden()


def test_a_scale_that_cannot_be_sampled_is_said_before_the_click(bench, tiny_checkpoint) -> None:
    settings, note = bench.panel._session.layout, bench.panel.scale_of_model
    bench.panel.options.expand()
    settings.checkpoint = tiny_checkpoint("structure")
    assert note.isHidden()
    bench.panel.um_per_px.setCurrentIndex(1)
    assert settings.um_per_px == 0.5
    assert note.text() == "Sample: structure.safetensors makes 0.25 µm per px only."
    settings.checkpoint = tiny_checkpoint("scaled-structure")
    assert note.isHidden()


def test_uneven_pixels_are_taken_at_their_mean(bench, tiny_checkpoint) -> None:
    bench.panel._session.rendering.checkpoint = tiny_checkpoint("scaled-image")
    set_scale(bench.layer, 0.25, 0.5)
    assert bench.panel.scale.text() == "Pixels of 0.25 × 0.5 µm: taken as 0.375 µm per px."


def test_the_scale_is_that_of_the_chosen_layer(bench, viewer) -> None:
    viewer.layers.remove(bench.layer)
    assert bench.panel.scale.isHidden()
    set_scale(bench.layer, 0.5, 0.5)  # followed no longer
    assert "Press New" in bench.panel.summary.text()
