"""The Models dock with a real server, a real cache and real files."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_nudiff.checkpoints import (
    DEFAULT_IMAGE,
    add_checkpoint,
    find_checkpoint,
    list_checkpoints,
    local_path,
)
from napari_nudiff.session.catalogue import catalogue
from napari_nudiff.session.jobs import Job
from napari_nudiff.text import size_text
from napari_nudiff.ui.executor import device_queue, models
from napari_nudiff.ui.models_dock import ModelsDock
from napari_nudiff.ui.widgets.checkpoint_combo import CheckpointCombo
from napari_nudiff.work import Progress

from ..checkpoints import conftest as checkpoints_of_the_lab

NAME, GOLDEN_PT = checkpoints_of_the_lab.NAME, checkpoints_of_the_lab.GOLDEN_PT
cache = checkpoints_of_the_lab.cache
weights = checkpoints_of_the_lab.weights
server = checkpoints_of_the_lab.server
remote = checkpoints_of_the_lab.remote


@pytest.fixture
def open_models(make_napari_viewer):
    """Opens the dock, each time in a viewer of its own."""

    def opened() -> ModelsDock:
        _, dock = make_napari_viewer().window.add_plugin_dock_widget("napari-nudiff", "Models")
        return dock

    yield opened
    models().cancel(NAME)


@pytest.fixture
def dock(open_models) -> ModelsDock:
    return open_models()


@pytest.fixture
def panel(dock):
    return dock.models_panel


@pytest.fixture
def until(qtbot):
    return lambda condition: qtbot.waitUntil(condition, timeout=20_000)


def state_of(panel, name: str) -> str:
    return str(panel.list.card(name).state.text())


def test_all_models_are_listed_with_what_counts(remote, panel) -> None:
    assert panel.list.names() == [c.name for c in sorted(list_checkpoints(), key=is_remote)]
    assert state_of(panel, DEFAULT_IMAGE) == "embedded"
    assert state_of(panel, NAME) == "not fetched"
    checkpoint, details = find_checkpoint(DEFAULT_IMAGE), panel.details
    about = panel.list.card(DEFAULT_IMAGE).about.text()
    assert about == f"image · {size_text(checkpoint.size_bytes)} · {checkpoint.licence}"
    panel.list.choose(DEFAULT_IMAGE)
    assert details.licence.text() == checkpoint.licence
    assert details.training_data.text() == checkpoint.training_data
    assert details.resolution.text() == "0.25 µm per px"
    assert details.sha256.text() == f"{checkpoint.sha256[:12]}…"
    assert details.sha256.toolTip() == checkpoint.sha256
    details.copy_button.click()
    assert QApplication.clipboard().text() == checkpoint.sha256


def is_remote(checkpoint) -> bool:
    return local_path(checkpoint) is None


def test_buttons_are_enabled_for_what_can_be_done(remote, weights, panel, until) -> None:
    def enabled(name: str) -> tuple[bool, bool, bool]:
        panel.list.choose(name)
        return tuple(b.isEnabled() for b in (panel.fetch, panel.verify, panel.remove))

    add_checkpoint(weights, "mine")
    catalogue.refresh()
    until(lambda: "mine" in panel.list.names())
    assert enabled(DEFAULT_IMAGE) == (False, True, False)
    assert "cannot be deleted" in panel.remove.toolTip()
    assert enabled(NAME) == (True, False, False)
    assert enabled("mine") == (False, True, True)


def test_a_model_is_downloaded_with_its_bytes_shown(remote, server, panel, click, until) -> None:
    server.behaviour = "trickle"
    panel.list.choose(NAME)
    click(panel.fetch)
    assert panel.fetch.isHidden()
    assert not panel.cancel.isHidden()
    until(lambda: state_of(panel, NAME).endswith("%") and state_of(panel, NAME) != "0 %")
    assert " of " in panel.list.card(NAME).about.text()
    assert not panel.list.card(NAME).bar.isHidden()
    until(lambda: state_of(panel, NAME) == "fetched")
    assert panel.list.chosen_name() == NAME
    assert not panel.fetch.isHidden()
    assert "intact" in panel.status.text()
    assert "fetched" in panel.list.currentItem().data(11)  # as screen readers hear it
    assert local_path(remote) is not None


def test_a_download_is_cancelled(remote, server, cache, panel, click, until) -> None:
    server.behaviour = "trickle"
    panel.list.choose(NAME)
    click(panel.fetch)
    until(lambda: state_of(panel, NAME) not in {"not fetched", "waiting", "0 %"})
    click(panel.cancel)
    until(lambda: state_of(panel, NAME) == "not fetched")
    until(lambda: "nothing of it stays" in panel.status.text())
    assert checkpoints_of_the_lab.files_in(cache) == []
    assert panel.fetch.isEnabled()


def test_a_download_that_fails_is_explained_until_it_is_read(
    remote, server, dock, panel, click, until
) -> None:
    server.behaviour = "missing"
    panel.list.choose(NAME)
    click(panel.fetch)
    until(lambda: "404" in dock.message.text())
    assert not dock.message.isHidden()
    assert state_of(panel, NAME) == "not fetched"
    click(dock.message.copy_button)
    assert "Traceback" in QApplication.clipboard().text()
    server.behaviour = "good"
    click(panel.fetch)
    until(lambda: state_of(panel, NAME) == "fetched")
    assert dock.message.isHidden()


def test_nothing_waits_for_the_device(remote, panel, click, until) -> None:
    def busy():
        while True:
            time.sleep(0.01)
            yield Progress("render")

    render = Job(busy())
    device_queue().add(render)
    panel.list.choose(NAME)
    click(panel.fetch)
    until(lambda: state_of(panel, NAME) == "fetched")
    click(panel.verify)
    until(lambda: panel.status.text() == f"{NAME} is intact.")
    assert not render.done
    device_queue().cancel(render)
    until(lambda: render.done)


def test_a_damaged_file_is_found_and_can_be_downloaded_again(
    remote, weights, dock, panel, click, until
) -> None:
    panel.list.choose(NAME)
    click(panel.fetch)
    until(lambda: state_of(panel, NAME) == "fetched")
    click(panel.verify)
    until(lambda: panel.status.text() == f"{NAME} is intact.")
    local_path(remote).write_bytes(b"damaged")
    click(panel.verify)
    until(lambda: state_of(panel, NAME) == "damaged")
    until(lambda: "damaged or was replaced" in dock.message.text())
    click(panel.fetch)
    until(lambda: state_of(panel, NAME) == "fetched")
    assert local_path(remote).read_bytes() == weights.read_bytes()


def test_deleting_asks_first(remote, weights, panel, click, until) -> None:
    panel.list.choose(NAME)
    click(panel.fetch)
    until(lambda: state_of(panel, NAME) == "fetched")
    click(panel.remove)
    assert "can be downloaded again" in panel.question.text()
    click(panel.question.dismiss_button)
    assert panel.question.isHidden()
    assert local_path(remote) is not None
    click(panel.remove)
    click(panel.question.action_button)
    until(lambda: state_of(panel, NAME) == "not fetched")
    assert local_path(remote) is None
    assert panel.status.text() == f"{NAME} was deleted."


def test_a_question_is_about_the_chosen_model_only(weights, panel, click, until) -> None:
    add_checkpoint(weights, "mine")
    catalogue.refresh()
    until(lambda: "mine" in panel.list.names())
    panel.list.choose("mine")
    click(panel.remove)
    assert "the file that you added stays" in panel.question.text()
    panel.list.choose(DEFAULT_IMAGE)
    assert panel.question.isHidden()


def chosen_file(monkeypatch, path: Path) -> None:
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))


def test_a_file_of_ones_own_is_added(weights, dock, panel, click, until, monkeypatch) -> None:
    chosen_file(monkeypatch, weights)
    click(dock.cache_panel.add)
    form = dock.add_panel
    until(lambda: not form.form.isHidden())
    assert "image model" in form.about.text()
    assert form.name.text() == "tiny"
    assert form.licence.text() == "CC0"
    assert form.heads.isHidden(), "the file tells it"
    form.name.setText("mine")
    click(form.add)
    until(lambda: panel.list.chosen_name() == "mine")
    assert state_of(panel, "mine") == "own file"
    assert form.isHidden()
    assert find_checkpoint("mine").licence == "CC0"


def test_an_official_file_is_added_with_its_heads(dock, panel, click, until, monkeypatch) -> None:
    chosen_file(monkeypatch, GOLDEN_PT)
    click(dock.cache_panel.add)
    form = dock.add_panel
    until(lambda: not form.form.isHidden())
    assert "the authors' structure model" in form.about.text()
    assert not form.heads.isHidden()
    form.heads.setValue(32)
    form.licence.setText("MIT")
    click(form.add)
    until(lambda: panel.list.chosen_name() == "structure_unet")
    added = find_checkpoint("structure_unet")
    assert (added.role, added.licence, added.parametrisation) == ("structure", "MIT", "eps")


def test_a_name_that_is_taken_can_be_corrected(
    weights, dock, panel, click, until, monkeypatch
) -> None:
    chosen_file(monkeypatch, weights)
    click(dock.cache_panel.add)
    form = dock.add_panel
    until(lambda: not form.form.isHidden())
    form.name.setText(DEFAULT_IMAGE)
    click(form.add)
    until(lambda: "already" in dock.message.text())
    assert not form.isHidden()
    form.name.setText("another")
    click(form.add)
    until(lambda: "another" in panel.list.names())


def test_a_file_that_is_no_model_is_explained(dock, click, until, monkeypatch, tmp_path) -> None:
    path = tmp_path / "needs code.pt"
    torch.save(torch.nn.Linear(2, 2), path)
    chosen_file(monkeypatch, path)
    click(dock.cache_panel.add)
    until(lambda: "would run code" in dock.message.text())
    assert dock.add_panel.isHidden()


def test_two_docks_follow_each_other(remote, server, open_models, click, until) -> None:
    server.behaviour = "trickle"
    first, second = open_models(), open_models()
    first.models_panel.list.choose(NAME)
    second.models_panel.list.choose(DEFAULT_IMAGE)
    click(first.models_panel.fetch)
    until(lambda: state_of(second.models_panel, NAME).endswith("%"))
    until(lambda: state_of(second.models_panel, NAME) == "fetched")
    assert second.models_panel.list.chosen_name() == DEFAULT_IMAGE


def test_a_dock_that_opens_during_a_download_shows_it(
    remote, server, open_models, click, until
) -> None:
    server.behaviour = "slow"
    first = open_models()
    first.models_panel.list.choose(NAME)
    click(first.models_panel.fetch)
    second = open_models()
    assert state_of(second.models_panel, NAME) != "not fetched"
    server.stopping.set()
    models().cancel(NAME)
    until(lambda: state_of(second.models_panel, NAME) == "not fetched")


def test_a_download_outlives_its_dock(viewer, remote, server, click, until) -> None:
    server.behaviour = "trickle"
    _, dock = viewer.window.add_plugin_dock_widget("napari-nudiff", "Models")
    dock.models_panel.list.choose(NAME)
    click(dock.models_panel.fetch)
    viewer.window.remove_dock_widget("all")
    dock.deleteLater()
    until(lambda: local_path(remote) is not None and not models().is_fetching(NAME))


def test_a_combo_box_follows_the_catalogue(remote, weights, panel, click, until, qtbot) -> None:
    combo = CheckpointCombo(list_checkpoints("image"))
    qtbot.addWidget(combo)
    titles = lambda: [combo.itemText(i) for i in range(combo.count())]  # noqa: E731
    assert any(t.startswith(NAME) and "↓" in t and "kB" in t for t in titles())
    panel.list.choose(NAME)
    click(panel.fetch)
    until(lambda: NAME in titles())
    combo.setCurrentIndex(combo.findData(NAME))
    add_checkpoint(weights, "mine")
    catalogue.refresh()
    until(lambda: "mine" in titles())
    assert combo.currentData() == NAME, "the choice stays"
    combo.setCurrentIndex(combo.findData("mine"))
    with qtbot.waitSignal(combo.currentIndexChanged):
        models().remove("mine")
    until(lambda: "mine" not in titles())
    assert combo.currentData() == "", "back to the default one"


def test_a_damaged_list_of_own_files_is_told(cache, open_models) -> None:
    cache.mkdir(exist_ok=True)
    (cache / "own.json").write_text("{")
    assert "own.json" in open_models().message.text()


def test_the_dock_fits_a_narrow_window(dock) -> None:
    for width_px in (600, 340):
        dock.window().resize(900 + width_px, 600)
        dock.parent().resize(width_px, 600)
        QApplication.processEvents()
        cards = dock.models_panel.list
        row = cards.visualItemRect(cards.item(1))  # in a hidden window the cards wait
        assert row.width() <= cards.viewport().width()
    assert dock.minimumSizeHint().width() <= 340
    assert dock.minimumSizeHint().height() <= 400


OPENED = """
import sys, time
import napari
viewer = napari.Viewer(show=False)
start_s = time.process_time()  # other programs do not count
viewer.window.add_plugin_dock_widget("napari-nudiff", "Models")
print(time.process_time() - start_s, "torch" in sys.modules)
viewer.close()
"""


@pytest.mark.slow
def test_opening_the_dock_is_quick_and_needs_no_torch() -> None:
    result = subprocess.run(
        [sys.executable, "-c", OPENED], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    seconds, has_torch = result.stdout.split()[-2:]
    assert has_torch == "False"
    assert float(seconds) < 2
