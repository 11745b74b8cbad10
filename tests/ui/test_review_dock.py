"""The Review dock in a real window, with real key presses and real files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_nudiff.dataset.images import write_rgb
from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.dataset.pair_file import write_pair
from napari_nudiff.dataset.review import Review, ReviewFile, grades_in, read_reviews
from napari_nudiff.ui.review_canvas import FLAGGED
from napari_nudiff.ui.review_dock import ReviewDock

from .mouse import Mouse

COUNT = 3
SIDE = 48
SHIFT, PLAIN = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.NoModifier


def image_of(seed: int, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)


def labels_of() -> np.ndarray:
    labels = np.zeros((SIDE, SIDE), np.int32)
    labels[4:20, 4:20], labels[26:44, 24:44] = 3, 8
    return labels


@pytest.fixture
def made(tmp_path) -> Path:
    for seed in range(COUNT):
        provenance = {"synthetic": True, "um_per_px": 0.5}
        pair = Pair(Layout(labels_of()), image_of(seed), provenance=provenance)
        write_pair(tmp_path / "made" / f"pair {seed}.nudiff", pair)
    return tmp_path / "made"


@pytest.fixture
def real(tmp_path) -> Path:
    for seed in range(COUNT):
        write_rgb(tmp_path / "real" / f"slide {seed}.png", image_of(100 + seed, 60))
    return tmp_path / "real"


@pytest.fixture
def viewer(make_napari_viewer: Any) -> Any:
    return make_napari_viewer(show=True)


@pytest.fixture
def dock(viewer: Any) -> ReviewDock:
    _, opened = viewer.window.add_plugin_dock_widget("napari-nudiff", "Review")
    return opened


@pytest.fixture
def begin(dock, viewer, made, click, qtbot) -> Any:
    """Begins a sitting as a reviewer does, and waits until an image is shown."""

    def begun(*, real: Path | None = None, reviewer: str = "ann") -> None:
        dock.sources.add("synthetic", made)
        if real is not None:
            dock.sources.add("real", real)
            dock.sources.blind.setChecked(True)
        dock.sources.reviewer.setText(reviewer)
        viewer.window._qt_window.activateWindow()
        qtbot.waitUntil(lambda: QApplication.activeWindow() is not None)
        click(dock.sources.begin)
        qtbot.waitUntil(lambda: dock.sitting is not None, timeout=20_000)

    return begun


@pytest.fixture
def press(viewer, qtbot) -> Any:
    """Presses keys on the canvas, which has the focus."""
    canvas = viewer.window._qt_viewer.canvas.native

    def pressed(*keys: str, shift: bool = False) -> None:
        qtbot.waitUntil(canvas.hasFocus)
        for key in keys:
            QTest.keyClick(canvas, getattr(Qt.Key, f"Key_{key}"), SHIFT if shift else PLAIN)

    return pressed


def said(folder: Path, dock: ReviewDock, reviewer: str = "ann") -> Review | None:
    """What is on the disk of the image that is shown."""
    return read_reviews(folder).of(reviewer, dock.sitting.item.image)


# Grading


def test_a_pair_is_graded_with_keys_alone(dock, viewer, made, begin, press) -> None:
    begin()
    press("4")
    press("2", shift=True)
    press("C", "T", "C", "B")
    review = said(made, dock)
    assert (review.realism, review.correctness) == (4, 2)
    assert review.reasons == ("border", "stain")
    grades = dock.grades
    assert (grades.rate.choice(), grades.rate_labels.choice()) == (3, 1)
    checked = [name for name, box in grades.reasons.items() if box.isChecked()]
    assert checked == ["border", "stain"]
    assert "1 of 3 graded" in grades.status.text()
    press("Right", "1")
    assert grades.place.text() == "2 of 3"
    assert grades.name.text() == "pair 1"
    assert said(made, dock).realism == 1
    press("Left")
    assert grades.rate.choice() == 3
    assert len(grades_in(made)) == 2


def test_the_pair_is_shown_with_outlines_at_full_resolution(dock, viewer, begin, press) -> None:
    begin()
    image, labels = viewer.layers
    assert np.array_equal(image.data, image_of(0))
    assert np.array_equal(labels.data, labels_of())
    assert (labels.contour, labels.editable) == (1, False)
    assert np.allclose(image.scale, 0.5)
    assert [image.name, labels.name] == ["pair 0", "labels pair 0"]
    press("Right")
    assert list(viewer.layers) == [image, labels]
    assert np.array_equal(image.data, image_of(1))
    assert [image.name, labels.name] == ["pair 1", "labels pair 1"]


def test_the_outlines_are_toggled_and_stay_so(dock, viewer, begin, press, click) -> None:
    begin()
    press("O")
    assert not viewer.layers[1].visible
    assert not dock.grades.outlines.isChecked()
    press("Right")
    assert not viewer.layers[1].visible
    dock.grades.outlines.click()
    assert viewer.layers[1].visible


def test_the_nucleus_under_the_mouse_is_flagged(dock, viewer, made, begin, press) -> None:
    begin()
    labels = viewer.layers[1]
    mouse = Mouse(viewer, labels)
    mouse.move((4, 19))  # a corner: half a pixel further there is none
    press("F")
    mouse.move((26, 24))
    press("F")
    assert said(made, dock).flagged == (3, 8)
    assert labels.features.set_index("index")["flagged"].to_dict() == {0: False, 3: True, 8: True}
    assert dock.grades.flagged.text() == "Flagged: nuclei 3, 8"
    press("F")
    assert said(made, dock).flagged == (3,)
    assert np.allclose(labels.get_color(3)[:3], _rgb(FLAGGED), atol=0.01)
    assert not np.allclose(labels.get_color(8)[:3], _rgb(FLAGGED), atol=0.01)
    for beside in ((4, 20), (25, 24), (46, 2)):
        dock.message.clear()
        mouse.move(beside)
        press("F")
        assert "no nucleus under the mouse" in dock.message.text()
    press("Right")
    assert not labels.features["flagged"].any()


def test_the_features_are_those_of_the_shown_labels(viewer, made, begin, press) -> None:
    other = labels_of()
    other[0, 0] = 11
    write_pair(made / "pair 1.nudiff", Pair(Layout(other), image_of(1)))
    begin()
    press("Right")
    assert list(viewer.layers[1].features["index"]) == [0, 3, 8, 11]


def _rgb(colour: str) -> list[float]:
    return [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]


def test_a_comment_is_written_between_two_enters(dock, made, begin, press, qtbot) -> None:
    begin()
    comment = dock.grades.comment
    press("Return")
    qtbot.waitUntil(comment.hasFocus)
    QTest.keyClicks(comment, "1 pale border, F")
    assert said(made, dock) is None, "keys of a comment grade nothing"
    QTest.keyClick(comment, Qt.Key.Key_Return)
    assert said(made, dock).comment == "1 pale border, F"
    press("5", "Right")
    assert comment.text() == ""
    press("Left")
    assert comment.text() == "1 pale border, F"


def test_a_comment_belongs_to_the_image_it_was_begun_on(dock, made, begin, press, click) -> None:
    begin()
    press("Return")
    QTest.keyClicks(dock.grades.comment, "blurred")
    first = dock.sitting.item.image
    click(dock.grades.next)
    assert read_reviews(made).of("ann", first).comment == "blurred"
    assert dock.grades.comment.text() == ""
    click(dock.grades.end)
    assert [r.comment for r in read_reviews(made).latest.values()] == ["blurred"]


def test_an_image_is_not_left_before_its_comment_is_kept(dock, made, begin, press, click) -> None:
    begin()
    dock.sitting.file.path.mkdir()
    press("Return")
    QTest.keyClicks(dock.grades.comment, "blurred")
    for button in (dock.grades.next, dock.grades.end):
        click(button)
        assert dock.grades.place.text() == "1 of 3"
        assert dock.grades.comment.text() == "blurred"
        assert "not kept" in dock.message.text()
    dock.sitting.file.path.rmdir()
    click(dock.grades.next)
    assert [r.comment for r in read_reviews(made).latest.values()] == ["blurred"]


def test_buttons_do_what_keys_do(dock, made, begin, click) -> None:
    begin()
    grades = dock.grades
    click(grades.rate.buttons[2])
    click(grades.rate_labels.buttons[4])
    grades.reasons["cytoplasm"].click()
    review = said(made, dock)
    assert (review.realism, review.correctness, review.reasons) == (3, 5, ("cytoplasm",))
    click(grades.next)
    assert dock.sitting.index == 1
    click(grades.previous)
    assert grades.rate.choice() == 2
    assert not grades.previous.isEnabled()


def test_keys_do_not_reach_napari_and_are_given_back(dock, viewer, begin, press, click) -> None:
    mine = viewer.add_labels(np.zeros((9, 9), int), name="mine")
    viewer.layers.selection.active = mine
    before = dict(viewer.keymap), mine.mode
    begin()
    viewer.layers.selection.active = mine
    press("2")
    assert mine.mode == "pan_zoom"
    assert dock.grades.rate.choice() == 1
    click(dock.grades.end)
    viewer.window._qt_viewer.canvas.native.setFocus()
    press("2")
    assert mine.mode == "paint"
    assert dict(viewer.keymap) == before[0]


def test_layers_of_the_user_are_hidden_meanwhile(dock, viewer, begin, click) -> None:
    shown = viewer.add_image(np.zeros((9, 9)), name="shown")
    hidden = viewer.add_image(np.zeros((9, 9)), name="hidden", visible=False)
    begin()
    assert not shown.visible
    assert len(viewer.layers) == 4
    click(dock.grades.end)
    assert (shown.visible, hidden.visible) == (True, False)
    assert list(viewer.layers) == [shown, hidden]


def test_a_deleted_layer_comes_again_with_the_next_image(viewer, begin, press) -> None:
    begin()
    viewer.layers.clear()
    press("Right")
    assert [layer.name for layer in viewer.layers] == ["pair 1", "labels pair 1"]


def test_a_grade_that_cannot_be_kept_is_told(dock, made, begin, press) -> None:
    begin()
    dock.sitting.file.path.mkdir()
    press("4")
    assert "not kept" in dock.message.text()
    assert dock.grades.rate.choice() is None
    assert not dock.grades.rate.buttons[3].isChecked()
    dock.sitting.file.path.rmdir()
    press("4")
    assert said(made, dock).realism == 4


def test_a_pair_that_went_away_is_told(dock, made, begin, press) -> None:
    begin()
    (made / "pair 1.nudiff").unlink()
    press("Right")
    assert "pair 1.nudiff" in dock.message.text()
    press("Right")
    assert dock.grades.name.text() == "pair 2"


def test_what_was_left_out_is_told(dock, made, begin) -> None:
    (made / "pair 0.nudiff").write_bytes(b"nothing")
    begin()
    assert "pair 0 was left out" in dock.message.text()
    assert dock.grades.place.text() == "1 of 2"


def test_what_is_missing_is_said_before_it_begins(dock, made) -> None:
    sources = dock.sources
    assert not sources.begin.isEnabled()
    sources.add("synthetic", made)
    assert not sources.begin.isEnabled()
    sources.reviewer.setText("ann")
    assert sources.begin.isEnabled()
    assert sources.written.text() == "Kept as reviews-ann.jsonl in made."
    sources.list.remove_requested.emit("synthetic", made)
    assert not sources.begin.isEnabled()


def test_a_name_that_cannot_be_used_is_explained(dock, made, click, qtbot) -> None:
    dock.sources.add("synthetic", made)
    dock.sources.reviewer.setText("Dr. No")
    click(dock.sources.begin)
    qtbot.waitUntil(lambda: "initials" in dock.message.text())
    assert dock.sitting is None
    assert dock.sources.begin.isEnabled()


@pytest.mark.parametrize("by_its_window", [True, False])
def test_closing_the_dock_keeps_what_was_being_written(
    dock, viewer, made, begin, press, by_its_window
) -> None:
    begin()
    press("3", "Return")
    QTest.keyClicks(dock.grades.comment, "last words")
    image = dock.sitting.item.image
    if by_its_window:
        dock.close()
    else:
        viewer.window.remove_dock_widget(dock)
    review = read_reviews(made).of("ann", image)
    assert (review.realism, review.comment) == (3, "last words")
    assert list(viewer.layers) == []


def test_the_window_can_be_closed_in_the_middle(made) -> None:
    """In a process of its own, where nothing hides an error at the end."""
    script = f"""
import napari
from pathlib import Path
from qtpy.QtTest import QTest
viewer = napari.Viewer()
_, dock = viewer.window.add_plugin_dock_widget("napari-nudiff", "Review")
dock.sources.add("synthetic", Path({str(made)!r}))
dock.sources.reviewer.setText("ann")
dock.sources.begin.click()
while dock.sitting is None:
    QTest.qWait(20)
dock.sitting.rate(2)
viewer.close()
QTest.qWait(200)
print("closed")
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout.split()[-1:]) == (0, ["closed"]), done.stderr
    assert "Traceback" not in done.stderr
    assert [review.realism for review in read_reviews(made).latest.values()] == [2]


# A reader study


def test_a_study_is_walked_with_keys(dock, viewer, made, real, begin, press) -> None:
    begin(real=real)
    sitting = dock.sitting
    wrong = {sitting.items[2].image}
    for number in range(2 * COUNT):
        assert [layer.name for layer in viewer.layers] == [f"image {number + 1}"]
        assert viewer.layers[0].metadata == {}
        assert viewer.layers[0].data.shape == (SIDE, SIDE, 3)
        assert dock.grades.name.text() == ""
        truth = "S" if sitting.item.synthetic else "R"
        press("RS"["SR".index(truth)] if sitting.item.image in wrong else truth)
        press("5", "Right")
    assert "All 6 are answered" in dock.grades.status.text()
    reviews = read_reviews(made)
    assert {r.confidence for r in reviews.latest.values()} == {5}
    assert sum(r.answer == "synthetic" for r in reviews.latest.values()) in (2, 4)
    assert list(reviews.orders[0].images) == [item.image for item in sitting.items]
    dock.results.show_button.click()
    assert "83 % (44–97 %)" in dock.results.table.text()


def test_nothing_on_the_screen_tells_what_an_image_is(dock, viewer, real, begin, press) -> None:
    begin(real=real)
    words = [layer.name for layer in viewer.layers]
    for widget in dock.grades.findChildren(object):
        words += [str(getattr(widget, name, str)()) for name in ("text", "toolTip")]
    words += [viewer.title, viewer.status if isinstance(viewer.status, str) else ""]
    assert not [word for word in words if "pair" in word or "slide" in word]
    assert dock.grades.rate_labels.isHidden()
    press("O", "F")
    press("3", shift=True)
    assert not Path(dock.sitting.file.path).read_text().count('"kind": "review"')


def test_the_results_of_several_readers_are_shown_and_written(
    dock, made, real, begin, tmp_path
) -> None:
    begin(real=real)
    for reader, right in (("ann", 5), ("bob", 4), ("cat", 6)):
        file = ReviewFile(made, reader)
        for number, item in enumerate(dock.sitting.items):
            answer = "synthetic" if item.synthetic == (number < right) else "real"
            review = Review(reader, item.image, synthetic=item.synthetic, answer=answer)
            file.append(review)
    results = dock.results
    results.show_button.click()
    assert "83 % (44–97 %)" in results.table.text()
    assert "bob" in results.table.text()
    assert results.words.text().count("Cohen’s kappa") == 3
    assert "Fleiss’ kappa, 3 readers, 6 images" in results.words.text()
    results.save_as(tmp_path / "out" / "study.csv")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"study.csv", "study_answers.csv", "study.txt", "study.png"}
    plot = iio.imread(tmp_path / "out" / "study.png")
    assert (plot[:3] == 255).all()
    assert len(np.unique(plot.reshape(-1, plot.shape[2]), axis=0)) > 10


def test_results_without_a_study_are_the_grades(dock, made, begin, press) -> None:
    dock.results.show_button.click()
    assert "Add images first" in dock.results.words.text()
    begin()
    dock.results.show_button.click()
    assert "Nothing has been graded" in dock.results.words.text()
    press("4")
    dock.results.show_button.click()
    assert dock.results.words.text() == "ann: 1 graded, realism 4.0, 0 flagged"
    assert not dock.results.save_button.isEnabled()


def test_reading_many_images_can_be_stopped(dock, made, click, qtbot) -> None:
    for seed in range(200):
        pair = Pair(Layout(labels_of()), image_of(1000 + seed))
        write_pair(made / f"more {seed}.nudiff", pair)
    dock.sources.add("synthetic", made)
    dock.sources.reviewer.setText("ann")
    click(dock.sources.begin)
    qtbot.waitUntil(lambda: dock.sources.begin.text().startswith("Stop"))
    click(dock.sources.begin)
    qtbot.waitUntil(lambda: not dock.session.is_opening)
    assert dock.sitting is None
    assert dock.sources.begin.text() == "Begin"
    assert dock.sources.begin.isEnabled()
    assert dock.grades_part.isHidden()
