import numpy as np
import pytest

from napari_nudiff.errors import RequestError
from napari_nudiff.nuclei.stain import (
    AXES,
    MEAN,
    PRESETS,
    adjust_style,
    colours_of,
    offsets_of,
    style_of,
    vary_style,
)


def test_no_adjustment_changes_nothing() -> None:
    for style in PRESETS.values():
        assert adjust_style(style, **dict.fromkeys(AXES, 0.0)) == pytest.approx(style)


def test_a_style_beyond_all_others_moves_in_small_steps() -> None:
    white = (0.98, 0.98, 0.98, 0.01, 0.01, 0.01)
    assert adjust_style(white, lightness=0.0) == white
    assert adjust_style(white, lightness=-0.01) == pytest.approx(white, abs=0.01)


@pytest.mark.parametrize("name", AXES)
def test_the_offsets_of_a_style_are_those_that_made_it(name) -> None:
    offsets = dict.fromkeys(AXES, 0.0) | {name: 0.7}
    assert offsets_of(adjust_style(MEAN, **offsets)) == pytest.approx(offsets, abs=0.02)


def test_each_slider_does_what_its_name_says() -> None:
    lighter = adjust_style(MEAN, lightness=1)
    assert all(a > b for a, b in zip(lighter[:3], MEAN[:3], strict=True))
    clearer = adjust_style(MEAN, contrast=1)
    assert all(a > b for a, b in zip(clearer[3:], MEAN[3:], strict=True))
    pinker = adjust_style(MEAN, redness=1)
    assert pinker[0] > MEAN[0]
    assert pinker[2] < MEAN[2]


@pytest.mark.parametrize("name", AXES)
def test_sliders_are_monotone_and_bounded(name) -> None:
    styles = np.array([adjust_style(MEAN, **{name: x}) for x in np.linspace(-9, 9, 40)])
    along = np.diff(styles @ np.asarray(AXES[name]))
    assert (along >= -1e-9).all()
    assert (np.abs(styles) <= 0.9 + 1e-9).all()
    assert (styles[:, 3:] > 0).all()


def test_variations_belong_to_their_seed_and_spread_as_far_as_asked() -> None:
    assert vary_style(None, 0.5, 7) == vary_style(None, 0.5, 7)
    assert vary_style(None, 0.5, 7) != vary_style(None, 0.5, 8)
    styles = np.array([vary_style(MEAN, 0.4, seed) for seed in range(400)])
    assert styles.mean(axis=0) == pytest.approx(MEAN, abs=0.03)
    assert styles.std(axis=0)[1] == pytest.approx(0.4 * 0.333, rel=0.15)


def test_the_style_of_a_region_is_that_of_its_pixels() -> None:
    image = np.full((8, 10, 3), 255, np.uint8)
    image[:, 5:] = (200, 100, 150)
    mask = np.zeros((8, 10), bool)
    mask[:, 5:] = True
    assert style_of(image, mask) == style_of(image[:, 5:])
    assert style_of(image)[0] > style_of(image, mask)[0]
    with pytest.raises(RequestError, match="no pixel"):
        style_of(image, ~mask & mask)


def test_nuclei_are_shown_darker_than_tissue_and_tissue_darker_than_gaps() -> None:
    for style in PRESETS.values():
        gap, tissue, nucleus = (sum(colour) for colour in colours_of(style))
        assert gap > tissue > nucleus
