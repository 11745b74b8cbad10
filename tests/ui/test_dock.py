import json

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_nudiff.dataset.sample import unpack_layout
from napari_nudiff.synthesis.replay import request_of
from napari_nudiff.ui.canvas import PREVIEW_NAME
from napari_nudiff.work import run

SPATIAL = {
    "scale": (0.25, 0.5),
    "translate": (3, -4),
    "rotate": 30,
    "shear": [0.2],
    "affine": [[1, 0.1, 5], [0, 1.2, 7], [0, 0, 1]],
    "units": ("um", "um"),
    "axis_labels": ("row", "column"),
}


def names(viewer) -> list[str]:
    return [layer.name for layer in viewer.layers]


def test_render_adds_the_pair_where_the_layout_lies(viewer, dock, nuclei, click, idle) -> None:
    layout = viewer.add_labels(nuclei, name="mine", **SPATIAL)
    dock.session.rendering.seed = 7
    click(dock.run_panel.render)
    idle(dock)
    image, labels = viewer.layers[1:]
    assert names(viewer) == ["mine", "render mine s7", "labels mine s7"]
    assert isinstance(image, Image)
    assert image.rgb
    assert image.data.shape == (72, 80, 3)
    assert isinstance(labels, Labels)
    assert np.array_equal(labels.data, nuclei)
    for made in (image, labels):
        for name in ("scale", "translate", "rotate", "shear"):
            assert np.allclose(getattr(made, name), getattr(layout, name)), name
        assert np.allclose(made.affine.affine_matrix, layout.affine.affine_matrix)
        assert np.allclose(made.extent.world, layout.extent.world)
        assert made.units == layout.units
        assert made.axis_labels == ("row", "column")


def test_a_render_and_its_export_keep_the_classes_of_the_nuclei(
    viewer, dock, nuclei, click, idle
) -> None:
    features = {"index": [1, 2], "class": ["tumour", "stroma"]}
    viewer.add_labels(nuclei, name="mine", features=features)
    click(dock.run_panel.render)
    idle(dock)
    labels = viewer.layers[-1]
    assert dict(zip(labels.features["index"], labels.features["class"], strict=True)) == {
        1: "tumour",
        2: "stroma",
    }
    (result,) = dock.studio.results.all()
    assert dock.studio.results.pair(result.id).classes == {1: "tumour", 2: "stroma"}


def test_the_metadata_is_json_and_makes_the_image_again(viewer, dock, nuclei, click, idle) -> None:
    viewer.add_labels(nuclei)
    click(dock.run_panel.render)
    idle(dock)
    image, labels = viewer.layers[1:]
    provenance = json.loads(json.dumps(image.metadata["nudiff"]))
    assert provenance == labels.metadata["nudiff"]
    assert np.array_equal(unpack_layout(provenance["layout"]), nuclei)
    assert np.array_equal(run(request_of(provenance)).image, image.data)


def test_the_layout_and_the_selection_stay_as_they_were(viewer, dock, nuclei, click, idle) -> None:
    layout = viewer.add_labels(nuclei.copy())
    layout.mode = "paint"
    layout.selected_label = 2
    click(dock.run_panel.render)
    layout.data[:5] = 1  # painting goes on
    idle(dock)
    assert set(viewer.layers.selection) == {layout}
    assert viewer.layers.selection.active is layout
    assert layout.mode == "paint"
    assert layout.selected_label == 2
    assert np.array_equal(viewer.layers[-1].data, nuclei), "the render is of the click's moment"


def test_rendering_again_adds_another_pair(viewer, dock, nuclei, click, idle) -> None:
    viewer.add_labels(nuclei, name="mine")
    for seed in (1, 2):
        dock.session.rendering.seed = seed
        click(dock.run_panel.render)
        idle(dock)
    assert names(viewer)[1:] == [
        "render mine s1", "labels mine s1", "render mine s2", "labels mine s2",
    ]  # fmt: skip
    assert not np.array_equal(viewer.layers[1].data, viewer.layers[3].data)


def test_a_paired_labels_layer_goes_by_the_name_of_its_layout(
    viewer, dock, nuclei, click, idle
) -> None:
    viewer.add_labels(nuclei, name="labels mine s1")
    click(dock.run_panel.render)
    idle(dock)
    assert names(viewer)[1:] == ["render mine s0", "labels mine s0"]


def test_the_preview_appears_and_goes(viewer, dock, nuclei, click, idle) -> None:
    viewer.add_labels(nuclei, **SPATIAL)
    seen = []

    def look(progress, source) -> None:
        seen.extend(layer for layer in viewer.layers if layer.name == PREVIEW_NAME)

    dock.session.progressed.connect(look)
    click(dock.run_panel.render)
    idle(dock)
    assert seen
    assert seen[0].rgb
    assert seen[0].opacity == 1
    assert np.allclose(seen[0].extent.world, viewer.layers[0].extent.world)
    assert PREVIEW_NAME not in names(viewer)


def test_a_preview_that_the_user_hides_ends_in_a_visible_image(
    viewer, dock, nuclei, click, idle
) -> None:
    viewer.add_labels(nuclei, name="mine")

    def hide(progress, source) -> None:
        for layer in viewer.layers[1:]:
            layer.visible = False

    dock.session.progressed.connect(hide)
    click(dock.run_panel.render)
    idle(dock)
    assert names(viewer) == ["mine", "render mine s0", "labels mine s0"]
    assert all(layer.visible for layer in viewer.layers)


def test_a_preview_that_the_user_deletes_does_not_come_back(
    viewer, dock, nuclei, click, idle
) -> None:
    viewer.add_labels(nuclei, name="mine")
    dock.session.rendering.steps = 20
    counts = []

    def delete(progress, source) -> None:
        counts.append(names(viewer).count(PREVIEW_NAME))
        if counts[-1]:
            viewer.layers.remove(PREVIEW_NAME)

    dock.session.progressed.connect(delete)
    click(dock.run_panel.render)
    idle(dock)
    assert sum(counts) == 1
    assert names(viewer) == ["mine", "render mine s0", "labels mine s0"]


def test_cancel_ends_within_a_step_and_leaves_the_layers(
    viewer, dock, nuclei, click, idle, qtbot
) -> None:
    layout = viewer.add_labels(nuclei)
    dock.session.rendering.steps = 1000
    steps = []
    dock.session.progressed.connect(lambda progress, source: steps.append(progress.done))
    click(dock.run_panel.render)
    qtbot.waitUntil(lambda: bool(steps) and steps[-1] >= 1, timeout=60_000)
    told = len(steps)
    click(dock.run_panel.cancel)
    assert "Cancelling" in dock.run_panel.status.text()
    idle(dock, timeout=5000)
    assert len(steps) == told, "nothing is told after the click"
    assert list(viewer.layers) == [layout]
    assert "Cancelled" in dock.run_panel.status.text()
    assert dock.run_panel.render.isEnabled()
    assert dock.message.text() == ""


def test_while_busy_the_buttons_say_so(viewer, dock, nuclei, click, idle) -> None:
    viewer.add_labels(nuclei)
    dock.session.rendering.steps = 50
    assert dock.run_panel.cancel.isHidden()
    click(dock.run_panel.render)
    assert not dock.run_panel.cancel.isHidden()
    assert dock.run_panel.waiting.isHidden()
    click(dock.run_panel.render)
    assert dock.run_panel.waiting.text() == "1 waiting"
    assert not dock.run_panel.waiting.isHidden()
    dock.session.cancel_all()
    idle(dock)
    assert dock.run_panel.cancel.isHidden()
    assert dock.run_panel.waiting.isHidden()
    assert len(viewer.layers) == 1


def test_progress_tells_the_stage_and_the_step(viewer, dock, nuclei, click, idle) -> None:
    viewer.add_labels(nuclei)
    told = []
    dock.session.progressed.connect(lambda *_: told.append(dock.run_panel.status.text()))
    click(dock.run_panel.render)
    idle(dock)
    assert told[0] == "Loading the model…"
    assert "Rendering · step 3 of 3" in told[-1]
    assert "left" in told[-1]
    assert dock.run_panel.status.text().startswith("Done in")


def test_new_hands_the_user_a_brush(viewer, dock, click) -> None:
    dock.layout_panel.size.height_px.setValue(128)
    dock.layout_panel.size.width_px.setValue(96)
    click(dock.layout_panel.new)
    (layer,) = viewer.layers
    assert layer.data.shape == (128, 96)
    assert layer.mode == "paint"
    assert layer.metadata == {}
    assert dock.layout_panel.layer.layer() is layer
    assert "Paint nuclei" in dock.layout_panel.summary.text()


def test_new_beside_layers_in_pixels_is_in_pixels(viewer, dock, nuclei, click) -> None:
    viewer.add_labels(nuclei)
    click(dock.layout_panel.new)
    assert np.allclose(viewer.layers[-1].scale, 1)
    assert viewer.layers.units is not None, "all layers share their units"


def test_an_empty_layout_renders(viewer, dock, click, idle) -> None:
    click(dock.layout_panel.new)
    click(dock.run_panel.render)
    idle(dock)
    assert names(viewer) == ["layout", "render layout s0", "labels layout s0"]


def test_sample_adds_a_layout_and_chooses_it(viewer, dock, nuclei, click, idle) -> None:
    viewer.add_labels(nuclei, name="mine", units=("um", "um"))
    settings = dock.session.layout
    settings.height_px = settings.width_px = 96
    dock.layout_panel.density.setValue(40)
    click(dock.layout_panel.sample)
    idle(dock)
    layer = viewer.layers[-1]
    assert names(viewer) == ["mine", f"layout s{settings.seed}"]
    assert layer.data.shape == (96, 96)
    assert dock.layout_panel.layer.layer() is layer
    assert layer.metadata["nudiff"]["kind"] == "layout"
    assert layer.metadata["nudiff"]["request"]["density"] == pytest.approx(0.4)
    assert [str(unit) for unit in layer.units] == ["micrometer"] * 2
    assert np.allclose(layer.scale, 0.25)


def test_the_combo_follows_the_layers(viewer, dock, nuclei) -> None:
    combo = dock.layout_panel.layer
    assert combo.layers() == []
    assert "Press New" in dock.layout_panel.summary.text()
    first = viewer.add_labels(nuclei, name="first")
    assert combo.layer() is first
    assert "2 nuclei · 72 × 80 px" in dock.layout_panel.summary.text()
    second = viewer.add_labels(nuclei, name="second")
    assert combo.layer() is first, "the choice is the user's"
    second.name = "renamed"
    assert sorted(combo.itemText(i) for i in range(combo.count())) == ["first", "renamed"]
    viewer.layers.remove(first)
    assert combo.layer() is second
    viewer.layers.clear()
    assert combo.layer() is None


def test_what_is_no_layout_is_not_offered(viewer, dock) -> None:
    viewer.add_labels(np.zeros((4, 80, 80), dtype=int), name="stack")
    viewer.add_image(np.zeros((80, 80)))
    assert dock.layout_panel.layer.layers() == []
    assert "“stack” is 3D" in dock.layout_panel.summary.text()


def test_the_count_follows_the_brush(viewer, dock, nuclei, qtbot) -> None:
    layer = viewer.add_labels(nuclei)
    layer.selected_label = 3
    layer.paint((65, 10), 3)
    qtbot.waitUntil(lambda: "3 nuclei" in dock.layout_panel.summary.text(), timeout=3000)


def test_the_stain_is_that_of_the_chosen_layer(viewer, dock, nuclei, click, idle) -> None:
    viewer.add_labels(nuclei)
    viewer.add_image(np.zeros((80, 80)), name="grey")
    colours = np.random.default_rng(0).integers(90, 200, (64, 64, 3), dtype=np.uint8)
    reference = viewer.add_image(colours, name="H&E")
    assert dock.stain_panel.reference.layers() == [reference]
    assert dock.session.stain.style(0) is None
    dock.stain_panel.reference.choose(reference)
    click(dock.run_panel.render)
    idle(dock)
    style = viewer.layers[-1].metadata["nudiff"]["request"]["style"]
    mean = (colours / 127.5 - 1).mean(axis=(0, 1))
    assert np.allclose(style[:3], mean, atol=1e-5)


def test_a_float_reference_has_the_stain_of_the_same_image_in_bytes(dock, viewer) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole, parts = viewer.add_image(colours), viewer.add_image(colours / 255)
    assert dock.canvas.style_of(whole) == pytest.approx(dock.canvas.style_of(parts), abs=1e-6)


def test_the_dice_draws_a_seed(dock, click) -> None:
    seeds = set()
    for _ in range(4):
        click(dock.render_panel.seed.dice)
        seeds.add(dock.session.rendering.seed)
        assert dock.render_panel.seed.value() == dock.session.rendering.seed
    assert len(seeds) > 1


def test_a_new_seed_for_each_render(viewer, dock, nuclei, click, idle) -> None:
    viewer.add_labels(nuclei)
    dock.render_panel.new_seed.setChecked(True)
    for _ in range(2):
        click(dock.run_panel.render)
        idle(dock)
    first, second = (viewer.layers[i].metadata["nudiff"]["request"]["seed"] for i in (1, 3))
    assert first != second
    assert dock.render_panel.seed.value() == second


def test_the_licence_of_the_chosen_model_is_shown(dock) -> None:
    dock.session.rendering.checkpoint = ""
    assert "CC BY 4.0" in dock.run_panel.licence.text()


def test_the_dock_fits_a_narrow_column_with_a_scroll_bar(
    make_napari_viewer, open_dock, qtbot
) -> None:
    viewer = make_napari_viewer(show=True)
    dock = open_dock(viewer)
    viewer.window._qt_window.resize(900, 600)
    dock.layout_panel.options.expand()
    dock.render_panel.advanced.expand()
    dock.message.show_error("Something went wrong. " * 8)
    qtbot.wait(100)
    assert dock.minimumWidth() == 320
    panels = dock.layout_panel, dock.render_panel
    assert max(panel.minimumSizeHint().width() for panel in panels) <= 285
