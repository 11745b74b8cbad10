"""Which checkpoints there are, and what a bad registry says."""

from __future__ import annotations

import subprocess
import sys

import pytest

from napari_nudiff.checkpoints import default_checkpoint, list_checkpoints
from napari_nudiff.checkpoints.registry import read_registries
from napari_nudiff.errors import CheckpointError

EMBEDDED = [c for c in read_registries()[1] if c.embedded]


def test_every_role_has_an_embedded_default() -> None:
    for role in ("image", "structure"):
        assert default_checkpoint(role).name == f"tnbc-compact-{role}"
        assert {c.role for c in list_checkpoints(role)} == {role}
    with pytest.raises(CheckpointError, match="video"):
        default_checkpoint("video")


def test_embedded_checkpoints_may_be_redistributed() -> None:
    assert {c.licence for c in EMBEDDED} == {"CC BY 4.0"}
    assert all("Naylor" in c.training_data for c in EMBEDDED)


@pytest.mark.parametrize("text", ["[", "[checkpoints.x]\nrole = 'image'\n", "checkpoints = 3\n"])
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
