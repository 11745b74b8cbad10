import json
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from napari_nudiff.dataset.images import read_layout
from napari_nudiff.ui import demo


@pytest.mark.slow
def test_the_demo_shows_the_edit_loop_and_writes_everything(
    tmp_path: Path, tiny_checkpoint, capsys, make_napari_viewer, monkeypatch
) -> None:
    monkeypatch.setattr("napari.Viewer", lambda **kw: make_napari_viewer(show=True, **kw))
    arguments = ["--render-and-exit", "--out", str(tmp_path)]
    assert demo.main([*arguments, "--checkpoint", tiny_checkpoint("image")]) == 0
    written = capsys.readouterr().out
    for stem, kind in (("1-sampled", "render"), ("2-edited", "edit")):
        assert json.loads((tmp_path / f"{stem}.json").read_text())["kind"] == kind
        screenshot = iio.imread(tmp_path / f"{stem}-screenshot.png")
        assert screenshot.shape[1] > 800
        assert screenshot[..., :3].std() > 10
        assert f"{stem}-screenshot.png" in written
    before, after = (iio.imread(tmp_path / f"{stem}.png") for stem in ("1-sampled", "2-edited"))
    old, new = (read_layout(tmp_path / f"{s}_labels.tif") for s in ("1-sampled", "2-edited"))
    moved = old != new
    changed = (before != after).any(axis=2)
    assert moved.any(), "a nucleus was moved"
    assert changed[moved].mean() > 0.9, "it was rendered"
    assert 0 < changed.mean() < 0.3, "and the rest left as it was"
    assert np.array_equal(np.unique(old), np.unique(new))
