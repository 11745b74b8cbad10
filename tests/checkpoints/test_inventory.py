"""What is on this machine, in words and bytes."""

import pytest

from napari_nudiff.checkpoints import (
    add_checkpoint,
    default_checkpoint,
    fetch_checkpoint,
    free_bytes,
    is_removable,
    local_path,
    needs_fetching,
    remove_checkpoint,
    state_of,
    used_bytes,
)
from napari_nudiff.text import size_text

from .conftest import NAME


def test_states_follow_the_files(remote, weights) -> None:
    assert state_of(default_checkpoint("image")) == "embedded"
    assert state_of(remote) == "not fetched"
    fetch_checkpoint(remote)
    assert state_of(remote) == "fetched"
    mine = add_checkpoint(weights, "mine")
    assert state_of(mine) == "own file"
    local_path(mine).unlink()
    assert state_of(mine) == "missing"
    remove_checkpoint(NAME)
    assert state_of(remote) == "not fetched"


def test_only_what_can_be_had_again_or_is_ones_own_is_removable(remote, weights) -> None:
    assert not is_removable(default_checkpoint("image"))
    assert not is_removable(remote)
    fetch_checkpoint(remote)
    assert is_removable(remote)
    mine = add_checkpoint(weights, "mine")
    local_path(mine).unlink()
    assert is_removable(mine)
    remove_checkpoint("mine")


def test_what_is_missing_or_damaged_needs_fetching(remote) -> None:
    assert needs_fetching(remote)
    path = fetch_checkpoint(remote)
    assert not needs_fetching(remote)
    path.write_bytes(b"damaged")
    assert needs_fetching(remote)
    assert not needs_fetching(default_checkpoint("image"))


def test_the_cache_is_weighed(remote, weights, cache) -> None:
    assert used_bytes() == 0
    assert free_bytes() > 0, "of the disk that it would lie on"
    fetch_checkpoint(remote)
    assert used_bytes() == remote.size_bytes
    add_checkpoint(weights, "mine")
    assert used_bytes() == 2 * remote.size_bytes + (cache / "own.json").stat().st_size


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(300, "0 kB"), (478_800, "479 kB"), (15_296_456, "15.3 MB"), (2.6e9, "2.6 GB")],
)
def test_sizes_are_decimal(size_bytes, text) -> None:
    assert size_text(size_bytes) == text
