"""Fetching from a real HTTP server that is good, slow, silent, wrong or gone."""

from __future__ import annotations

import socket
import time

import pytest

from napari_nudiff.checkpoints import (
    base_url,
    download,
    fetch_checkpoint,
    find_checkpoint,
    load_model,
    local_path,
    set_base_url,
    verify_checkpoint,
)
from napari_nudiff.errors import CancelledError, CheckpointError, DownloadError

from .conftest import NAME, files_in, register


class Bar:
    """A progress bar that remembers, and cancels after some bytes."""

    def __init__(self, cancel_at: float = float("inf")) -> None:
        self.total = 0
        self.n = self.resets = self.most = 0
        self.cancel_at = cancel_at
        self.closed = False

    def update(self, n: int) -> None:
        self.n += n
        self.most = max(self.most, self.n)
        if self.n >= self.cancel_at:
            raise CancelledError("cancelled")

    def reset(self) -> None:
        self.n = 0
        self.resets += 1

    def close(self) -> None:
        self.closed = True


def test_a_good_file_is_fetched_once_and_loads(remote, server, weights, cache) -> None:
    assert local_path(remote) is None
    bar = Bar()
    path = fetch_checkpoint(remote, bar)
    assert path == local_path(remote) == cache / "lab-image-v2.safetensors"
    assert path.read_bytes() == weights.read_bytes()
    assert files_in(cache) == ["lab-image-v2.safetensors"]
    assert bar.n == bar.total == remote.size_bytes
    assert bar.closed
    assert load_model(NAME).header.role == "image"
    fetch_checkpoint(remote)
    assert server.requests == {"/models/lab-image-v2.safetensors": 1}


def test_a_fetched_file_needs_no_server_any_more(remote, server, monkeypatch) -> None:
    fetch_checkpoint(remote)
    monkeypatch.delenv("NUDIFF_BASE_URL")
    assert fetch_checkpoint(remote) == verify_checkpoint(remote)


def test_an_absolute_url_needs_no_base_address(server, weights, tmp_path, monkeypatch) -> None:
    register(monkeypatch, tmp_path, weights.read_bytes(), url=f"{server.url}/elsewhere/x.bin")
    assert fetch_checkpoint(find_checkpoint(NAME)).is_file()
    assert server.requests == {"/models/elsewhere/x.bin": 1}


def test_a_tqdm_bar_with_unknown_total_shows_the_download(remote) -> None:
    tqdm = pytest.importorskip("tqdm").tqdm
    with tqdm(total=0, unit="B") as bar:
        fetch_checkpoint(remote, bar)
    assert bar.n == bar.total == remote.size_bytes


def test_a_server_that_tells_no_length_fills_the_bar_too(remote, server) -> None:
    server.behaviour = "no length"
    bar = Bar()
    fetch_checkpoint(remote, bar)
    assert bar.n == remote.size_bytes


def test_a_wrong_file_is_refused_and_leaves_nothing(remote, server, cache) -> None:
    server.content = b"x" * remote.size_bytes
    with pytest.raises(DownloadError, match="sha256") as caught:
        fetch_checkpoint(remote)
    assert server.url in str(caught.value)
    assert remote.sha256[:12] in str(caught.value)
    assert files_in(cache) == []


def test_a_truncated_file_is_refused_and_leaves_nothing(remote, server, cache) -> None:
    server.behaviour = "truncated"
    bar = Bar()
    with pytest.raises(DownloadError, match=r"broke off|sha256") as caught:
        fetch_checkpoint(remote, bar)
    assert "cache is as it was" in str(caught.value)
    assert files_in(cache) == []
    assert server.requests.total() == bar.resets == 4
    assert bar.most <= remote.size_bytes


def test_what_is_not_there_is_told_at_once(remote, server, cache) -> None:
    server.behaviour = "missing"
    with pytest.raises(DownloadError, match=r"404 Not Found.*base address"):
        fetch_checkpoint(remote)
    assert server.requests.total() == 1
    assert files_in(cache) == []


def test_a_server_that_fails_twice_is_asked_again(remote, server) -> None:
    server.failures_left = 2
    bar = Bar()
    assert fetch_checkpoint(remote, bar).is_file()
    assert server.requests.total() == 3
    assert bar.n == bar.total


def test_a_server_that_keeps_failing_is_given_up(remote, server, cache) -> None:
    server.failures_left = 99
    with pytest.raises(DownloadError, match="503"):
        fetch_checkpoint(remote)
    assert files_in(cache) == []


def test_cancelling_a_slow_download_leaves_nothing(remote, server, cache) -> None:
    server.behaviour = "slow"
    with pytest.raises(CancelledError):
        fetch_checkpoint(remote, Bar(cancel_at=1))
    assert files_in(cache) == []
    assert server.requests.total() == 1


def test_a_cancel_acts_between_the_drops_of_a_server(remote, server, cache) -> None:
    server.behaviour = "drops"
    before = time.monotonic()
    with pytest.raises(CancelledError):
        fetch_checkpoint(remote, Bar(cancel_at=10))
    assert time.monotonic() - before < 15  # all of it would take half an hour
    assert files_in(cache) == []


def test_no_more_is_taken_than_a_file_has(remote, server, cache) -> None:
    server.behaviour = "endless"
    with pytest.raises(DownloadError, match=rf"more arrived than the {remote.size_bytes} bytes"):
        fetch_checkpoint(remote)
    assert server.requests.total() == 1
    assert server.sent < 100 * remote.size_bytes  # what the sockets hold
    assert files_in(cache) == []


def test_a_silent_server_is_given_up(remote, server, cache, monkeypatch) -> None:
    monkeypatch.setattr(download, "_TIMEOUT_S", 0.1)
    server.behaviour = "slow"
    with pytest.raises(DownloadError, match=r"timed out|silent"):
        fetch_checkpoint(remote)
    assert files_in(cache) == []


def test_an_unreachable_host_is_told(remote, cache, monkeypatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        monkeypatch.setenv("NUDIFF_BASE_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(DownloadError, match=r"cannot be reached.*network"):
            fetch_checkpoint(remote)
    assert files_in(cache) == []


def test_a_cancel_acts_before_the_next_attempt(remote, server, cache) -> None:
    class Impatient(Bar):
        def update(self, n: int) -> None:
            if self.resets == 2:
                raise CancelledError("cancelled")

    server.failures_left = 99
    with pytest.raises(CancelledError):
        fetch_checkpoint(remote, Impatient())
    assert server.requests.total() == 1
    assert files_in(cache) == []


def test_a_damaged_file_in_the_cache_is_fetched_again(remote, server, weights, cache) -> None:
    path = fetch_checkpoint(remote)
    path.write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="models fetch lab-image"):
        verify_checkpoint(remote)
    assert fetch_checkpoint(remote).read_bytes() == weights.read_bytes()
    assert server.requests.total() == 2


def test_a_cache_that_cannot_be_written_to_is_told(remote, cache) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(DownloadError, match="NUDIFF_CACHE"):
        fetch_checkpoint(remote)


def test_without_an_address_the_error_says_what_to_do(remote, monkeypatch) -> None:
    monkeypatch.delenv("NUDIFF_BASE_URL")
    assert base_url() == ""
    with pytest.raises(DownloadError, match=r"no public host.*NUDIFF_BASE_URL.*models add"):
        fetch_checkpoint(remote)


def test_the_environment_comes_before_the_preference_and_that_before_the_registry(
    tmp_path, monkeypatch
) -> None:
    register(monkeypatch, tmp_path, b"", base="https://registry.example")
    assert base_url() == "https://registry.example"
    set_base_url("https://preference.example/")
    assert base_url() == "https://preference.example/"
    monkeypatch.setenv("NUDIFF_BASE_URL", "https://environment.example")
    assert base_url() == "https://environment.example"
    monkeypatch.delenv("NUDIFF_BASE_URL")
    set_base_url("")
    assert base_url() == "https://registry.example"


def test_the_preference_is_used(remote, server, monkeypatch) -> None:
    monkeypatch.delenv("NUDIFF_BASE_URL")
    set_base_url(server.url + "/")
    assert fetch_checkpoint(remote).is_file()
    assert server.requests == {"/models/lab-image-v2.safetensors": 1}


@pytest.mark.parametrize("url", ["ftp://example.org", "example.org/models", "/nowhere/at all"])
def test_what_is_no_address_is_refused(url, cache, remote, monkeypatch) -> None:
    with pytest.raises(DownloadError, match="https://"):
        set_base_url(url)
    assert not cache.exists()
    monkeypatch.setenv("NUDIFF_BASE_URL", url)
    with pytest.raises(DownloadError, match="https://"):
        fetch_checkpoint(remote)


def test_damaged_settings_are_told(cache) -> None:
    cache.mkdir()
    (cache / "settings.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"settings\.json"):
        base_url()


@pytest.fixture
def folder(weights, tmp_path, monkeypatch):
    """A folder that has the checkpoint of the lab's registry, as the base address."""
    register(monkeypatch, tmp_path, weights.read_bytes())
    folder = tmp_path / "of the lab"
    folder.mkdir()
    (folder / f"{NAME}-v2.safetensors").write_bytes(weights.read_bytes())
    monkeypatch.setenv("NUDIFF_BASE_URL", str(folder))
    return folder


def test_a_folder_can_be_fetched_from(folder, weights) -> None:
    path = fetch_checkpoint(find_checkpoint(NAME))
    assert path.read_bytes() == weights.read_bytes()
    assert path.parent != folder


def test_a_folder_is_kept_as_the_preference_wherever_one_stands(folder, monkeypatch) -> None:
    monkeypatch.delenv("NUDIFF_BASE_URL")
    monkeypatch.chdir(folder.parent)
    set_base_url(folder.name)
    monkeypatch.chdir("/")
    assert fetch_checkpoint(find_checkpoint(NAME)).is_file()


def test_a_folder_that_lacks_the_file_is_told(folder, cache) -> None:
    (folder / f"{NAME}-v2.safetensors").unlink()
    with pytest.raises(DownloadError, match="no such file in that folder"):
        fetch_checkpoint(find_checkpoint(NAME))
    assert files_in(cache) == []


def test_a_wrong_file_in_a_folder_is_refused(folder, cache) -> None:
    (folder / f"{NAME}-v2.safetensors").write_bytes(b"something else")
    with pytest.raises(DownloadError, match="sha256"):
        fetch_checkpoint(find_checkpoint(NAME))
    assert files_in(cache) == []
