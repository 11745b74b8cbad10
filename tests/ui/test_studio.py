"""The loop: render, edit, render what changed, compare, keep."""

import json
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Labels
from napari.utils import progress
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_nudiff.dataset.pyramid import open_pyramid
from napari_nudiff.nuclei import editing
from napari_nudiff.synthesis.replay import request_of
from napari_nudiff.ui.canvas import OUTLINES_NAME, PREVIEW_NAME
from napari_nudiff.work import run


def names(viewer) -> list[str]:
    return [layer.name for layer in viewer.layers]


def remove(layer: Labels, nucleus: int) -> None:
    edit = editing.delete(np.asarray(layer.data), nucleus)
    layer.data_setitem(edit.indices, edit.after)


@pytest.fixture
def layout(viewer, nuclei) -> Labels:
    return viewer.add_labels(nuclei.copy(), name="mine", scale=(0.5, 0.5))


@pytest.fixture
def render(dock, click, idle):
    def rendered(count: int = 1) -> list[str]:
        dock.session.rendering.count = count
        before = set(dock.results_panel.list.keys())
        click(dock.run_panel.render)
        idle(dock)
        return [result.id for result in dock.results.all() if result.id not in before]

    return rendered


def picture(shape, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


# Results


def test_variations_are_listed_and_shown_and_leave_the_layers_alone(
    viewer, dock, layout, render
) -> None:
    dock.session.rendering.seed = 5
    made = render(3)
    assert [dock.results.find(key).seed for key in made] == [5, 6, 7]
    assert names(viewer) == ["mine", PREVIEW_NAME]
    assert dock.results_panel.list.keys() == made[::-1]
    assert np.array_equal(viewer.layers[1].data, dock.results.sample(made[-1]).image)
    assert dock.results_panel.list.selected_keys() == [made[-1]]
    assert len({dock.results.find(key).group for key in made}) == 1


def test_a_click_shows_a_result_and_a_double_click_applies_it(
    viewer, dock, layout, render, qtbot
) -> None:
    first, _, last = render(3)
    listed = dock.results_panel.list
    listed.scrollToBottom()
    at = listed.visualItemRect(listed.item(3)).center()
    qtbot.mouseClick(listed.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert np.array_equal(viewer.layers[-1].data, dock.results.sample(first).image)
    qtbot.mouseDClick(listed.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert names(viewer) == ["mine", "render mine s0", "labels mine s0"]
    assert dock.results.find(first).applied
    assert not dock.results.find(last).applied
    assert np.allclose(viewer.layers[1].scale, 0.5)


def test_keys_step_through_the_results_and_apply(viewer, dock, layout, render, qtbot) -> None:
    made = render(2)
    canvas = viewer.window._qt_viewer.canvas.native
    qtbot.keyClick(canvas, Qt.Key.Key_N)
    assert dock.results_panel.list.selected_keys() == [made[0]]
    qtbot.keyClick(canvas, Qt.Key.Key_N, Qt.KeyboardModifier.ShiftModifier)
    assert dock.results_panel.list.selected_keys() == [made[1]]
    both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    qtbot.keyClick(canvas, Qt.Key.Key_A, both)
    assert names(viewer)[1:] == ["render mine s1", "labels mine s1"]
    seed = dock.session.rendering.seed
    qtbot.keyClick(canvas, Qt.Key.Key_G)
    assert dock.session.rendering.seed != seed


def test_space_hides_what_is_shown_and_delete_discards_it(
    viewer, dock, layout, render, qtbot
) -> None:
    made = render(2)
    listed = dock.results_panel.list
    qtbot.keyClick(listed, Qt.Key.Key_Space)
    assert names(viewer) == ["mine"]
    qtbot.keyClick(listed, Qt.Key.Key_Space)
    assert names(viewer) == ["mine", PREVIEW_NAME]
    qtbot.keyClick(listed, Qt.Key.Key_Delete)
    assert [result.id for result in dock.results.all()] == made[:1]
    assert names(viewer) == ["mine"]


def test_a_star_puts_the_result_on_disk_at_once(dock, layout, render, qtbot) -> None:
    first, second = render(2)
    listed = dock.results_panel.list
    qtbot.keyClick(listed, Qt.Key.Key_S)
    dock.results.flush()
    folder = dock.results._folder.path / "results"
    assert [path.stem for path in folder.iterdir()] == [second]
    assert json.loads((folder.parent / "session.json").read_text())["starred"] == [second]
    listed.select(first)
    qtbot.keyClick(listed, Qt.Key.Key_S)
    dock.results.flush()
    assert {path.stem for path in folder.iterdir()} == {first, second}


def test_recall_brings_the_settings_back(dock, layout, render) -> None:
    dock.session.rendering.guidance, dock.session.rendering.seed = 2.0, 9
    (made,) = render()
    dock.session.rendering.guidance, dock.session.rendering.seed = 1.0, 1
    dock.session.rendering.steps = 5
    dock.results_panel.recall_requested.emit(made, "seed")
    assert (dock.session.rendering.seed, dock.session.rendering.guidance) == (9, 1.0)
    dock.results_panel.recall_requested.emit(made, "all")
    assert (dock.session.rendering.steps, dock.session.rendering.guidance) == (3, 2.0)
    dock.results_panel.copy_requested.emit(made)
    assert json.loads(QApplication.clipboard().text())["seed"] == 9


def test_two_results_are_compared_with_a_wipe(viewer, dock, layout, render, click) -> None:
    a, b = render(2)
    panel = dock.results_panel
    panel.compare(a, b)
    one, other = (dock.results.sample(key).image for key in (a, b))
    shown = viewer.layers[-1].data
    assert np.array_equal(shown[:, :40], one[:, :40])
    assert np.array_equal(shown[:, 40:], other[:, 40:])
    for whole in (one, other):
        click(panel.compare_bar.flip)
        assert np.array_equal(viewer.layers[-1].data, whole)
    click(panel.compare_bar.done)
    assert np.array_equal(viewer.layers[-1].data, one)
    assert panel.compare_bar.isHidden()


def test_without_applying_at_once_a_single_render_is_only_shown(viewer, dock, layout, render):
    dock.studio.apply_at_once = False
    render()
    assert names(viewer) == ["mine", PREVIEW_NAME]


# Edits


def test_what_changed_is_rendered_again_and_every_other_pixel_stays(
    viewer, dock, layout, render
) -> None:
    (first,) = render()
    base = dock.results.sample(first)
    remove(layout, 1)
    dock.session.editing.scope = "changes"
    (second,) = render()
    sample = dock.results.sample(second)
    differs = (sample.image != base.image).any(axis=2)
    assert differs[base.labels == 1].any()
    rows, cols = np.mgrid[: differs.shape[0], : differs.shape[1]]
    near = np.hypot(rows - 17, cols - 17) < 8 * 1.5 + 13
    assert not differs[~near].any()
    again = run(request_of(json.loads(json.dumps(sample.provenance))))
    assert np.array_equal(again.image, sample.image)


def test_edits_follow_each_other(dock, layout, render) -> None:
    render()
    dock.session.editing.scope = "changes"
    remove(layout, 1)
    (second,) = render()
    layout.undo()
    (third,) = render()
    before, after = (dock.results.sample(key) for key in (second, third))
    assert np.array_equal(after.labels, layout.data)
    assert after.provenance["parent"]["kind"] == "edit"
    assert not np.array_equal(before.image, after.image)


def test_nothing_changed_and_nothing_rendered_are_hints(dock, layout, render) -> None:
    dock.session.editing.scope = "changes"
    assert render() == []
    assert "Render the whole layout first" in dock.message.text()
    dock.session.editing.scope = "whole"
    render()
    dock.session.editing.scope = "changes"
    assert render() == []
    assert "Nothing changed" in dock.message.text()


def test_nuclei_are_put_into_a_real_image(viewer, dock, nuclei, layout, render) -> None:
    real = viewer.add_image(picture(nuclei.shape), name="H&E", scale=(0.5, 0.5))
    edit = editing.add_ellipse(np.asarray(layout.data), (60, 20), (6, 5), on_overlap="under")
    layout.data_setitem(edit.indices, edit.after)
    dock.session.editing.scope, dock.session.editing.strength = "changes", 0.6
    dock.render_panel.image.choose(real)
    (made,) = render()
    sample = dock.results.sample(made)
    kept = np.ones(nuclei.shape, bool)
    kept[60 - 20 : 60 + 20, : 20 + 20] = False
    assert np.array_equal(sample.image[kept], real.data[kept])
    assert not np.array_equal(sample.image, real.data)
    assert sample.provenance["digital_source_type"] == "compositeWithTrainedAlgorithmicMedia"
    assert sample.provenance["request"]["strength"] == 0.6


def test_a_region_of_an_image_is_rendered_again(viewer, dock, layout, render) -> None:
    (first,) = render()
    viewer.add_shapes([[0, 0], [0, 10], [10, 10], [10, 0]], shape_type="polygon", name="part")
    dock.session.editing.scope = "region"
    dock.session.rendering.seed = 99
    dock.region.choose(viewer.layers["part"])
    (second,) = render()
    one, other = (dock.results.sample(key).image for key in (first, second))
    assert not np.array_equal(one[:16, :16], other[:16, :16])
    assert np.array_equal(one[36:], other[36:])


def test_an_empty_region_is_a_hint(viewer, dock, layout, render) -> None:
    render()
    viewer.add_shapes(name="empty")
    dock.session.editing.scope = "region"
    dock.region.choose(viewer.layers["empty"])
    assert render() == []
    assert "covers no pixel" in dock.message.text()


# Layouts


def test_nuclei_sampled_in_a_region_are_one_step_of_napari_s_undo(
    dock, nuclei, layout, idle
) -> None:
    mask = np.zeros(nuclei.shape, bool)
    mask[40:, 40:] = True
    dock.nuclei_panel.sample_inside_requested.emit(mask)
    idle(dock)
    drawn = layout.data.copy()
    layout.undo()
    assert np.array_equal(layout.data, nuclei)
    layout.redo()
    assert np.array_equal(layout.data, drawn)


def test_nuclei_sampled_while_the_user_paints_on_come_as_a_layer(
    viewer, dock, nuclei, layout, idle
) -> None:
    dock.studio.sample_inside(np.ones(nuclei.shape, bool))
    remove(layout, 1)
    idle(dock)
    assert len(viewer.layers) == 2
    assert 1 not in layout.data
    assert "went on editing" in dock.message.text()


@pytest.mark.parametrize("continued", [True, False])
def test_an_extended_canvas_keeps_the_old_part_in_its_place(
    viewer, dock, nuclei, layout, idle, continued
) -> None:
    from napari_nudiff.ui.widgets.extend_form import Extension

    dock.nuclei_panel.extend_requested.emit(Extension(8, 16, 0, 24, continued))
    idle(dock)
    wide = viewer.layers[-1]
    assert wide.data.shape == (nuclei.shape[0] + 8, nuclei.shape[1] + 40)
    old = wide.data[8:, 24:-16]
    assert np.array_equal(np.where(nuclei > 0, old, 0), nuclei)
    assert np.allclose(wide.data_to_world((8, 24)), layout.data_to_world((0, 0)))
    assert dock.layout_panel.layer.layer() is wide


# Live


def test_live_follows_the_brush_and_keeps_the_last_image(
    viewer, dock, layout, click, idle, qtbot
) -> None:
    click(dock.run_panel.live)
    qtbot.waitUntil(lambda: PREVIEW_NAME in names(viewer) and not dock.session.busy, timeout=60_000)
    qtbot.wait(100)
    first = viewer.layers[PREVIEW_NAME].data.copy()
    remove(layout, 1)
    live = dock.studio
    qtbot.waitUntil(
        lambda: live._live is not None and 1 not in live._live[1].labels, timeout=60_000
    )
    second = viewer.layers[PREVIEW_NAME].data
    assert not np.array_equal(first, second)
    assert len(dock.results) == 0
    click(dock.run_panel.live)
    assert len(dock.results) == 1
    assert np.array_equal(dock.results.sample(dock.results.all()[0].id).labels, layout.data)
    assert names(viewer) == ["mine", PREVIEW_NAME]
    remove(layout, 2)
    qtbot.wait(500)
    assert not dock.session.busy


def test_a_layout_too_large_is_not_rendered_live(viewer, dock, layout, click) -> None:
    dock.live.max_px = 1000
    click(dock.run_panel.live)
    assert not dock.run_panel.live.isChecked()
    assert not dock.session.busy
    assert "larger than live mode renders" in dock.message.text()


def test_another_seed_renders_live_afresh(viewer, dock, layout, click, qtbot) -> None:
    click(dock.run_panel.live)
    qtbot.waitUntil(lambda: dock.studio._live is not None and not dock.session.busy, timeout=60_000)
    dock.session.rendering.seed = 77
    qtbot.waitUntil(
        lambda: dock.studio._live[1].provenance["request"]["seed"] == 77, timeout=60_000
    )
    assert dock.studio._live[1].provenance["kind"] == "render"
    click(dock.run_panel.live)


def test_what_is_painted_live_is_seen_above_the_image(viewer, dock, layout, click, qtbot) -> None:
    click(dock.run_panel.live)
    qtbot.waitUntil(lambda: dock.studio.has_live_image, timeout=60_000)
    assert names(viewer) == ["mine", PREVIEW_NAME, OUTLINES_NAME]
    assert dock.layout_panel.layer.layers() == [layout]
    assert viewer.layers.selection.active is layout
    layout.paint((60, 10), 3)
    assert viewer.layers[OUTLINES_NAME].data[60, 10] == 3
    click(dock.run_panel.live)
    assert names(viewer) == ["mine", PREVIEW_NAME]


def test_napari_s_undo_is_an_edit_too(viewer, dock, layout, click, qtbot) -> None:
    remove(layout, 1)
    click(dock.run_panel.live)
    qtbot.waitUntil(lambda: dock.studio.has_live_image and not dock.session.busy, timeout=60_000)
    layout.undo()
    qtbot.waitUntil(lambda: 1 in dock.studio._live[1].labels, timeout=60_000)
    click(dock.run_panel.live)


# The rest


def test_a_large_layout_becomes_layers_on_disk(
    viewer, dock, nuclei, layout, click, idle, monkeypatch
) -> None:
    monkeypatch.setattr("napari_nudiff.synthesis.large.LARGE_PX", 1000)
    monkeypatch.setattr("napari_nudiff.dataset.pyramid._SMALLEST_PX", 40)
    click(dock.run_panel.render)
    idle(dock)
    image, labels = viewer.layers[1:]
    assert (image.name, labels.name) == ("render mine s0", "labels mine s0")
    assert image.multiscale
    assert image.rgb
    assert np.array_equal(np.asarray(labels.data[0]), nuclei)
    assert np.allclose(image.scale, 0.5)
    folder = next(word for word in dock.message.text().split() if ".zarr" in word).rstrip(".")
    assert np.array_equal(np.asarray(open_pyramid(Path(folder)).image[0]), image.data[0])
    monkeypatch.undo()
    viewer.layers.selection = {layout}
    click(dock.run_panel.render)
    idle(dock)
    small = dock.results.sample(dock.results.all()[0].id)
    assert np.array_equal(small.image, np.asarray(image.data[0]))


def test_jobs_are_seen_in_napari_s_activity(viewer, dock, layout, click, idle) -> None:
    seen = []
    dock.session.progressed.connect(
        lambda *_: seen.append([(bar.desc, bar.n, bar.total) for bar in progress._all_instances])
    )
    click(dock.run_panel.render)
    idle(dock)
    assert [bars[0][1:] for bars in seen[1:]] == [(1, 3), (2, 3), (3, 3)]
    assert "Nudiff" in seen[0][0][0]
    assert len(progress._all_instances) == 0


def test_cancel_everything(viewer, dock, layout, click, idle, qtbot) -> None:
    dock.session.rendering.steps, dock.session.rendering.count = 1000, 4
    click(dock.run_panel.render)
    assert dock.run_panel.waiting.text() == "3 waiting"
    both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    qtbot.keyClick(viewer.window._qt_viewer.canvas.native, Qt.Key.Key_X, both)
    idle(dock, timeout=20_000)
    assert names(viewer) == ["mine"]


def test_a_session_is_saved_and_opened_in_another_window(
    make_napari_viewer, viewer, dock, open_dock, nuclei, layout, render, tmp_path: Path
) -> None:
    made = render(2)
    dock.results.star(made[0])
    dock.session.stain.reference = (0.5, 0.3, 0.6, 0.2, 0.2, 0.2)
    dock.keeping.save_session_as(tmp_path / "mine.nudiff")
    dock.keeping.flush()
    other = make_napari_viewer()
    second = open_dock(other)
    second.keeping.open_session_at(tmp_path / "mine.nudiff")
    assert second.message.text() == ""
    assert [(r.id, r.starred) for r in second.results.all()] == [(made[0], True), (made[1], False)]
    assert second.results_panel.list.keys() == made[::-1]
    (layer,) = other.layers
    assert layer.name == "mine"
    assert np.array_equal(layer.data, nuclei)
    assert np.allclose(layer.scale, 0.5)
    assert second.session.rendering.count == 2
    assert second.session.stain.style(0) == (0.5, 0.3, 0.6, 0.2, 0.2, 0.2)
    second.studio.apply(made[1])
    assert np.array_equal(other.layers[1].data, dock.results.sample(made[1]).image)


def test_what_a_crash_left_is_offered_and_restored(
    make_napari_viewer, viewer, dock, open_dock, layout, render, click
) -> None:
    kept, _ = render(2)
    dock.results.star(kept)
    dock.results.flush()
    image = dock.results.sample(kept).image.copy()
    dock.results._folder.close()  # as if the process were gone
    dock.results._folder = type(dock.results._folder).automatic()
    second = open_dock(make_napari_viewer())
    assert "was not saved" in second.message.text()
    click(second.message.action_button)
    assert [result.id for result in second.results.all()] == [kept]
    assert np.array_equal(second.results.sample(kept).image, image)
    third = open_dock(make_napari_viewer())
    assert third.message.text() == ""


# Scale


@pytest.fixture
def scaled(dock, tiny_checkpoint) -> None:
    dock.session.rendering.checkpoint = tiny_checkpoint("scaled-image")
    dock.session.layout.checkpoint = tiny_checkpoint("scaled-structure")
    dock.session.layout.height_px = dock.session.layout.width_px = 64


def test_a_layout_is_rendered_and_edited_at_its_own_scale(
    viewer, dock, nuclei, scaled, render
) -> None:
    place = {"scale": (0.5, 0.5), "units": ("um", "um")}
    layer = viewer.add_labels(nuclei.copy(), name="mine", **place)
    (first,) = render()
    assert dock.results.find(first).provenance["um_per_px"] == 0.5
    remove(layer, 1)
    dock.session.editing.scope = "changes"
    (second,) = render()
    assert dock.results.find(second).provenance["request"]["um_per_px"] == 0.5
    image, labels = viewer.layers[-2:]
    for made in (image, labels):
        assert np.allclose(made.scale, 0.5) and {str(u) for u in made.units} == {"micrometer"}


def test_a_new_layout_lies_at_the_scale_that_it_was_drawn_at(
    viewer, dock, scaled, click, idle
) -> None:
    dock.session.layout.um_per_px = 0.5
    click(dock.layout_panel.sample)
    idle(dock)
    layer = dock.studio.layer
    assert np.allclose(layer.scale, 0.5) and str(layer.units[0]) == "micrometer"
    assert layer.metadata["nudiff"]["request"]["um_per_px"] == 0.5
    click(dock.layout_panel.new)
    assert np.allclose(dock.studio.layer.scale, 0.5)


def test_a_drawn_layout_knows_its_scale_among_layers_in_pixels(
    viewer, dock, nuclei, scaled, click, idle, render
) -> None:
    viewer.add_labels(nuclei, name="mine")
    dock.session.layout.um_per_px = 0.5
    click(dock.layout_panel.sample)
    idle(dock)
    assert str(dock.studio.layer.units[0]) == "pixel"
    (made,) = render()
    assert dock.results.find(made).provenance["um_per_px"] == 0.5


def test_nuclei_are_scattered_in_the_size_that_they_have_at_the_scale(viewer, dock) -> None:
    areas = []
    for side in (0.25, 0.5):
        place = {"scale": (side, side), "units": ("um", "um")}
        layer = viewer.add_labels(np.zeros((256, 256), np.int32), name=f"at {side}", **place)
        dock.layout_panel.layer.choose(layer)
        dock.nuclei_panel.scatter.diameter.setValue(8)
        dock.nuclei_panel.scatter.scatter.click()
        areas.append(np.bincount(layer.data.ravel())[1:].mean())
    assert areas[0] / areas[1] == pytest.approx(4, rel=0.25)
