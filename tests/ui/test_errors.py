import numpy as np
import pytest
import torch
from qtpy.QtWidgets import QApplication

from napari_nudiff.diffusion.fused import FusedUNet


def test_a_layout_that_is_too_small_is_explained(viewer, dock, click, idle) -> None:
    layout = viewer.add_labels(np.ones((40, 300), dtype=int))
    click(dock.run_panel.render)
    idle(dock)
    assert "40 x 300 px" in dock.message.text()
    assert "64" in dock.message.text()
    assert not dock.message.isHidden()
    assert list(viewer.layers) == [layout]


def test_negative_labels_are_explained(viewer, dock, nuclei, click, idle) -> None:
    viewer.add_labels(-nuclei)
    click(dock.run_panel.render)
    idle(dock)
    assert "-2" in dock.message.text()


def test_a_runtime_error_of_torch_is_not_swallowed(
    viewer, dock, nuclei, click, idle, monkeypatch
) -> None:
    def fail(*args, **kwargs):
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(torch.nn.functional, "conv2d", fail)
    layout = viewer.add_labels(nuclei)
    click(dock.run_panel.render)
    idle(dock)
    assert "not enough memory" in dock.message.text()
    assert "smaller layout" in dock.message.text()
    assert list(viewer.layers) == [layout]
    monkeypatch.undo()
    click(dock.run_panel.render)
    idle(dock)
    assert len(viewer.layers) == 3, "and the next render works"


def test_an_error_in_the_middle_removes_the_preview(
    viewer, dock, nuclei, click, idle, monkeypatch
) -> None:
    decode, calls = FusedUNet.decode, []

    def fail_later(self, *args, **kwargs):
        calls.append(1)
        if len(calls) > 3:
            raise RuntimeError("The size of tensor a (3) must match the size of tensor b (5)")
        return decode(self, *args, **kwargs)

    monkeypatch.setattr(FusedUNet, "decode", fail_later)
    layout = viewer.add_labels(nuclei)
    dock.session.rendering.steps = 10
    click(dock.run_panel.render)
    idle(dock)
    assert "tensor a (3)" in dock.message.text()
    assert list(viewer.layers) == [layout]


def test_a_missing_checkpoint_is_explained(viewer, dock, nuclei, click, idle) -> None:
    viewer.add_labels(nuclei)
    dock.session.rendering.checkpoint = "no-such-model"
    click(dock.run_panel.render)
    idle(dock)
    assert "no-such-model" in dock.message.text()


@pytest.mark.filterwarnings("ignore")
def test_a_stop_iteration_in_the_work_is_an_error(
    viewer, dock, nuclei, click, idle, monkeypatch
) -> None:
    def stop(*args, **kwargs):
        raise StopIteration

    monkeypatch.setattr(torch.nn.functional, "conv2d", stop)
    viewer.add_labels(nuclei)
    click(dock.run_panel.render)
    idle(dock)
    assert dock.message.text()
    assert len(viewer.layers) == 1


def test_the_message_stays_until_it_is_dismissed_and_can_be_copied(
    viewer, dock, click, idle
) -> None:
    viewer.add_labels(np.ones((40, 40), dtype=int))
    click(dock.run_panel.render)
    idle(dock)
    click(dock.message.copy_button)
    report = QApplication.clipboard().text()
    assert "40 x 40" in report
    assert "Traceback" in report
    assert "napari-nudiff 0" in report
    click(dock.message.dismiss_button)
    assert dock.message.isHidden()


def test_the_next_render_clears_the_message(viewer, dock, nuclei, click, idle) -> None:
    viewer.add_labels(nuclei)
    dock.message.show_error("Something.")
    click(dock.run_panel.render)
    assert dock.message.isHidden()
    idle(dock)


def test_rendering_nothing_says_what_to_do(dock, click) -> None:
    click(dock.run_panel.render)
    assert "Press New or Sample" in dock.message.text()
    assert not dock.session.busy


def test_a_layer_that_cannot_be_read_is_explained(viewer, dock, nuclei, click) -> None:
    class Broken:
        shape, ndim, dtype, size = nuclei.shape, 2, nuclei.dtype, nuclei.size
        intact = True

        def __getitem__(self, key):
            return nuclei[key]

        def __array__(self, dtype=None, copy=None):
            if not self.intact:
                raise OSError("the disk is gone")
            return nuclei

    data = Broken()
    viewer.add_labels(data)
    data.intact = False
    click(dock.run_panel.render)
    assert "the disk is gone" in dock.message.text()
    assert not dock.session.busy
