"""Files that are as registered, and files that are not."""

from __future__ import annotations

import pytest

from napari_nudiff.checkpoints import (
    add_checkpoint,
    default_checkpoint,
    fetch_checkpoint,
    integrity,
    load_model,
    verify_checkpoint,
)
from napari_nudiff.checkpoints.registry import read_registries
from napari_nudiff.errors import CheckpointError

EMBEDDED = [c for c in read_registries()[1] if c.embedded]


@pytest.mark.parametrize("checkpoint", EMBEDDED, ids=lambda c: c.name)
def test_embedded_checkpoints_are_as_registered(checkpoint) -> None:
    path = verify_checkpoint(checkpoint)
    assert path.stat().st_size == checkpoint.size_bytes <= 16 * 2**20
    header = load_model(checkpoint.name).header
    assert (header.role, header.parametrisation) == (checkpoint.role, checkpoint.parametrisation)
    for key in ("licence", "training_data", "um_per_px"):
        assert header.card[key] == getattr(checkpoint, key)
    assert fetch_checkpoint(checkpoint) == path  # without a server


def test_a_damaged_embedded_file_says_to_install_again(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(integrity, "_WEIGHTS", tmp_path)
    checkpoint = default_checkpoint("image")
    with pytest.raises(CheckpointError, match=r"does not exist.*Install"):
        fetch_checkpoint(checkpoint)
    (tmp_path / checkpoint.file).write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match=r"damaged.*Install"):
        load_model(checkpoint.name)


def test_a_corrupted_own_file_is_found(weights) -> None:
    added = add_checkpoint(weights, "mine")
    path = verify_checkpoint(added)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    for use in (verify_checkpoint, fetch_checkpoint, lambda c: load_model(c.name)):
        with pytest.raises(CheckpointError, match="mine is damaged or was replaced"):
            use(added)
    path.unlink()
    with pytest.raises(CheckpointError, match="does not exist"):
        verify_checkpoint(added)
