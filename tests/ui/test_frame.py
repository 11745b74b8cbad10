import json

import numpy as np
import pytest
from napari.layers import Labels

from napari_nudiff.ui.frame import Frame, scale_of

AWKWARD = {
    "scale": (0.25, 0.5),
    "translate": (3, -4),
    "rotate": 30,
    "shear": [0.2],
    "affine": [[1, 0.1, 5], [0, 1.2, 7], [0, 0, 1]],
    "units": ("um", "um"),
    "axis_labels": ("row", "column"),
}


@pytest.fixture
def layer() -> Labels:
    return Labels(np.zeros((72, 80), int), name="labels mine s7", **AWKWARD)


def placed(frame: Frame, shape=(72, 80)) -> Labels:
    return Labels(np.zeros(shape, int), **frame.spatial)


def test_a_stored_frame_puts_a_layer_in_the_same_place(layer) -> None:
    frame = Frame.of(layer)
    stored = Frame(frame.name, json.loads(json.dumps(frame.spatial)))
    again = placed(stored)
    assert frame.name == "mine"
    assert np.allclose(again.extent.world, layer.extent.world)
    assert again.units == layer.units
    assert again.axis_labels == layer.axis_labels


def test_a_shifted_frame_leaves_the_old_pixels_where_they_are(layer) -> None:
    wide = placed(Frame.of(layer).shifted(-10, -4), (90, 90))
    assert np.allclose(wide.data_to_world((10, 4)), layer.data_to_world((0, 0)))
    assert np.allclose(wide.data_to_world((30, 44)), layer.data_to_world((20, 40)))


def test_a_smaller_picture_covers_the_same_place(layer) -> None:
    small = placed(Frame.of(layer).enlarged(4), (18, 20))
    for corner, same in (((-0.5, -0.5), (-0.5, -0.5)), ((17.5, 19.5), (71.5, 79.5))):
        assert np.allclose(small.data_to_world(corner), layer.data_to_world(same))


def test_a_frame_without_a_place_can_be_shifted() -> None:
    assert Frame("new").shifted(-3, 2).spatial == {"translate": [-3.0, 2.0]}


@pytest.mark.parametrize(
    "place, expected",
    [
        ({"scale": (0.5, 0.5), "units": ("um", "um")}, (0.5, (0.5, 0.5))),
        ({"scale": (250, 250), "units": ("nm", "nm")}, (0.25, (0.25, 0.25))),
        ({"scale": (5e-4, 5e-4), "units": ("mm", "mm"), "rotate": 30}, (0.5, (0.5, 0.5))),
        ({"affine": np.diag([0.5, 0.5, 1]), "units": ("um", "um")}, (0.5, (0.5, 0.5))),
        ({"scale": (0.25, 0.5), "units": ("um", "um")}, (0.375, (0.25, 0.5))),
        ({}, (0.25, None)),
        ({"scale": (0.5, 0.5)}, (0.25, None)),
        ({"metadata": {"nudiff": {"um_per_px": 0.5}}}, (0.5, (0.5, 0.5))),
        ({"metadata": {"nudiff": {"um_per_px": None}}}, (0.25, None)),
        ({"metadata": {"nudiff": "mine"}}, (0.25, None)),
    ],
)
def test_the_scale_of_a_layer(place, expected) -> None:
    scale = scale_of(Labels(np.zeros((72, 80), int), **place))
    assert scale.um_per_px == pytest.approx(expected[0])
    assert scale.sides_um == (None if expected[1] is None else pytest.approx(expected[1]))
    assert scale.is_even == (scale.sides_um is None or scale.um_per_px != pytest.approx(0.375))
