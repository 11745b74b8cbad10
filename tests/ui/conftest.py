"""A viewer with the Synthesise dock, opened as napari opens it, and tiny real networks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from qtpy.QtCore import Qt

from napari_nudiff.ui.dock import SynthesisDock


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Preferences and cache of the user stay untouched."""
    napari_settings = pytest.importorskip("napari.settings")
    monkeypatch.setenv("NUDIFF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(napari_settings, "_CFG_PATH", str(tmp_path / "napari" / "settings.yaml"))
    napari_settings._clear_plugin_settings_cache()
    yield
    napari_settings._clear_plugin_settings_cache()


@pytest.fixture
def open_dock(tiny_checkpoint: Callable[[str], str]) -> Callable[[Any], SynthesisDock]:
    """Opens the dock in a viewer, with the tiny networks and few steps."""

    def opened(viewer: Any) -> SynthesisDock:
        _, dock = viewer.window.add_plugin_dock_widget("napari-nudiff", "Synthesise")
        dock.session.rendering.checkpoint = tiny_checkpoint("image")
        dock.session.rendering.steps = 3
        dock.session.layout.checkpoint = tiny_checkpoint("structure")
        dock.session.layout.steps = 2
        return dock

    return opened


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any]) -> Any:
    return make_napari_viewer()


@pytest.fixture
def dock(viewer: Any, open_dock: Callable[[Any], SynthesisDock]) -> SynthesisDock:
    return open_dock(viewer)


@pytest.fixture
def click(qtbot: Any) -> Callable[[Any], None]:
    return lambda widget: qtbot.mouseClick(widget, Qt.MouseButton.LeftButton)


@pytest.fixture
def idle(qtbot: Any) -> Callable[..., None]:
    """Waits until a dock's session has nothing to do."""

    def wait(dock: SynthesisDock, timeout: int = 60_000) -> None:
        qtbot.waitUntil(lambda: not dock.session.busy, timeout=timeout)

    return wait


@pytest.fixture
def nuclei() -> NDArray[np.int32]:
    """Two square nuclei on 72 x 80 px."""
    labels = np.zeros((72, 80), dtype=np.int32)
    labels[10:25, 10:25] = 1
    labels[40:60, 45:70] = 2
    return labels
