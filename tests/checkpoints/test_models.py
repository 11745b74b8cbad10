"""Checkpoints found by name or by path, and loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from napari_nudiff.checkpoints import (
    DEFAULT_IMAGE,
    find_checkpoint,
    list_checkpoints,
    load_model,
    local_path,
    verify_checkpoint,
)
from napari_nudiff.errors import CheckpointError

from .conftest import GOLDEN_PT, write_network


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(CheckpointError, match=rf"nowhere.*{DEFAULT_IMAGE}.*models add"):
        find_checkpoint("nowhere")


def test_an_official_file_can_be_named_by_its_path() -> None:
    assert find_checkpoint(GOLDEN_PT).role == "structure"
    assert load_model(GOLDEN_PT).header.parametrisation == "eps"


def test_a_file_can_be_named_by_its_path(weights, monkeypatch) -> None:
    monkeypatch.chdir(weights.parent)
    found = find_checkpoint(weights.name)
    assert found.file == str(weights)
    assert found.sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert local_path(found) == verify_checkpoint(found) == weights
    assert load_model(str(weights)) is load_model(weights.name)
    assert found not in list_checkpoints()


def test_a_file_that_changes_is_loaded_again(tmp_path) -> None:
    path = write_network(tmp_path / "run.safetensors", licence="a")
    first = load_model(path)
    write_network(path, licence="another")
    assert load_model(path).header.card["licence"] == "another"
    assert first.header.card["licence"] == "a"


def with_header(path: Path, weights: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The same weights with the header changed; a change that returns text replaces it all."""
    with safe_open(weights, "pt") as file:
        header = json.loads(file.metadata()["header"])
    changed = change(header)
    text = changed if isinstance(changed, str) else json.dumps(header)
    save_file(load_file(weights), path, metadata={"format": "nudiff-1", "header": text})
    return path


HEADERS = {
    "cut short": lambda h: json.dumps(h)[:-9],
    "no table": lambda h: "[]",
    "side of a pixel is text": lambda h: h["card"].update(um_per_px="abc"),
    "side of a pixel is 0": lambda h: h["card"].update(um_per_px=0),
    "no levels": lambda h: h["network"].update(multipliers=[]),
    "levels unlike their blocks": lambda h: h["network"].update(blocks_per_level=[1, 1, 1, 1, 1]),
    "a network for ever": lambda h: h["network"].update(blocks_per_level=10**9),
    "a network of gigabytes": lambda h: h["network"].update(base_channels=10**6),
    "width is text": lambda h: h["network"].update(base_channels="wide"),
    "no network": lambda h: h.pop("network") and None,
    "network is text": lambda h: h.update(network="compact"),
    "unknown key": lambda h: h["network"].update(colour=3),
    "unknown field": lambda h: h.update(version=2),
    "role": lambda h: h.update(role="video"),
    "role is a list": lambda h: h.update(role=["image"]),
    "parametrisation": lambda h: h.update(parametrisation="x0"),
    "card": lambda h: h.update(card=None),
}


@pytest.mark.parametrize("change", HEADERS.values(), ids=HEADERS)
def test_a_bad_header_is_told_with_its_path(weights, tmp_path, change) -> None:
    path = with_header(tmp_path / "odd.safetensors", weights, change)
    for use in (find_checkpoint, load_model):
        with pytest.raises(CheckpointError, match=r"odd\.safetensors.*header cannot be used"):
            use(path)


def test_a_missing_header_is_told_with_its_path(weights, tmp_path) -> None:
    path = tmp_path / "odd.safetensors"
    save_file(load_file(weights), path, metadata={"format": "nudiff-1"})
    with pytest.raises(CheckpointError, match=r"odd\.safetensors.*header cannot be used"):
        find_checkpoint(path)


@pytest.mark.parametrize("width", [7, 4096])
def test_a_network_that_cannot_be_built_is_told(weights, tmp_path, width) -> None:
    path = with_header(
        tmp_path / "odd.safetensors", weights, lambda h: h["network"].update(base_channels=width)
    )
    with pytest.raises(CheckpointError, match=r"odd\.safetensors does not fit"):
        load_model(path)
