"""Which checkpoints there are, and what a bad registry says."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from napari_nudiff.checkpoints import (
    default_checkpoint,
    list_checkpoints,
    load_model,
    local_path,
)
from napari_nudiff.checkpoints.registry import read_registries
from napari_nudiff.errors import CheckpointError

EMBEDDED = [c for c in read_registries()[1] if c.embedded]


def test_every_role_has_an_embedded_default() -> None:
    for role in ("image", "structure"):
        assert default_checkpoint(role).embedded
        assert default_checkpoint(role).role == role
        assert {c.role for c in list_checkpoints(role)} == {role}
    with pytest.raises(CheckpointError, match="video"):
        default_checkpoint("video")


def test_embedded_checkpoints_may_be_redistributed() -> None:
    assert all(c.licence.startswith("CC BY 4.0") for c in EMBEDDED)
    assert all(name in c.training_data for c in EMBEDDED for name in ("Naylor", "Abousamra"))


def test_the_licence_of_embedded_checkpoints_ships_beside_them() -> None:
    text = (files("napari_nudiff") / "weights" / "LICENSE.md").read_text(encoding="utf-8")
    assert all(c.file in text for c in EMBEDDED)
    assert all(word in text for word in ("Naylor", "Abousamra", "CC BY 4.0", "TopoXLab"))


@pytest.mark.parametrize("checkpoint", EMBEDDED, ids=lambda c: c.name)
def test_the_registry_knows_what_a_network_can_be_given(checkpoint) -> None:
    network = load_model(checkpoint.name).header.network
    assert checkpoint.conditions == network.conditions
    assert checkpoint.makes(checkpoint.um_per_px)
    assert checkpoint.makes(0.5) == network.has("resolution")


OUTSIDE = """
[checkpoints.x]
role = "image"
file = "{}"
size_bytes = 1
sha256 = "0"
licence = "CC0"
training_data = "none"
um_per_px = 0.25
"""


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "[checkpoints.x]\nrole = 'image'\n",
        "checkpoints = 3\n",
        OUTSIDE.format("../x.safetensors"),
        OUTSIDE.format("/x.safetensors"),
        OUTSIDE.format("a/x.safetensors"),
        OUTSIDE.format(".."),
        OUTSIDE.format(""),
    ],
)
def test_a_bad_registry_is_told(tmp_path, monkeypatch, text) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    monkeypatch.setenv("NUDIFF_REGISTRY", str(path))
    with pytest.raises(CheckpointError, match=r"bad\.toml.*NUDIFF_REGISTRY"):
        list_checkpoints()


def test_a_missing_registry_is_told(monkeypatch) -> None:
    monkeypatch.setenv("NUDIFF_REGISTRY", "/nowhere/lab.toml")
    with pytest.raises(CheckpointError, match=r"/nowhere/lab\.toml"):
        list_checkpoints()


def test_listing_needs_neither_torch_nor_pooch() -> None:
    code = (
        "import sys; from napari_nudiff import checkpoints as c; c.list_checkpoints();"
        "c.local_path(c.default_checkpoint('image'));"
        "sys.exit(any(m in sys.modules for m in ('torch', 'pooch', 'safetensors')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


REMOTE = [c for c in read_registries()[1] if not c.embedded]
FOLDER = Path(__file__).parents[2] / "checkpoints"


@pytest.mark.parametrize("checkpoint", REMOTE, ids=lambda c: c.name)
def test_released_checkpoints_can_be_fetched_from_the_repository(
    checkpoint, cache, monkeypatch
) -> None:
    monkeypatch.setenv("NUDIFF_BASE_URL", str(FOLDER))
    model = load_model(checkpoint.name)
    assert model.header.role == checkpoint.role
    assert model.header.card["licence"] == checkpoint.licence
    assert local_path(checkpoint).stat().st_size == checkpoint.size_bytes <= 16 * 2**20


def test_weights_trained_on_restricted_data_say_so() -> None:
    licences = {c.name: c.licence for c in REMOTE if "MoNuSeg" in c.training_data}
    assert len(licences) == 2
    assert all("NC" in licence and "research" in licence for licence in licences.values())
