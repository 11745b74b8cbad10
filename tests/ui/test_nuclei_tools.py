"""The nuclei tools in a real viewer, with Qt's own mouse and key events."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.session import Session
from napari_nudiff.session.jobs import InlineExecutor, JobQueue
from napari_nudiff.ui.canvas import Canvas
from napari_nudiff.ui.frame import Frame
from napari_nudiff.ui.panels.nuclei_panel import NucleiPanel

from .mouse import ALT, CONTROL, SHIFT, Mouse

PLACES = {
    "plain": {},
    "scaled": {"scale": (0.25, 0.5), "translate": (7, -3)},
    "turned": {"scale": (2, 2), "rotate": 30},
    "sheared": {"affine": [[1.2, 0.3, 5], [-0.2, 0.9, 2], [0, 0, 1]]},
}


def layout(dtype: Any = np.int32) -> np.ndarray:
    """Three nuclei far from each other, and two that touch, on 96 x 128 px."""
    labels = np.zeros((96, 128), dtype=dtype)
    labels[10:26, 10:30] = 1
    labels[10:20, 60:70] = 2
    labels[60:80, 20:30], labels[60:80, 30:40] = 3, 5
    return labels


@pytest.fixture
def open_bench(viewer: Any, qtbot: Any) -> Any:
    """Opens the panel with a layout in the viewer's dock."""
    open_ones = []

    def opened(data: np.ndarray | None = None, **spatial: Any) -> SimpleNamespace:
        layer = viewer.add_labels(layout() if data is None else data, name="mine", **spatial)
        session = Session(JobQueue(InlineExecutor()))
        canvas = Canvas(viewer)
        panel = NucleiPanel(session, canvas)
        viewer.window.add_dock_widget(panel)
        panel.set_layer(layer)
        messages: list[str] = []
        panel.message_requested.connect(messages.append)
        viewer.reset_view()
        open_ones.extend([panel, canvas, session])
        return SimpleNamespace(
            layer=layer,
            panel=panel,
            messages=messages,
            mouse=Mouse(viewer, layer),
            take=lambda name: panel.tool_bar.tools[name].click(),
            press=lambda key, keys=Qt.KeyboardModifier.NoModifier: QTest.keyClick(
                viewer.window._qt_viewer.canvas.native, key, keys
            ),
        )

    yield opened
    for part in open_ones:
        part.close()


@pytest.fixture
def bench(open_bench: Callable[..., SimpleNamespace]) -> SimpleNamespace:
    return open_bench()


def area(bench: SimpleNamespace, label: int) -> int:
    return int(np.count_nonzero(bench.layer.data == label))


def assert_one_step(bench: SimpleNamespace, before: np.ndarray) -> None:
    """One undo leads back to the labels as they were, one redo to those that are."""
    after = bench.layer.data.copy()
    assert not np.array_equal(before, after)
    bench.layer.undo()
    np.testing.assert_array_equal(bench.layer.data, before)
    bench.layer.redo()
    np.testing.assert_array_equal(bench.layer.data, after)
    assert bench.layer.data.dtype == before.dtype


# A new nucleus


@pytest.mark.parametrize("place", PLACES)
def test_a_drag_draws_an_ellipse_from_corner_to_corner(open_bench, place) -> None:
    bench = open_bench(**PLACES[place])
    before = bench.layer.data.copy()
    bench.take("ellipse")
    bench.mouse.drag((40, 70), (60, 110))
    rows, cols = np.nonzero(bench.layer.data == 6)
    assert [rows.min(), rows.max(), cols.min(), cols.max()] == pytest.approx(
        [40, 60, 70, 110], abs=1
    )
    assert len(rows) == pytest.approx(np.pi * 10 * 20, rel=0.05)
    assert_one_step(bench, before)
    np.testing.assert_array_equal(bench.layer.data[before > 0], before[before > 0])


def test_shift_draws_a_circle_and_control_from_the_centre(bench) -> None:
    bench.take("ellipse")
    bench.mouse.drag((40, 60), (50, 80), SHIFT)
    rows, cols = np.nonzero(bench.layer.data == 6)
    assert np.ptp(rows) == pytest.approx(20, abs=1)
    assert np.ptp(cols) == pytest.approx(20, abs=1)
    bench.mouse.drag((80, 100), (85, 110), CONTROL)
    rows, cols = np.nonzero(bench.layer.data == 7)
    assert (rows.mean(), cols.mean()) == pytest.approx((80, 100), abs=0.6)
    assert (np.ptp(rows), np.ptp(cols)) == pytest.approx((10, 20), abs=2)


def test_an_outline_shows_while_dragging_and_goes_with_the_release(bench) -> None:
    _, guide = bench.panel._guides
    bench.take("ellipse")
    bench.mouse.press((40, 60))
    bench.mouse.drag_to((60, 80))
    assert guide.is_shown
    assert not (bench.layer.data == 6).any(), "nothing is drawn before the release"
    bench.mouse.release((60, 80))
    assert not guide.is_shown


def test_a_click_draws_no_ellipse_and_says_what_to_do(bench) -> None:
    bench.take("ellipse")
    bench.mouse.click((50, 60))
    assert bench.layer.data.max() == 5
    assert "Drag" in bench.messages[-1]


@pytest.mark.parametrize(
    "dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]
)
def test_every_integer_type_keeps_its_type(open_bench, dtype) -> None:
    bench = open_bench(layout(dtype))
    before = bench.layer.data.copy()
    bench.take("ellipse")
    bench.mouse.drag((40, 70), (60, 110))
    assert area(bench, 6) > 500
    assert_one_step(bench, before)


def test_where_a_type_has_no_number_left_the_user_is_told(open_bench) -> None:
    labels = layout(np.int8)
    labels[labels == 5] = 127
    bench = open_bench(labels)
    bench.take("ellipse")
    bench.mouse.drag((40, 70), (60, 110))
    np.testing.assert_array_equal(bench.layer.data, labels)
    assert "int8" in bench.messages[-1]


# Stamps


def test_each_click_stamps_another_nucleus_under_its_ghost(bench) -> None:
    before = bench.layer.data.copy()
    _, guide = bench.panel._guides
    bench.take("stamp")
    bench.mouse.move((45, 90))
    assert guide.is_shown
    bench.mouse.click((45, 90))
    rows, cols = np.nonzero(bench.layer.data == 6)
    assert len(rows) >= 20
    assert (rows.mean(), cols.mean()) == pytest.approx((45, 90), abs=1.5)
    assert_one_step(bench, before)
    bench.mouse.click((80, 100))
    assert area(bench, 7) > 0


def test_stamps_can_take_the_shapes_of_the_layout(open_bench) -> None:
    labels = np.zeros((96, 128), dtype=np.int32)
    labels[20:30, 20:30] = 1
    bench = open_bench(labels)
    bench.panel.bank.setCurrentIndex(bench.panel.bank.findData("layout"))
    bench.take("stamp")
    bench.mouse.click((60, 80))
    assert area(bench, 2) == pytest.approx(100, abs=12), "a square of 10 x 10, turned"


def test_an_empty_layout_has_no_shapes_but_sampled_ones_come_instead(open_bench) -> None:
    bench = open_bench(np.zeros((96, 128), dtype=np.int32))
    bench.panel.bank.setCurrentIndex(bench.panel.bank.findData("layout"))
    bench.take("stamp")
    assert "comes with the package" in bench.messages[-1]
    bench.mouse.click((50, 60))
    assert area(bench, 1) > 0


# Selected nuclei


def test_clicks_select_and_shift_adds_and_takes_out(bench) -> None:
    outline, _ = bench.panel._guides
    editor = bench.panel.editor
    bench.take("select")
    bench.mouse.click((15, 20))
    assert editor.ids == [1]
    assert outline.is_shown
    bench.mouse.click((15, 65), SHIFT)
    assert editor.ids == [1, 2]
    bench.mouse.click((15, 20), SHIFT)
    assert editor.ids == [2]
    bench.mouse.click((45, 100))
    assert editor.ids == []
    assert not outline.is_shown


@pytest.mark.parametrize("place", PLACES)
def test_a_drag_moves_what_is_selected(open_bench, place) -> None:
    bench = open_bench(**PLACES[place])
    before = bench.layer.data.copy()
    bench.take("select")
    bench.mouse.click((15, 20))
    bench.mouse.drag((15, 20), (45, 60))
    expected = np.where(before == 1, 0, before)
    expected[40:56, 50:70] = 1
    np.testing.assert_array_equal(bench.layer.data, expected)
    assert_one_step(bench, before)
    assert bench.panel.editor.bounds == (slice(40, 56), slice(50, 70)), "the selection followed"


def test_a_press_that_trembles_moves_nothing(bench) -> None:
    before = bench.layer.data.copy()
    bench.take("select")
    start = bench.mouse.place((15, 20))
    layer = bench.layer
    shift = 1 / (bench.mouse.place((16, 20)) - start).y()  # one pixel of the screen
    bench.mouse.drag((15, 20), (15 + shift, 20 + shift))
    np.testing.assert_array_equal(layer.data, before)
    assert bench.panel.editor.ids == [1]


def test_control_turns_and_alt_resizes_about_the_centre(bench) -> None:
    bench.take("select")
    bench.mouse.click((15, 20))
    centre = np.array([17.5, 19.5])
    right, above = np.array([0, 10]), np.array([-10, 0])
    bench.mouse.drag(centre + 3 * right, centre + 3 * above, CONTROL)  # a quarter to the left
    rows, cols = np.nonzero(bench.layer.data == 1)
    assert (np.ptp(rows) + 1, np.ptp(cols) + 1) == pytest.approx((20, 16), abs=1)
    assert (rows.mean(), cols.mean()) == pytest.approx(centre, abs=0.6)
    before = area(bench, 1)
    bench.mouse.drag(centre + 2 * right, centre + right, ALT)
    assert area(bench, 1) == pytest.approx(before / 4, rel=0.1)


def test_buttons_turn_and_resize_by_the_numbers_beside_them(bench, click) -> None:
    before = bench.layer.data.copy()
    bench.take("select")
    bench.mouse.click((15, 20))
    bench.panel.turn.number.setValue(90)
    click(bench.panel.turn.forth)
    np.testing.assert_array_equal(np.unique(np.nonzero(bench.layer.data == 1)[0]).size, 20)
    click(bench.panel.turn.back)
    np.testing.assert_array_equal(bench.layer.data, before)
    bench.panel.resize_by.number.setValue(50)
    click(bench.panel.resize_by.forth)
    assert area(bench, 1) == pytest.approx(320 * 2.25, rel=0.05)
    click(bench.panel.resize_by.back)
    assert area(bench, 1) == pytest.approx(320, rel=0.05)


def test_keys_of_the_select_tool(bench) -> None:
    before = bench.layer.data.copy()
    bench.take("select")
    bench.mouse.click((15, 20))
    bench.press(Qt.Key.Key_Down)
    bench.press(Qt.Key.Key_Right)
    assert bench.panel.editor.bounds == (slice(11, 27), slice(11, 31))
    bench.press(Qt.Key.Key_D, CONTROL)
    assert bench.panel.editor.ids == [6]
    assert area(bench, 6) == 320
    bench.press(Qt.Key.Key_Delete)
    assert area(bench, 6) == 0
    assert bench.panel.editor.ids == []
    for _ in range(4):
        bench.press(Qt.Key.Key_Z, CONTROL)
    np.testing.assert_array_equal(bench.layer.data, before)


def test_the_selection_follows_undo_and_the_brush(bench, qtbot) -> None:
    bench.take("select")
    bench.mouse.click((15, 20))
    bench.mouse.drag((15, 20), (45, 60))
    bench.layer.undo()
    qtbot.waitUntil(lambda: bench.panel.editor.bounds[0] == slice(10, 26), timeout=2000)
    bench.layer.data_setitem(np.nonzero(bench.layer.data == 1), 0)
    qtbot.waitUntil(lambda: bench.panel.editor.ids == [], timeout=2000)


@pytest.mark.parametrize(
    ("overlap", "areas"), [("under", (200, 50)), ("over", (150, 100)), ("refuse", (200, 100))]
)
def test_overlaps_go_as_chosen(bench, overlap, areas) -> None:
    bench.panel.overlap.setCurrentIndex(bench.panel.overlap.findData(overlap))
    bench.take("select")
    bench.mouse.drag((15, 65), (70, 20))  # half of nucleus 2 onto nucleus 3
    assert (area(bench, 3), area(bench, 2)) == areas
    assert bool(bench.messages) == (overlap == "refuse")


# Deeds


def test_merge_copies_splits_and_deletes_by_the_buttons(bench, click) -> None:
    deeds, editor = bench.panel.tool_bar.deeds, bench.panel.editor
    bench.take("select")
    assert not deeds["merge"].isEnabled()
    bench.mouse.click((70, 25))
    assert not deeds["merge"].isEnabled(), "one alone cannot be merged"
    bench.mouse.click((70, 35), SHIFT)
    click(deeds["merge"])
    assert area(bench, 3) == 400
    assert area(bench, 5) == 0
    assert editor.ids == [3]
    click(deeds["delete"])
    assert area(bench, 3) == 0
    assert not deeds["delete"].isEnabled()


def test_necks_split_and_what_came_of_it_is_selected(open_bench, click) -> None:
    rows, cols = np.mgrid[:96, :128]
    labels = np.zeros((96, 128), dtype=np.int32)
    for centre in (40, 58):
        labels[np.hypot(rows - 48, cols - centre) < 11] = 1
    bench = open_bench(labels)
    bench.take("select")
    bench.mouse.click((48, 40))
    click(bench.panel.tool_bar.deeds["necks"])
    assert sorted(bench.panel.editor.ids) == [1, 2]
    assert area(bench, 1) == pytest.approx(area(bench, 2), rel=0.1)


def test_a_line_splits_what_it_crosses_in_one_step(bench) -> None:
    before = bench.layer.data.copy()
    bench.take("split")
    bench.mouse.drag((70, 10), (70, 50))  # across 3 and 5
    assert [area(bench, i) for i in (3, 5, 6, 7)] == pytest.approx([100] * 4, abs=20)
    assert_one_step(bench, before)


def test_a_line_beside_the_nuclei_splits_nothing_and_says_so(bench) -> None:
    before = bench.layer.data.copy()
    bench.take("split")
    bench.mouse.drag((40, 60), (50, 110))
    np.testing.assert_array_equal(bench.layer.data, before)
    assert "across" in bench.messages[-1]


def test_the_menu_cleans_up_what_is_selected_or_all(open_bench) -> None:
    labels = layout()
    labels[15:18, 15:18] = 0
    labels[65:68, 23:26] = 0
    labels[90:92, 100:102] = 9
    bench = open_bench(labels)
    actions = {a.text(): a for a in bench.panel.tool_bar.menu.actions() if a.text()}
    bench.panel.editor.select([1])
    actions["Fill holes"].trigger()
    assert (area(bench, 1), area(bench, 3)) == (320, 191)
    bench.panel.editor.select([])
    actions["Fill holes"].trigger()
    assert area(bench, 3) == 200
    actions["Remove specks"].trigger()
    assert area(bench, 9) == 0
    actions["Smooth outlines strongly"].trigger()
    assert bench.layer.data[10, 10] == 0, "the corner of a square is rounded"
    actions["Renumber without gaps"].trigger()
    assert np.unique(bench.layer.data).tolist() == [0, 1, 2, 3, 4]
    actions["Renumber without gaps"].trigger()
    assert "already" in bench.messages[-1]
    for _ in range(5):
        bench.layer.undo()
    np.testing.assert_array_equal(bench.layer.data, labels)


# Regions


def test_scatter_fills_the_region_and_only_it(viewer, bench, click) -> None:
    before = bench.layer.data.copy()
    shapes = viewer.add_shapes([[[30, 50], [30, 120], [90, 120], [90, 50]]], name="here")
    bench.panel.region.choose(shapes)
    bench.panel.scatter.density.setValue(30)
    bench.panel.scatter.diameter.setValue(3)
    click(bench.panel.scatter.scatter)
    new = bench.layer.data > 5
    rows, cols = np.nonzero(new)
    assert np.unique(bench.layer.data[new]).size > 3
    assert (rows.min() >= 30, rows.max() <= 90, cols.min() >= 50, cols.max() <= 120) == (True,) * 4
    assert new.sum() / (60 * 70) == pytest.approx(0.3, abs=0.06)
    assert_one_step(bench, before)


def test_sample_inside_asks_with_the_mask(bench, click, qtbot) -> None:
    bench.panel.editor.select([2])
    bench.panel.region.choose("selected")
    with qtbot.waitSignal(bench.panel.sample_inside_requested) as asked:
        click(bench.panel.scatter.sample)
    (mask,) = asked.args
    assert mask.shape == (96, 128)
    assert mask[bench.layer.data == 2].all()
    assert not mask[bench.layer.data == 3].any()


def test_an_empty_region_is_explained(bench, click) -> None:
    bench.panel.region.choose("selected")
    click(bench.panel.scatter.scatter)
    assert "Select nuclei first" in bench.messages[-1]
    assert bench.layer.data.max() == 5


def test_extend_asks_and_adds_no_layer(viewer, bench, click, qtbot) -> None:
    form = bench.panel.extend
    form.sides.set_sides_px(1, 2, 3, 4)
    form.continued.setChecked(False)
    with qtbot.waitSignal(bench.panel.extend_requested) as asked:
        click(form.extend)
    assert asked.args[0] == (1, 2, 3, 4, False)
    assert len(viewer.layers) == 1
    form.sides.set_sides_px(0, 0, 0, 0)
    assert not form.extend.isEnabled()


# In and out of a tool


def callbacks(layer: Any) -> tuple[list[Any], list[Any], dict[Any, Any]]:
    return list(layer.mouse_drag_callbacks), list(layer.mouse_move_callbacks), dict(layer.keymap)


WAYS_OUT = {
    "second click": lambda b, v: b.take("ellipse"),
    "escape": lambda b, v: b.press(Qt.Key.Key_Escape),
    "another layer": lambda b, v: v.layers.selection.__setattr__("active", v.layers[0]),
    "close": lambda b, v: b.panel.close(),
    "no layer": lambda b, v: b.panel.set_layer(None),
    "other layer": lambda b, v: b.panel.set_layer(v.layers[0]),
}


@pytest.mark.parametrize("way", WAYS_OUT)
@pytest.mark.parametrize("mode", ["pan_zoom", "paint", "pick"])
def test_leaving_a_tool_gives_back_everything(viewer, open_bench, qtbot, way, mode) -> None:
    viewer.add_labels(np.zeros((96, 128), dtype=np.int32), name="other")
    bench = open_bench()
    bench.layer.mode = mode
    before = callbacks(bench.layer)
    cursor = bench.layer.cursor
    bench.take("ellipse")
    assert callbacks(bench.layer) != before
    assert bench.panel.tool_bar.tools["ellipse"].isChecked()
    WAYS_OUT[way](bench, viewer)
    qtbot.waitUntil(lambda: bench.panel.toolbox.active == "")
    assert bench.layer.mode == mode
    assert callbacks(bench.layer) == before
    assert bench.layer.mouse_pan == (mode == "pan_zoom")
    assert bench.layer.cursor == cursor
    if way != "close":
        assert not bench.panel.tool_bar.tools["ellipse"].isChecked()


def test_a_render_that_appears_leaves_the_tool_in_the_hand(viewer, bench, qtbot) -> None:
    bench.take("ellipse")
    canvas, image = Canvas(viewer), np.zeros((96, 128, 3), dtype=np.uint8)
    sample = Pair(Layout(layout()), image, provenance={"request": {"seed": 1}})
    for show in (
        lambda: canvas.show_preview(image, Frame("mine")),
        lambda: canvas.add_pair(sample, Frame("mine")),
        lambda: canvas.show_outlines(bench.layer),
    ):
        count = len(np.unique(bench.layer.data))
        show()
        qtbot.wait(20)
        assert bench.panel.toolbox.active == "ellipse"
        x = 10 * count
        bench.mouse.drag((40, x), (48, x + 6))
        assert len(np.unique(bench.layer.data)) == count + 1
    canvas.close()


@pytest.mark.parametrize("mode", ["paint", "erase", "fill", "pick", "transform"])
def test_one_of_naparis_modes_puts_the_tool_away(bench, mode) -> None:
    bench.take("select")
    bench.layer.mode = mode
    assert bench.panel.toolbox.active == ""
    assert bench.layer.mode == mode
    assert bench.panel.toolbox._on_drag not in bench.layer.mouse_drag_callbacks


def test_naparis_pan_mode_puts_the_tool_away(viewer, bench, click) -> None:
    bench.layer.mode = "paint"
    bench.take("select")
    click(viewer.window._qt_viewer.controls.widgets[bench.layer].panzoom_button)
    assert bench.panel.toolbox.active == ""
    assert bench.layer.mode == "pan_zoom"
    assert bench.layer.mouse_pan
    bench.take("select")
    bench.press(Qt.Key.Key_Z)
    assert bench.panel.toolbox.active == ""


def test_the_brush_does_not_go_on_with_a_number_that_a_tool_took(bench) -> None:
    bench.layer.mode, bench.layer.brush_size = "paint", 3
    bench.layer.selected_label = int(bench.layer.data.max()) + 1
    bench.take("ellipse")
    for x in (60, 85, 110):
        bench.mouse.drag((40, x), (48, x + 8))
    drawn = int(bench.layer.data.max())
    areas = [area(bench, nucleus) for nucleus in range(1, drawn + 1)]
    bench.press(Qt.Key.Key_Escape)
    bench.mouse.drag((85, 60), (85, 80))
    assert [area(bench, nucleus) for nucleus in range(1, drawn + 1)] == areas
    assert area(bench, drawn + 1) >= 60


def test_the_brush_paints_after_a_tool_and_not_with_it(bench) -> None:
    bench.layer.mode, bench.layer.brush_size, bench.layer.selected_label = "paint", 3, 9
    bench.take("ellipse")
    bench.mouse.drag((40, 60), (60, 80))
    assert area(bench, 9) == 0
    bench.press(Qt.Key.Key_Escape)
    bench.mouse.drag((85, 60), (85, 80))
    assert area(bench, 9) >= 60
    assert area(bench, 7) == 0


def test_another_tool_takes_the_place_of_the_first(bench) -> None:
    bench.take("ellipse")
    bench.take("split")
    assert [n for n, b in bench.panel.tool_bar.tools.items() if b.isChecked()] == ["split"]
    ours = [c for c in bench.layer.mouse_drag_callbacks if c == bench.panel.toolbox._on_drag]
    assert len(ours) == 1


def test_escape_in_the_middle_of_a_drag_draws_nothing(bench) -> None:
    before = bench.layer.data.copy()
    _, guide = bench.panel._guides
    bench.take("ellipse")
    bench.mouse.press((40, 60))
    bench.mouse.drag_to((60, 80))
    bench.press(Qt.Key.Key_Escape)
    bench.mouse.release((60, 80))
    np.testing.assert_array_equal(bench.layer.data, before)
    assert not guide.is_shown


def test_space_moves_the_camera_meanwhile(viewer, bench) -> None:
    bench.take("ellipse")
    native = viewer.window._qt_viewer.canvas.native
    QTest.keyPress(native, Qt.Key.Key_Space)
    assert bench.layer.mouse_pan
    bench.mouse.drag((40, 60), (60, 80))
    QTest.keyRelease(native, Qt.Key.Key_Space)
    assert not bench.layer.mouse_pan
    assert bench.layer.data.max() == 5


def test_removing_the_layer_ends_the_tool(viewer, bench, qtbot) -> None:
    bench.take("ellipse")
    viewer.layers.remove(bench.layer)
    qtbot.waitUntil(lambda: bench.panel.toolbox.active == "")
    assert bench.layer.mouse_move_callbacks.count(bench.panel.toolbox._on_move) == 0


def test_guides_are_no_layers_and_leave_the_selection_alone(viewer, bench) -> None:
    bench.take("select")
    bench.mouse.click((15, 20))
    assert [layer.name for layer in viewer.layers] == ["mine"]
    assert viewer.layers.selection == {bench.layer}
    scene = viewer.window._qt_viewer.canvas.view.scene
    lines = [line for guide in bench.panel._guides for line in guide._lines]
    assert lines
    bench.panel.close()
    assert not set(lines) & set(scene.children)


def test_the_window_may_close_with_a_tool_in_the_hand(make_napari_viewer, qtbot) -> None:
    viewer = make_napari_viewer()
    layer = viewer.add_labels(layout())
    session = Session(JobQueue(InlineExecutor()))
    canvas = Canvas(viewer)
    panel = NucleiPanel(session, canvas)
    viewer.window.add_dock_widget(panel)
    panel.set_layer(layer)
    panel.tool_bar.tools["select"].click()
    Mouse(viewer, layer).click((15, 20))
    assert panel._guides[0].is_shown
    toolbox, closed = panel.toolbox, []
    panel.destroyed.connect(lambda: closed.append(panel.close()))
    viewer.close()
    qtbot.waitUntil(lambda: closed == [True], timeout=3000)
    assert toolbox.active == ""
    canvas.close()


def test_closing_twice_and_without_a_layer(open_bench) -> None:
    bench = open_bench()
    bench.panel.set_layer(None)
    assert not bench.panel.isEnabled()
    bench.take("ellipse")
    assert bench.panel.toolbox.active == ""
    bench.panel.close()
    bench.panel.close()


def test_show_nuclei_selects_them_and_brings_the_camera(viewer, open_bench) -> None:
    bench = open_bench(scale=(0.25, 0.25))
    bench.panel.show_nuclei(2)
    assert bench.panel.editor.ids == [2]
    camera = getattr(viewer, "scene", viewer).camera
    assert camera.center[-2:] == pytest.approx((14.5 / 4, 64.5 / 4))


def test_a_locked_layer_is_not_changed(bench) -> None:
    before = bench.layer.data.copy()
    bench.layer.editable = False
    bench.panel.editor.select([1])
    bench.panel.operations.delete()
    np.testing.assert_array_equal(bench.layer.data, before)
    assert "locked" in bench.messages[-1]
