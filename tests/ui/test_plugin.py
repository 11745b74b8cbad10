"""What the manifest promises, as napari keeps it."""

import time
from importlib.resources import files

import numpy as np
import pytest
from npe2 import PluginManager, PluginManifest

from napari_nudiff.checkpoints import default_checkpoint

ME = "napari-nudiff"
SAMPLES = ["rendered_pair", "sampled_layout", "generated_layout"]


@pytest.fixture(scope="module")
def contributions():
    manifest = files("napari_nudiff").joinpath("napari.yaml")
    return PluginManifest.from_file(str(manifest)).contributions


@pytest.mark.parametrize("key", SAMPLES)
def test_sample_data_opens_and_can_be_rendered(viewer, dock, key) -> None:
    viewer.open_sample(ME, key)
    layer = dock.layout_panel.layer.layer()
    assert layer.data.max() > 20
    assert np.allclose(layer.scale, 0.25)


def test_every_sample_is_tested(contributions) -> None:
    assert {sample.key for sample in contributions.sample_data} == {*SAMPLES, "large_layout"}


def test_the_rendered_sample_tells_that_it_is_synthetic(viewer) -> None:
    image, labels = viewer.open_sample(ME, "rendered_pair")
    assert image.data.shape == (512, 512, 3)
    for layer in (image, labels):
        assert layer.metadata["nudiff"]["synthetic"] is True
        assert layer.metadata["licence"] == default_checkpoint("image").licence
    # Nuclei are the darker part of H&E: a shifted layout would not be.
    assert image.data[labels.data > 0].mean() < image.data[labels.data == 0].mean() - 20


def test_the_rendered_sample_is_small() -> None:
    path = files("napari_nudiff.sample_data") / "rendered.nudiff"
    assert len(path.read_bytes()) < 700_000


def test_the_large_sample_is_made_quickly(viewer) -> None:
    started_s = time.monotonic()
    (layer,) = viewer.open_sample(ME, "large_layout")
    assert time.monotonic() - started_s < 20  # takes 1 s; the machine may be busy
    assert layer.data.shape == (2048, 2048)
    assert layer.data.max() > 2000


def test_every_menu_is_one_of_napari_and_every_item_a_command(contributions) -> None:
    menus = pytest.importorskip("napari._app_model.constants._menus")
    commands = {command.id for command in contributions.commands}
    for menu, items in contributions.menus.items():
        assert menus.is_menu_contributable(menu), menu
        assert {item.command for item in items} <= commands


@pytest.mark.parametrize(
    ("command", "selected", "enabled"),
    [
        ("structure_from_labels", ["labels"], True),
        ("structure_from_labels", ["image"], False),
        ("structure_from_labels", ["labels", "labels"], False),
        ("nuclei_table", ["labels", "image"], True),
        ("nuclei_table", [], False),
        ("instances_from_structure", ["image", "image", "image"], True),
        ("instances_from_structure", ["stack"], True),
        ("instances_from_structure", ["image"], False),
        ("instances_from_structure", ["labels"], False),
        ("copy_report", [], True),
    ],
)
def test_commands_are_enabled_where_they_can_do_something(
    viewer, contributions, command, selected, enabled
) -> None:
    context = pytest.importorskip("napari._app_model.context")
    app_model = pytest.importorskip("app_model.expressions")
    shape = {"labels": (8, 8), "image": (8, 8), "stack": (3, 8, 8)}
    layers = []
    for kind in selected:
        add = viewer.add_labels if kind == "labels" else viewer.add_image
        layers.append(add(np.ones(shape[kind], np.uint8)))
    viewer.layers.selection = set(layers)
    (found,) = (one for one in contributions.commands if one.id == f"{ME}.{command}")
    expression = app_model.parse_expression(found.enablement or "True")
    assert bool(expression.eval(context.get_context(viewer.layers))) is enabled


def test_each_kind_of_file_has_one_writer(contributions) -> None:
    endings = [ending for writer in contributions.writers for ending in writer.filename_extensions]
    assert sorted(endings) == [".geojson", ".mat", ".nudiff"]


@pytest.mark.parametrize(
    ("name", "layer_types"),
    [("a.nudiff", ["image", "labels"]), ("a.nudiff", ["labels"]), ("a.mat", ["labels"])],
)
def test_napari_finds_our_writers(viewer, name, layer_types) -> None:
    writer, path = PluginManager.instance().get_writer(name, layer_types)
    assert writer.plugin_name == ME
    assert path == name


def test_a_pair_needs_labels() -> None:
    assert PluginManager.instance().get_writer("a.nudiff", ["image"])[0] is None


def test_napari_finds_our_reader_whatever_the_case(viewer) -> None:
    readers = list(PluginManager.instance().iter_compatible_readers(["/a/B.NUDIFF"]))
    assert [reader.plugin_name for reader in readers] == [ME]


def test_preferences_have_titles_descriptions_and_what_they_say_as_default(contributions) -> None:
    configurations = getattr(contributions, "configurations", None)
    if not configurations:
        pytest.skip("this npe2 knows no configurations")
    defaults = {}
    for section, configuration in configurations.items():
        for name, entry in configuration.properties.items():
            assert entry.title
            assert len(entry.description) > 20, f"{name} should be explained"
            defaults[f"{section}.{name}"] = entry.default
    assert defaults == {
        "checkpoints.base_url": "",
        "compute.device": "auto",
        "compute.live_max_px": 512 * 512,
        "results.apply_renders": True,
        "results.history_mb": 500,
        "results.autosave": True,
    }


def test_napari_keeps_preferences_within_their_limits(viewer) -> None:
    settings = pytest.importorskip("napari.settings")
    if not hasattr(settings, "get_plugin_settings"):
        pytest.skip("this napari has no preferences for plugins")
    page = settings.get_plugin_settings(ME)
    page.results.history_mb = 16000
    assert page.results.history_mb == 16000
    with pytest.raises(ValueError, match="16000"):
        page.results.history_mb = 16001
