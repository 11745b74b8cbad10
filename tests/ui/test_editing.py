"""Edits go into napari's own undo: `Labels.data_setitem(*edit)` without a viewer."""

import numpy as np
import pytest

from napari_nudiff.nuclei import editing, layout

Labels = pytest.importorskip("napari.layers").Labels

EDITS = {
    "one": lambda la: editing.move(la, 3, (12, -7), on_overlap="over"),
    "many": lambda la: editing.rotate(la, [1, 2, 3, 4], 30),
    "new": lambda la: editing.add_ellipse(la, (40, 50), (12, 7), on_overlap="over"),
    "gone": lambda la: editing.delete(la, [5, 6]),
    "whole": editing.relabel_contiguous,
    "nothing": lambda la: editing.move(la, 3, (0, 0)),
}


@pytest.fixture(params=[np.uint8, np.uint16, np.int32, np.int64])
def layer(request):
    labels = layout.scatter_nuclei((100, 120), density=0.3, mean_area_px=120, seed=0)
    return Labels((labels + (labels > 0)).astype(request.param))


@pytest.mark.parametrize("name", EDITS)
def test_napari_applies_undoes_and_redoes_an_edit(layer, name) -> None:
    if name == "many":
        layer.data[:2, :2] = 1
    before = layer.data.copy()
    edit = EDITS[name](layer.data)
    np.testing.assert_array_equal(layer.data, before)
    expected = before.copy()
    edit.apply(expected)
    layer.data_setitem(edit.indices, edit.after)
    np.testing.assert_array_equal(layer.data, expected)
    assert layer.data.dtype == before.dtype
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)
    layer.redo()
    np.testing.assert_array_equal(layer.data, expected)


def test_napari_groups_edits_into_one_step(layer) -> None:
    before = layer.data.copy()
    with layer.block_history():
        for offset in ((5, 0), (5, -5), (-3, -20)):
            edit = editing.move(layer.data, 3, offset, on_overlap="over")
            layer.data_setitem(edit.indices, edit.after)
    after = layer.data.copy()
    for verb, expected in ((layer.undo, before), (layer.redo, after), (layer.undo, before)):
        verb()
        np.testing.assert_array_equal(layer.data, expected)


def test_an_undone_edit_can_go_into_napari_as_a_change(layer) -> None:
    before = layer.data.copy()
    edit = editing.scale(layer.data, [3, 4], 1.4)
    layer.data_setitem(edit.indices, edit.after)
    back = edit.inverse()
    layer.data_setitem(back.indices, back.after)
    np.testing.assert_array_equal(layer.data, before)
