import pytest

from napari_nudiff.checkpoints import base_url

napari_settings = pytest.importorskip("napari.settings")
if not hasattr(napari_settings, "get_plugin_settings"):
    pytest.skip("this napari has no preferences for plugins", allow_module_level=True)


def test_the_base_address_reaches_the_checkpoints(dock) -> None:
    page = napari_settings.get_plugin_settings("napari-nudiff")
    page.checkpoints.base_url = "https://example.org/models"
    assert base_url() == "https://example.org/models"


def test_a_bad_address_is_explained(dock) -> None:
    page = napari_settings.get_plugin_settings("napari-nudiff")
    page.checkpoints.base_url = "not an address"
    assert "not an address" in dock.message.text()
    assert base_url() == ""


def test_a_dock_starts_with_the_preferred_device(viewer, open_dock) -> None:
    napari_settings.get_plugin_settings("napari-nudiff").compute.device = "cpu"
    dock = open_dock(viewer)
    assert dock.session.rendering.device == "cpu"
    assert dock.render_panel.device.currentData() == "cpu"
