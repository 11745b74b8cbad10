"""Opening, closing, keys, and two windows."""

import subprocess
import sys

from qtpy.QtCore import Qt, QThreadPool


def ours(viewer) -> list[str]:
    return sorted(str(key) for key in viewer.keymap)


def press(qtbot, viewer, key, modifier) -> None:
    qtbot.keyClick(viewer.window._qt_viewer.canvas.native, key, modifier)


def test_keys_render_and_cancel(viewer, dock, nuclei, idle, qtbot) -> None:
    viewer.add_labels(nuclei)
    press(qtbot, viewer, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert dock.session.busy
    idle(dock)
    assert len(viewer.layers) == 3
    dock.session.rendering.steps = 1000
    press(qtbot, viewer, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    press(qtbot, viewer, Qt.Key.Key_X, Qt.KeyboardModifier.ShiftModifier)
    idle(dock, timeout=20_000)
    assert len(viewer.layers) == 3


def test_keys_work_in_the_dock_too(make_napari_viewer, open_dock, nuclei, idle, qtbot) -> None:
    viewer = make_napari_viewer(show=True)
    dock = open_dock(viewer)
    viewer.add_labels(nuclei)
    steps = dock.render_panel.count
    steps.setFocus()
    viewer.window.activate()
    qtbot.waitUntil(steps.hasFocus, timeout=5000)
    qtbot.keyClick(steps, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert dock.session.busy
    idle(dock)
    assert len(viewer.layers) == 3


def test_closing_the_dock_gives_the_keys_back(make_napari_viewer, open_dock) -> None:
    viewer = make_napari_viewer()
    pressed = []
    viewer.bind_key("Shift-X", lambda v: pressed.append(v))
    before = dict(viewer.keymap)
    dock = open_dock(viewer)
    assert len(viewer.keymap) == 9
    assert viewer.keymap != before
    viewer.window.remove_dock_widget(dock)
    assert viewer.keymap == before


def test_closing_the_dock_stops_the_render(viewer, dock, nuclei, click, qtbot) -> None:
    layout = viewer.add_labels(nuclei)
    dock.session.rendering.steps = 1000
    steps = []
    dock.session.progressed.connect(lambda progress, source: steps.append(progress.done))
    click(dock.run_panel.render)
    qtbot.waitUntil(lambda: bool(steps) and steps[-1] >= 1, timeout=60_000)
    viewer.window.remove_dock_widget(dock)
    assert QThreadPool.globalInstance().waitForDone(10_000)
    qtbot.wait(50)
    assert list(viewer.layers) == [layout]


def test_closing_the_viewer_stops_the_render(
    make_napari_viewer, open_dock, nuclei, click, qtbot
) -> None:
    viewer = make_napari_viewer()
    dock = open_dock(viewer)
    viewer.add_labels(nuclei)
    dock.session.rendering.steps = 1000
    steps = []
    dock.session.progressed.connect(lambda progress, source: steps.append(progress.done))
    click(dock.run_panel.render)
    qtbot.waitUntil(lambda: bool(steps) and steps[-1] >= 1, timeout=60_000)
    viewer.close()
    assert QThreadPool.globalInstance().waitForDone(10_000), "the worker goes on without a window"
    qtbot.wait(50)


def test_two_viewers_share_the_device_and_nothing_else(
    make_napari_viewer, open_dock, nuclei, click, idle
) -> None:
    viewers = [make_napari_viewer() for _ in range(2)]
    docks = [open_dock(viewer) for viewer in viewers]
    running, most = set(), []
    for viewer, dock in zip(viewers, docks, strict=True):
        viewer.add_labels(nuclei)
        dock.session.job_started.connect(lambda _, d=dock: running.add(d))
        dock.session.progressed.connect(lambda *_: most.append(len(running)))
        dock.session.finished.connect(lambda *_, d=dock: running.discard(d))
        click(dock.run_panel.render)
    assert "another window" in docks[1].run_panel.status.text()
    for dock in docks:
        idle(dock)
    assert max(most) == 1, "one device job at a time"
    assert [len(viewer.layers) for viewer in viewers] == [3, 3]


def test_a_waiting_render_is_cancelled_at_once(
    make_napari_viewer, open_dock, nuclei, click, idle
) -> None:
    viewers = [make_napari_viewer() for _ in range(2)]
    docks = [open_dock(viewer) for viewer in viewers]
    for viewer, dock in zip(viewers, docks, strict=True):
        viewer.add_labels(nuclei)
        click(dock.run_panel.render)
    click(docks[1].run_panel.cancel)
    assert not docks[1].session.busy
    idle(docks[0])
    assert [len(viewer.layers) for viewer in viewers] == [3, 1]


OPENED = """
import os, sys
import napari
from napari_nudiff.ui.dock import SynthesisDock

dock = SynthesisDock(napari.Viewer(show=False))
dock.studio.new_layout()
dock.session.rendering.steps = 0
dock.studio.failed.connect(lambda error: print(error))
dock.studio.render()
print("torch" in sys.modules, dock.session.busy, flush=True)
os._exit(0)  # as it is: what napari does at the end is not of interest here
"""


def test_the_dock_opens_and_refuses_a_bad_setting_without_torch() -> None:
    done = subprocess.run(
        [sys.executable, "-c", OPENED], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == ["steps is 0; expected 1 to 1000.", "False False"], (
        done.stderr
    )
