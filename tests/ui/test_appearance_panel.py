"""The appearance panel: what is chosen is what the settings say, and the request after them."""

from typing import Any

import numpy as np
import pytest

from napari_nudiff.synthesis.appearance import appearance_of_image
from napari_nudiff.ui.panels.appearance_panel import RECALLED, AppearancePanel


@pytest.fixture
def image(viewer: Any) -> Any:
    pixels = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    return viewer.add_image(pixels, name="H&E", scale=(0.5, 0.5), units=("um", "um"))


@pytest.fixture
def panel(image: Any, dock: Any, tiny_checkpoint: Any) -> AppearancePanel:
    dock.session.rendering.checkpoint = tiny_checkpoint("scaled-image")
    return dock.appearance_panel


def render(dock: Any, idle: Any) -> dict[str, Any]:
    dock.session.rendering.steps = 2
    dock.studio.render()
    idle(dock)
    assert not dock.message.text()
    return dock.results.all()[-1].provenance["request"]


@pytest.fixture
def layout(viewer: Any, nuclei: Any, image: Any) -> Any:
    return viewer.add_labels(nuclei, name="mine", scale=(0.5, 0.5), units=("um", "um"))


def test_the_appearance_is_that_of_the_chosen_layer(
    panel, dock, image, layout, idle, tiny_checkpoint
) -> None:
    drawn = render(dock, idle)
    panel.reference.choose(image)
    request = render(dock, idle)
    expected = appearance_of_image(tiny_checkpoint("scaled-image"), image.data, 0.5)
    assert request["appearance"] == list(expected) != drawn["appearance"]
    panel.reference.choose(None)
    assert render(dock, idle)["appearance"] == drawn["appearance"]


def test_or_that_of_a_part_of_it(panel, dock, image, layout, viewer, idle, tiny_checkpoint) -> None:
    shapes = viewer.add_shapes(
        [[[20, 30], [20, 69], [59, 69], [59, 30]]], name="tumour", scale=(0.5, 0.5), units="um"
    )
    panel.reference.choose(image)
    assert not panel.region.isHidden()
    panel.region.choose(shapes)
    part = dock.session.appearance.reference.image
    assert np.array_equal(part, image.data[20:60, 30:70])
    expected = appearance_of_image(tiny_checkpoint("scaled-image"), part, 0.5)
    assert render(dock, idle)["appearance"] == list(expected)


def test_a_part_that_is_not_there_is_said(panel, dock, image, viewer) -> None:
    panel.reference.choose(image)
    before = dock.session.appearance.reference
    panel.region.choose(viewer.add_shapes(name="nothing yet"))
    assert "“nothing yet” covers no pixel" in dock.message.text()
    assert dock.session.appearance.reference is before


def test_a_deleted_layer_is_no_reference(panel, dock, image, viewer) -> None:
    panel.reference.choose(image)
    viewer.layers.remove(image)
    assert dock.session.appearance.reference is None
    assert panel.reference.layer() is None
    assert panel.region.isHidden()


def test_a_recalled_result_sets_it_until_something_else_is_chosen(
    panel, dock, image, layout, idle
) -> None:
    first = render(dock, idle)
    result = dock.results.all()[-1].id
    panel.reference.choose(image)
    dock.results_panel.recall_requested.emit(result, "all")
    assert panel.reference.layer() is RECALLED
    assert panel.region.isHidden()
    dock.session.rendering.seed = 77
    assert render(dock, idle)["appearance"] == first["appearance"]
    panel.reference.choose(image)
    assert RECALLED not in panel.reference.layers()
    assert render(dock, idle)["appearance"] != first["appearance"]


def test_a_recalled_appearance_waits_for_its_model(
    panel, dock, layout, idle, tiny_checkpoint
) -> None:
    render(dock, idle)
    dock.results_panel.recall_requested.emit(dock.results.all()[-1].id, "all")
    dock.session.rendering.checkpoint = tiny_checkpoint("image")
    assert panel.reference.layer() is None
    assert not panel.reference.isEnabled()
    dock.session.rendering.checkpoint = tiny_checkpoint("scaled-image")
    assert panel.reference.layer() is RECALLED


def test_a_model_that_takes_none_says_so(panel, dock, tiny_checkpoint) -> None:
    assert panel.reference.isEnabled()
    assert "each seed" in panel.note.text()
    dock.session.rendering.checkpoint = tiny_checkpoint("image")
    assert not panel.reference.isEnabled()
    assert "image.safetensors takes none" in panel.note.text()


def test_of_a_large_image_the_middle_is_seen(dock, viewer) -> None:
    large = viewer.add_image(np.zeros((64, 3000, 3), np.uint8), name="large")
    large.data[:, 476] = large.data[:, 2523] = 9
    reference = dock.canvas.reference_of(large)
    assert reference.image.shape == (64, 2048, 3)
    assert (reference.image[0, [0, -1]] == 9).all()
    assert reference.um_per_px == 0.25


def test_live_images_follow_it(panel, dock, image, layout, qtbot) -> None:
    dock.run_panel.live.click()
    qtbot.waitUntil(lambda: dock.studio.has_live_image, timeout=60_000)
    before = dock.studio._live[1]
    panel.reference.choose(image)
    qtbot.waitUntil(lambda: dock.studio._live[1] is not before, timeout=60_000)
    dock.live.toggle(False)
    request = dock.results.all()[-1].provenance["request"]
    assert request["appearance"] != before.provenance["request"]["appearance"]
