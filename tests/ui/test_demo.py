import json
from pathlib import Path

import imageio.v3 as iio
import pytest

from napari_nudiff.ui import demo


@pytest.mark.slow
def test_the_demo_renders_and_writes_everything(
    tmp_path: Path, tiny_checkpoint, capsys, make_napari_viewer, monkeypatch
) -> None:
    monkeypatch.setattr("napari.Viewer", lambda **kw: make_napari_viewer(show=True, **kw))
    arguments = ["--render-and-exit", "--out", str(tmp_path), "--side", "128"]
    status = demo.main([*arguments, "--checkpoint", tiny_checkpoint("image")])
    assert status == 0
    assert iio.imread(tmp_path / "render.png").shape == (128, 128, 3)
    assert (tmp_path / "render_labels.tif").is_file()
    assert json.loads((tmp_path / "render.json").read_text())["kind"] == "render"
    screenshot = iio.imread(tmp_path / "screenshot.png")
    assert screenshot.shape[1] > 800
    assert screenshot[..., :3].std() > 10
    assert "screenshot.png" in capsys.readouterr().out
