import json
from dataclasses import asdict

from napari_nudiff.nuclei.stain import PRESETS
from napari_nudiff.session.stain import StainSettings

STYLE = (0.5, 0.3, 0.6, 0.2, 0.2, 0.2)


def test_as_it_comes_until_something_is_chosen() -> None:
    assert StainSettings().style(3) is None


def test_a_preset_goes_before_the_reference() -> None:
    settings = StainSettings(reference=STYLE)
    assert settings.style(0) == STYLE
    settings.preset = "pale"
    assert settings.style(0) == PRESETS["pale"]


def test_a_chosen_preset_takes_the_place_of_the_reference() -> None:
    settings = StainSettings(reference=STYLE)
    settings.choose("pale")
    assert settings.style(0) == PRESETS["pale"]
    settings.choose("")
    assert settings.style(0) is None


def test_reset_leaves_the_chosen_stain_as_it_is() -> None:
    settings = StainSettings(preset="even", lightness=1, redness=-2)
    assert settings.adjusted
    settings.reset()
    assert not settings.adjusted
    assert settings.style(0) == PRESETS["even"]


def test_adjustments_act_on_what_is_chosen() -> None:
    settings = StainSettings(reference=STYLE, lightness=-1)
    assert settings.style(0)[0] < STYLE[0]
    assert StainSettings(contrast=1).style(0) is not None


def test_variations_differ_by_seed_and_not_by_batch() -> None:
    settings = StainSettings(preset="even", vary=True)
    assert settings.style(4) == settings.style(4)
    assert settings.style(4) != settings.style(5)
    assert settings.base() == PRESETS["even"]


def test_a_stored_style_is_recalled_as_it_is() -> None:
    settings = StainSettings(preset="pale", lightness=1, vary=True)
    settings.recall(list(STYLE))
    assert settings.style(9) == STYLE
    settings.recall(None)
    assert settings.style(9) is None
    assert json.loads(json.dumps(asdict(settings)))["preset"] == ""
