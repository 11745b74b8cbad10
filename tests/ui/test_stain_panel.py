"""The stain panel: what is chosen, adjusted and shown is what the settings say."""

from typing import Any

import numpy as np
import pytest

from napari_nudiff.nuclei.stain import MEAN, PRESETS, adjust_style
from napari_nudiff.session.stain import StainSettings
from napari_nudiff.ui.panels.stain_panel import TAKEN, StainPanel
from napari_nudiff.ui.regions import RegionCombo

STYLE = (0.5, 0.3, 0.6, 0.2, 0.2, 0.2)
OTHER = (0.1, -0.2, 0.2, 0.3, 0.3, 0.3)


@pytest.fixture
def image(viewer: Any) -> Any:
    return viewer.add_image(np.full((64, 64, 3), 200, np.uint8), name="H&E")


@pytest.fixture
def settings() -> StainSettings:
    return StainSettings()


@pytest.fixture
def panel(viewer: Any, image: Any, settings: StainSettings, qtbot: Any) -> StainPanel:
    """A panel whose questions are answered as the dock does: with the style of the layer."""
    made = StainPanel(settings, RegionCombo(viewer))
    qtbot.addWidget(made)
    made.reference_requested.connect(
        lambda layer: setattr(settings, "reference", None if layer is None else STYLE)
    )
    made.set_layers([image])
    made.show()
    yield made
    made.region.release()


def test_a_clicked_swatch_is_the_stain(panel, settings, click) -> None:
    for name in PRESETS:
        click(panel.presets.buttons[name])
        assert settings.style(0) == PRESETS[name]
    click(panel.presets.buttons[""])
    assert settings.style(0) is None


def test_a_preset_and_an_image_take_turns(panel, settings, image, click) -> None:
    click(panel.presets.buttons["pale"])
    panel.reference.choose(image)
    assert settings.style(0) == STYLE
    assert panel.presets.value() == TAKEN
    click(panel.presets.buttons["strong"])
    assert panel.reference.layer() is None
    assert settings.style(0) == PRESETS["strong"]
    assert not panel.presets.buttons[TAKEN].isVisible()


def test_a_part_is_asked_for_only_of_an_image(panel, image, viewer, qtbot) -> None:
    shapes = viewer.add_shapes(name="tumour")
    assert not panel.region.isVisible()
    with qtbot.assertNotEmitted(panel.reference_requested):
        panel.region.choose(shapes)
    panel.reference.choose(image)
    assert panel.region.isVisible()
    with qtbot.waitSignal(panel.reference_requested) as asked:
        panel.region.choose("whole")
    assert asked.args == [image]


def test_a_recalled_stain_takes_the_place_of_the_image(panel, settings, image, click) -> None:
    panel.reference.choose(image)
    settings.recall(OTHER)
    assert settings.style(0) == OTHER
    assert panel.reference.layer() is None
    assert not panel.region.isVisible()
    assert panel.presets.value() == TAKEN
    click(panel.presets.buttons[""])
    assert settings.style(0) is None


def test_a_recalled_stain_stays_while_shapes_come_and_go(panel, settings, viewer) -> None:
    shapes = viewer.add_shapes(name="tumour")
    panel.region.choose(shapes)
    settings.recall(OTHER)
    viewer.layers.remove(shapes)
    assert settings.style(0) == OTHER


def test_sliders_move_the_stain_and_reset_brings_it_back(panel, settings, click) -> None:
    panel.adjust.expand()
    settings.choose("even")
    assert not panel.reset.isEnabled()
    panel.sliders["lightness"].setValue(-1.04)
    assert settings.lightness == -1.0
    assert settings.style(0)[0] < PRESETS["even"][0]
    click(panel.reset)
    assert settings.style(0) == PRESETS["even"]
    assert panel.sliders["lightness"].value() == 0


def test_the_numbers_say_where_a_stain_lies(panel, settings) -> None:
    assert panel.numbers.text() == "as it comes"
    settings.reference = adjust_style(MEAN, lightness=-1, redness=0.5)
    assert panel.numbers.text() == "light\u00a0−1.0 · contrast\u00a00.0 · red\u00a0+0.5"
    settings.lightness = 1
    assert panel.numbers.text().startswith("light\u00a00.0")


def test_variations_are_shown_where_they_are_asked_for(panel, settings, click) -> None:
    assert not panel.spread.isVisible()
    settings.choose("even")
    panel.vary.setChecked(True)
    assert panel.spread.isVisible()
    pictures = [swatch.grab().toImage() for swatch in panel.examples]
    assert any(picture != pictures[0] for picture in pictures[1:])


def test_a_picture_that_only_shows_cannot_be_clicked(panel, click) -> None:
    panel.adjust.expand()
    click(panel.result)
    assert not panel.result.isChecked()


def test_a_preset_of_another_version_is_as_it_comes(panel, settings) -> None:
    settings.preset = "mauve"
    assert settings.style(0) is None
    assert panel.presets.value() == ""
