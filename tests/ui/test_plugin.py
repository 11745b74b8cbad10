"""What the manifest promises."""

import numpy as np
import pytest

from napari_nudiff.ui.commands import new_layout


@pytest.mark.parametrize("key", ["tnbc_layout", "tnbc_pair", "generated_layout"])
def test_sample_data_opens_and_can_be_rendered(viewer, dock, key) -> None:
    viewer.open_sample("napari-nudiff", key)
    layer = dock.layout_panel.layer.layer()
    assert layer.data.max() > 20
    assert np.allclose(layer.scale, 0.25)


def test_the_menu_makes_a_layout(viewer) -> None:
    new_layout(viewer)
    assert viewer.layers[0].data.shape == (256, 256)
    assert viewer.layers[0].mode == "paint"
