"""Files of one's own: added, listed, refused and removed."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from napari_nudiff.checkpoints import (
    DEFAULT_IMAGE,
    add_checkpoint,
    cache_folder,
    fetch_checkpoint,
    find_checkpoint,
    list_checkpoints,
    load_model,
    local_path,
    remove_checkpoint,
    verify_checkpoint,
)
from napari_nudiff.diffusion.weights import load_official
from napari_nudiff.errors import CheckpointError

from .conftest import GOLDEN_PT, NAME, files_in, write_network


def test_an_own_file_is_added_loaded_verified_and_removed(weights, tmp_path, cache) -> None:
    source = shutil.copy(weights, tmp_path / "mine.safetensors")
    added = add_checkpoint(source)
    assert (added.name, added.role, added.own) == ("mine", "image", True)
    assert (added.licence, added.training_data, added.um_per_px) == ("CC0", "none", 0.5)
    assert added.sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert find_checkpoint("mine") == added
    assert added in list_checkpoints("image")
    source.unlink()  # the cache has a copy
    assert verify_checkpoint(added) == local_path(added) == fetch_checkpoint(added)
    assert load_model("mine") is load_model("mine")
    assert files_in(cache) == ["own.json", "own/mine.safetensors"]
    remove_checkpoint("mine")
    assert files_in(cache) == ["own.json"]
    with pytest.raises(CheckpointError, match="mine"):
        find_checkpoint("mine")


def test_the_given_licence_counts(weights) -> None:
    assert add_checkpoint(weights, "mine", "image", "CC BY 4.0").licence == "CC BY 4.0"


def test_an_official_file_is_converted(cache) -> None:
    added = add_checkpoint(GOLDEN_PT, "authors", licence="MIT", head_channels=32)
    assert (added.role, added.parametrisation, added.licence) == ("structure", "eps", "MIT")
    assert files_in(cache) == ["own.json", "own/authors.safetensors"]
    ours, theirs = load_model("authors"), load_official(GOLDEN_PT, head_channels=32)
    assert ours.header.network == theirs.header.network
    assert ours.header.card["source_sha256"]
    converted, original = ours.unet.state_dict(), theirs.unet.state_dict()
    assert all(torch.equal(converted[key], value) for key, value in original.items())


def test_removing_never_touches_the_users_file(weights) -> None:
    add_checkpoint(weights, "mine")
    with pytest.raises(CheckpointError, match="was not added"):
        remove_checkpoint(str(weights))
    remove_checkpoint("mine")
    assert weights.is_file()


def test_removing_a_fetched_file_keeps_its_entry(remote) -> None:
    fetch_checkpoint(remote)
    remove_checkpoint(NAME)
    assert local_path(find_checkpoint(NAME)) is None
    with pytest.raises(CheckpointError, match="nothing to remove"):
        remove_checkpoint(NAME)


def test_embedded_checkpoints_cannot_be_removed() -> None:
    with pytest.raises(CheckpointError, match="cannot be removed"):
        remove_checkpoint(DEFAULT_IMAGE)


@pytest.mark.parametrize("name", ["mine", "Mine", DEFAULT_IMAGE])
def test_a_name_that_exists_is_refused(weights, cache, name) -> None:
    before = add_checkpoint(weights, "mine")
    with pytest.raises(CheckpointError, match="already"):
        add_checkpoint(weights, name)
    assert files_in(cache) == ["own.json", "own/mine.safetensors"]
    verify_checkpoint(before)


@pytest.mark.parametrize("name", ["", "../mine", "a/b", ".hidden", "a b", "x.safetensors"])
def test_what_is_no_name_is_refused(weights, cache, name) -> None:
    with pytest.raises(CheckpointError, match="is no name"):
        add_checkpoint(weights, name)
    assert not cache.exists()


def bad_file(folder: Path, kind: str, weights: Path) -> Path:
    path = folder / f"bad{'.pt' if kind == 'pickle' else '.safetensors'}"
    if kind == "nan":
        write_network(path, nan=True)
    elif kind == "cut short":
        path.write_bytes(weights.read_bytes()[:-100])
    elif kind != "missing":
        path.write_bytes(b"not a checkpoint")
    return path


@pytest.mark.parametrize("kind", ["nan", "cut short", "text", "pickle", "missing"])
def test_bad_files_are_not_added(weights, tmp_path, cache, kind) -> None:
    path = bad_file(tmp_path, kind, weights)
    with pytest.raises(CheckpointError, match="bad"):
        add_checkpoint(path)
    assert not cache.exists()
    with pytest.raises(CheckpointError, match="bad"):
        load_model(path)


def test_another_role_is_refused(weights, cache) -> None:
    with pytest.raises(CheckpointError, match="is a image model, not a structure model"):
        add_checkpoint(weights, role="structure")
    assert not cache.exists()


def test_a_damaged_list_of_own_files_is_told_and_kept(weights, cache) -> None:
    cache.mkdir()
    (cache / "own.json").write_text('[{"name": "mine"}]')
    for use in (list_checkpoints, lambda: add_checkpoint(weights, "other")):
        with pytest.raises(CheckpointError, match=r"own\.json"):
            use()
    assert files_in(cache) == ["own.json"]
    assert find_checkpoint(DEFAULT_IMAGE).embedded
    assert find_checkpoint(weights).role == "image"


def test_a_failed_entry_takes_its_copy_back(weights, cache, monkeypatch) -> None:
    (cache / "own.json").mkdir(parents=True)  # cannot be replaced by a file
    with pytest.raises(CheckpointError, match="Nothing was changed"):
        add_checkpoint(weights, "mine")
    assert files_in(cache) == []


def test_a_full_disk_adds_nothing(cache, monkeypatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise SafetensorError("No space left on device")

    monkeypatch.setattr("napari_nudiff.diffusion.weights.save_file", full)
    with pytest.raises(CheckpointError, match=r"No space.*Nothing was changed"):
        add_checkpoint(GOLDEN_PT, "authors")
    assert files_in(cache) == []


def test_own_files_are_plain_json(weights, cache) -> None:
    added = add_checkpoint(weights, "mine")
    (entry,) = json.loads((cache / "own.json").read_text())
    assert replace(added, **entry) == added
    assert cache_folder() == cache


ADD = """
import sys
from napari_nudiff.checkpoints import add_checkpoint
add_checkpoint(sys.argv[1], sys.argv[2])
"""


def test_of_files_that_are_added_at_once_none_is_lost(weights) -> None:
    names = [f"m{i}" for i in range(4)]
    running = [subprocess.Popen([sys.executable, "-c", ADD, weights, name]) for name in names]
    assert [process.wait(120) for process in running] == [0] * 4
    assert sorted(c.name for c in list_checkpoints() if c.own) == names
