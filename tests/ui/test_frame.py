import json

import numpy as np
import pytest
from napari.layers import Labels

from napari_nudiff.ui.frame import Frame

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
