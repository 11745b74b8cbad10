"""The list of results: look, compare, apply, star, discard, with the mouse and with keys."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QApplication, QMessageBox

from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.session.jobs import JobQueue
from napari_nudiff.session.results import Results
from napari_nudiff.session.session_folder import (
    SessionFolder,
    open_session,
    recoverable_sessions,
    save_session,
)
from napari_nudiff.ui.executor import ThreadExecutor
from napari_nudiff.ui.panels.results_panel import ResultsPanel
from napari_nudiff.ui.widgets.thumbnail import thumbnail

LEFT = Qt.MouseButton.LeftButton
CTRL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def results() -> Results:
    return Results(SessionFolder.automatic())


@pytest.fixture
def panel(qtbot: Any, results: Results) -> ResultsPanel:
    return opened(qtbot, results)


def opened(qtbot: Any, results: Results) -> ResultsPanel:
    made = ResultsPanel(results)
    qtbot.addWidget(made)
    made.resize(340, 480)
    made.show()
    qtbot.waitExposed(made)
    return made


def rendered(seed: int, group: str = "one", side_px: int = 48) -> Pair:
    image = np.random.default_rng(seed).integers(0, 256, (side_px, side_px, 3), dtype=np.uint8)
    labels = np.full((side_px, side_px), seed, np.int32)
    request = {"seed": seed, "steps": 20, "guidance": 1.2, "checkpoint": "small"}
    return Pair(
        Layout(labels),
        image,
        provenance={"kind": "image", "request": request, "layout_sha256": group},
    )


def add(results: Results, *seeds: int, group: str = "one", name: str = "layout A") -> list[str]:
    return [results.add(rendered(seed, group), name, {}).id for seed in seeds]


def heard(signal: Any) -> list:
    told: list = []
    signal.connect(lambda *values: told.append(values[0] if len(values) == 1 else values))
    return told


def place_of(panel: ResultsPanel, key: str) -> QPoint:
    item = panel.list._items[key]
    panel.list.scrollToItem(item)
    QApplication.processEvents()
    return panel.list.visualItemRect(item).center()


@pytest.fixture
def click(qtbot: Any, panel: ResultsPanel) -> Any:
    def clicked(key: str, modifier: Any = Qt.KeyboardModifier.NoModifier) -> None:
        at = place_of(panel, key)
        qtbot.mouseClick(panel.list.viewport(), LEFT, modifier, at)

    return clicked


@pytest.fixture
def press(qtbot: Any, panel: ResultsPanel) -> Any:
    return lambda key: qtbot.keyClick(panel.list, key)


def headings(panel: ResultsPanel) -> list[str]:
    listed = panel.list
    texts = (listed.item(row).data(Qt.ItemDataRole.UserRole + 2) for row in range(listed.count()))
    return [text for text in texts if text]


def act(panel: ResultsPanel, keys: list[str], text: str) -> None:
    (action,) = (a for a in panel.menu_of(keys).actions() if a.text().split("\t")[0] == text)
    action.trigger()


# The list


def test_an_empty_list_says_what_will_be_there(panel: ResultsPanel, results: Results) -> None:
    assert panel.empty.isVisible() and not panel.list.isVisible()
    assert "double click" in panel.empty.text()
    (key,) = add(results, 1)
    assert panel.list.isVisible() and not panel.empty.isVisible()
    assert panel.summary.text().startswith("1 ")
    results.discard(key)
    assert panel.empty.isVisible() and not panel.list.isVisible()
    assert panel.summary.text() == ""


def test_results_are_grouped_by_request_the_newest_first(
    panel: ResultsPanel, results: Results
) -> None:
    a, b = add(results, 1, 2)
    (c,) = add(results, 1, group="two", name="layout B")
    assert panel.list.keys() == [c, b, a]
    assert headings(panel) == [
        "layout B · 20 steps · guidance 1.2",
        "layout A · 20 steps · guidance 1.2 · 2 images",
    ]
    (d,) = add(results, 3)
    assert panel.list.keys() == [d, b, a, c]
    assert headings(panel)[0] == "layout A · 20 steps · guidance 1.2 · 3 images"
    results.discard(a, b)
    assert panel.list.keys() == [d, c]
    assert headings(panel)[0] == "layout A · 20 steps · guidance 1.2"
    results.discard(d)
    assert headings(panel) == ["layout B · 20 steps · guidance 1.2"]


def test_results_that_were_there_before_are_listed(qtbot: Any, results: Results) -> None:
    a, b = add(results, 1, 2)
    results.star(a)
    assert opened(qtbot, results).list.keys() == [b, a]


def test_a_row_has_as_many_pictures_as_fit_and_no_more(
    panel: ResultsPanel, results: Results, qtbot: Any
) -> None:
    keys = add(results, *range(8))
    for width_px, columns in ((320, 3), (500, 5)):
        panel.resize(width_px, 480)
        qtbot.wait(150)
        rects = [panel.list.visualItemRect(panel.list._items[key]) for key in keys]
        tops = [rect.top() for rect in rects]
        assert max(tops.count(top) for top in tops) == columns
        assert all(rect.right() < panel.list.viewport().width() for rect in rects)
        assert max(rect.right() for rect in rects) > width_px - 45


def test_a_thumbnail_is_the_mean_of_the_middle() -> None:
    image = np.zeros((104, 200, 3), np.uint8)
    image[:, :48] = image[:, 152:] = 255  # left and right of the middle square
    image[:, 48:152:2] = 100
    image[:, 49:152:2] = 50
    assert colours_of(thumbnail(image, 26).toImage()) == {(75, 75, 75)}


def test_a_thumbnail_of_any_size_has_no_border_and_is_never_larger_than_the_image() -> None:
    for side_px, made_px in ((103, 26), (27, 26), (26, 26), (20, 20), (1, 1)):
        made = thumbnail(np.full((side_px, side_px, 3), 90, np.uint8), 26).toImage()
        assert (made.width(), made.height()) == (made_px, made_px)
        assert colours_of(made) == {(90, 90, 90)}


def colours_of(image: QImage) -> set[tuple[int, ...]]:
    places = ((x, y) for x in range(image.width()) for y in range(image.height()))
    return {image.pixelColor(x, y).getRgb()[:3] for x, y in places}


def test_a_thumbnail_of_a_large_image_is_quick() -> None:
    image = np.random.default_rng(0).integers(0, 256, (2048, 2048, 3), dtype=np.uint8)
    start_s = time.perf_counter()
    made = thumbnail(image, 112)
    assert time.perf_counter() - start_s < 0.5
    assert made.width() == 112


def drawn(panel: ResultsPanel, key: str) -> QImage:
    QApplication.processEvents()
    rect = panel.list.visualItemRect(panel.list._items[key])
    return panel.list.viewport().grab(rect).toImage()


def test_a_star_and_a_tick_are_drawn_in_their_corners(
    panel: ResultsPanel, results: Results
) -> None:
    (key,) = add(results, 1)
    plain = drawn(panel, key)
    results.star(key)
    starred = drawn(panel, key)
    results.mark_applied(key)
    both = drawn(panel, key)
    half = plain.width() // 2

    def changed_columns(a: QImage, b: QImage) -> set[int]:
        sides = ((x, y) for x in range(a.width()) for y in range(a.height()))
        return {x for x, y in sides if a.pixelColor(x, y) != b.pixelColor(x, y)}

    assert min(changed_columns(plain, starred)) > half
    assert max(changed_columns(starred, both)) < half
    said = panel.list._items[key].data(Qt.ItemDataRole.AccessibleTextRole)
    assert said == "seed 1, starred, applied"


# Mouse and keys


def test_a_click_shows_and_a_double_click_applies(
    panel: ResultsPanel, results: Results, click: Any, qtbot: Any
) -> None:
    a, b = add(results, 1, 2)
    shown, applied = heard(panel.preview_requested), heard(panel.apply_requested)
    click(a)
    assert (shown, applied) == ([a], [])
    click(b)
    qtbot.mouseDClick(panel.list.viewport(), LEFT, pos=place_of(panel, b))
    assert applied == [b]


def test_keys_of_the_list(panel: ResultsPanel, results: Results, click: Any, press: Any) -> None:
    a, b = add(results, 1, 2)
    shown, applied = heard(panel.preview_requested), heard(panel.apply_requested)
    click(b)
    press(Qt.Key.Key_Space)
    press(Qt.Key.Key_Space)
    assert shown == [b, None, b]
    press(Qt.Key.Key_Return)
    assert applied == [b]
    press(Qt.Key.Key_S)
    assert results.find(b).starred and not results.find(a).starred
    press(Qt.Key.Key_S)
    assert not results.find(b).starred
    press(Qt.Key.Key_Right)
    assert shown[-1] == a
    press(Qt.Key.Key_Delete)
    assert [result.id for result in results.all()] == [b]
    assert shown[-1] is None


def test_stepping_goes_round(panel: ResultsPanel, results: Results) -> None:
    panel.step(1)
    a, b, c = add(results, 1, 2, 3)
    shown = heard(panel.preview_requested)
    for by in (1, 1, 1, 1, -1):
        panel.step(by)
    assert shown == [c, b, a, c, a]
    assert panel.list.selected_keys() == [a]


def test_several_are_starred_and_discarded_together(
    panel: ResultsPanel, results: Results, click: Any, press: Any
) -> None:
    a, b, c = add(results, 1, 2, 3)
    click(a)
    click(c, CTRL)
    press(Qt.Key.Key_S)
    assert [results.find(key).starred for key in (a, b, c)] == [True, False, True]
    press(Qt.Key.Key_S)
    press(Qt.Key.Key_Delete)
    assert panel.list.keys() == [b]


def test_what_is_shown_is_hidden_when_it_is_discarded_and_only_then(
    panel: ResultsPanel, results: Results, click: Any
) -> None:
    a, b, _ = add(results, 1, 2, 3)
    click(a)
    results.star(a)
    results.star(b)
    shown = heard(panel.preview_requested)
    panel._discard_rest()
    assert panel.list.keys() == [b, a]
    assert shown == []
    results.star(a, False)
    panel._discard_rest()
    assert panel.list.keys() == [b]
    assert shown == [None]


# What is dear


def answer(button: Any) -> None:
    """Press a button of the question that is about to be asked."""

    def pressed() -> None:
        box = QApplication.activeModalWidget()
        assert isinstance(box, QMessageBox)
        box.button(button).click()

    QTimer.singleShot(100, pressed)


@pytest.mark.parametrize("mark", ["star", "mark_applied"])
def test_what_is_dear_is_discarded_after_a_question(
    panel: ResultsPanel, results: Results, click: Any, press: Any, mark: str
) -> None:
    (key,) = add(results, 1)
    getattr(results, mark)(key)
    click(key)
    answer(QMessageBox.StandardButton.No)
    press(Qt.Key.Key_Delete)
    assert panel.list.keys() == [key]
    assert results._folder.file_of(key).is_file()
    answer(QMessageBox.StandardButton.Yes)
    press(Qt.Key.Key_Delete)
    assert panel.list.keys() == []
    assert not results._folder.file_of(key).exists()


# The menu


def test_the_menu_asks_for_what_it_says(panel: ResultsPanel, results: Results) -> None:
    a, b = add(results, 1, 2)
    for text, signal, told in (
        ("Apply: add as layers", panel.apply_requested, a),
        ("Recall its settings", panel.recall_requested, (a, "all")),
        ("Recall its seed", panel.recall_requested, (a, "seed")),
        ("Copy its request as JSON", panel.copy_requested, a),
        ("Save as…", panel.save_requested, a),
    ):
        asked = heard(signal)
        act(panel, [a], text)
        assert asked == [told]
    act(panel, [a, b], "Star, or not")
    assert results.find(a).starred and results.find(b).starred


def test_a_session_is_asked_for(panel: ResultsPanel) -> None:
    saved, loaded = [], []
    panel.save_session_requested.connect(lambda: saved.append(1))
    panel.open_session_requested.connect(lambda: loaded.append(1))
    actions = {action.text(): action for action in panel.menu_button.menu().actions()}
    actions["Save session…"].trigger()
    actions["Open session…"].trigger()
    assert (saved, loaded) == ([1], [1])


# Comparison


def test_a_wipe_between_two_results(panel: ResultsPanel, results: Results, qtbot: Any) -> None:
    a, b = add(results, 1, 2)
    one, other = (results.sample(key).image for key in (a, b))
    moved, shown = heard(panel.comparison_moved), heard(panel.preview_requested)
    act(panel, [a, b], "Compare the two")
    assert panel.compare_bar.isVisible()
    panel.compare_bar.slider.setValue(25)
    image, at = moved[-1]
    assert at == a
    assert np.array_equal(image[:, :12], one[:, :12])
    assert np.array_equal(image[:, 12:], other[:, 12:])
    panel.compare_bar.slider.setValue(0)
    assert np.array_equal(moved[-1][0], other)
    qtbot.mouseClick(panel.compare_bar.flip, LEFT)
    assert np.array_equal(moved[-1][0], one)
    qtbot.mouseClick(panel.compare_bar.done, LEFT)
    assert not panel.compare_bar.isVisible()
    assert shown == [a]


def test_a_result_is_compared_with_that_which_is_shown(
    panel: ResultsPanel, results: Results, click: Any
) -> None:
    a, b = add(results, 1, 2)
    click(a)
    moved = heard(panel.comparison_moved)
    act(panel, [b], "Compare with the one shown")
    panel.compare_bar.slider.setValue(100)
    assert np.array_equal(moved[-1][0], results.sample(a).image)
    assert "Compare with the one shown" not in [x.text() for x in panel.menu_of([a]).actions()]


@pytest.mark.parametrize("way", ["click", "select", "discard"])
def test_a_comparison_ends_with_what_is_compared_or_when_another_is_shown(
    panel: ResultsPanel, results: Results, click: Any, way: str
) -> None:
    a, b, c = add(results, 1, 2, 3)
    panel.compare(a, b)
    shown = heard(panel.preview_requested)
    if way == "click":
        click(c)
    elif way == "select":
        panel.select(c)
    else:
        panel._discard([b])
    assert not panel.compare_bar.isVisible()
    assert shown == {"click": [c], "select": [], "discard": [None]}[way]


def test_images_of_two_sizes_are_not_compared(panel: ResultsPanel, results: Results) -> None:
    (a,) = add(results, 1)
    b = results.add(rendered(2, side_px=32), "small", {}).id
    failed = heard(panel.failed)
    panel.compare(a, b)
    assert ["one size" in message for message in failed] == [True]
    assert not panel.compare_bar.isVisible()


# Results on disk


def has_picture(panel: ResultsPanel, key: str) -> bool:
    return panel.list._items[key].data(Qt.ItemDataRole.DecorationRole) is not None


def test_thumbnails_of_a_restored_session_come_one_by_one_and_leave_memory_alone(
    panel: ResultsPanel, results: Results, qtbot: Any, tmp_path: Path
) -> None:
    keys = add(results, *range(5))
    save_session(tmp_path / "s.nudiff", results.stored(), [], results.about())
    again = Results(SessionFolder.automatic())
    second = opened(qtbot, again)
    again.restore(open_session(tmp_path / "s.nudiff"))
    assert second.list.keys() == keys[::-1]
    assert not any(has_picture(second, key) for key in keys)
    again.discard(keys[2])
    kept = [key for key in keys if key != keys[2]]
    qtbot.waitUntil(lambda: all(has_picture(second, key) for key in kept))
    assert again.nbytes == 0
    assert drawn(second, keys[0]) == drawn(panel, keys[0])


def test_a_file_that_went_missing_is_told_and_the_others_have_their_thumbnails(
    results: Results, qtbot: Any, tmp_path: Path
) -> None:
    keys = add(results, *range(3))
    save_session(tmp_path / "s.nudiff", results.stored(), [], results.about())
    again = Results(SessionFolder.automatic())
    panel = opened(qtbot, again)
    failed = heard(panel.failed)
    again.restore(open_session(tmp_path / "s.nudiff"))
    (tmp_path / "s.nudiff" / "results" / f"{keys[0]}.nudiff").unlink()
    qtbot.waitUntil(lambda: has_picture(panel, keys[1]) and has_picture(panel, keys[2]))
    assert [keys[0] in message for message in failed] == [True]
    panel._discard([keys[0]])
    assert panel.list.keys() == [keys[2], keys[1]]


def test_a_star_is_drawn_when_a_thread_has_put_it_on_disk(qtbot: Any) -> None:
    results = Results(SessionFolder.automatic(), queue=JobQueue(ThreadExecutor()))
    panel = opened(qtbot, results)
    keys = add(results, *range(6))
    panel.list.select(keys[0])
    on_disk: list[bool] = []
    results.changed.connect(
        lambda result: on_disk.append(results._folder.file_of(result.id).is_file())
    )
    qtbot.keyClick(panel.list, Qt.Key.Key_S)
    assert on_disk == []
    qtbot.waitUntil(lambda: on_disk == [True])
    for key in keys[1:]:
        results.star(key)
    results.close()
    (left,) = recoverable_sessions()
    stored = open_session(left)
    assert sorted(stored.results) == sorted(stored.about["starred"]) == sorted(keys)
    qtbot.wait(50)  # what the thread still has to say is heard by nobody


# Many


def test_five_hundred_results_stay_fluid(qtbot: Any, results: Results) -> None:
    panel = opened(qtbot, results)
    start_s = time.perf_counter()
    for seed in range(500):
        results.add(rendered(seed, str(seed // 20)), "layout", {})
    QApplication.processEvents()
    assert time.perf_counter() - start_s < 5
    start_s = time.perf_counter()
    for _ in range(10):
        panel.step(1)
        QApplication.processEvents()
    assert (time.perf_counter() - start_s) / 10 < 0.1
