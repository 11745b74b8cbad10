"""Downloads as jobs: their bytes, their end, and who hears of it."""

import threading
import time
from contextlib import closing

import pytest

from napari_nudiff.checkpoints import DEFAULT_IMAGE, download, find_checkpoint, local_path
from napari_nudiff.errors import DownloadError
from napari_nudiff.session.catalogue import catalogue
from napari_nudiff.session.downloads import Speed, fetching
from napari_nudiff.session.jobs import Job

from ..checkpoints import conftest as checkpoints_of_the_lab

NAME, files_in = checkpoints_of_the_lab.NAME, checkpoints_of_the_lab.files_in
cache = checkpoints_of_the_lab.cache
weights = checkpoints_of_the_lab.weights
server = checkpoints_of_the_lab.server
remote = checkpoints_of_the_lab.remote


@pytest.fixture
def changes() -> list[None]:
    """What listeners of the catalogue were told."""
    heard: list[None] = []

    def hear() -> None:
        heard.append(None)

    catalogue.changed.connect(hear)
    yield heard
    catalogue.changed.disconnect(hear)


def still_downloading() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("fetch ")]


def test_the_bytes_are_told_as_they_come(remote, server, changes) -> None:
    server.behaviour = "trickle"
    steps = list(fetching(NAME))
    assert {step.stage for step in steps} == {"fetch"}
    assert {step.total for step in steps} == {remote.size_bytes}
    done = [step.done for step in steps]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, remote.size_bytes)
    assert 3 <= len(set(done)) <= 30, "about ten times a second"
    assert local_path(remote) is not None
    assert changes == [None]


def test_what_is_here_takes_no_step(remote, server) -> None:
    list(fetching(NAME))
    assert list(fetching(NAME)) == []
    assert list(fetching(DEFAULT_IMAGE)) == []
    assert server.requests.total() == 1


def test_a_damaged_file_is_fetched_again(remote, weights) -> None:
    list(fetching(NAME))
    path = local_path(remote)
    assert path is not None
    path.write_bytes(b"damaged")
    assert list(fetching(NAME))
    assert path.read_bytes() == weights.read_bytes()


def test_closing_ends_the_download_and_leaves_nothing(remote, server, cache, changes) -> None:
    server.behaviour = "trickle"
    with closing(fetching(NAME)) as steps:
        while next(steps).done == 0:
            pass
    assert still_downloading() == []
    assert files_in(cache) == []
    assert changes == []


def test_a_cancelled_job_ends_its_download(remote, server, cache) -> None:
    server.behaviour = "trickle"
    job = Job(fetching(NAME))
    steps = job.run()
    next(steps)
    job.cancel()
    assert list(steps) == []
    assert still_downloading() == []
    assert files_in(cache) == []


def test_cancelling_does_not_wait_for_a_silent_server(remote, server, cache) -> None:
    server.behaviour = "slow"
    steps = fetching(NAME)
    next(steps)
    start_s = time.monotonic()
    steps.close()
    assert time.monotonic() - start_s < 3
    server.stopping.set()  # the server hangs up
    for thread in still_downloading():
        thread.join(5)
    assert files_in(cache) == []


def test_a_wrong_file_is_the_error_that_it_is(remote, server, cache) -> None:
    server.content = b"x" * remote.size_bytes
    with pytest.raises(DownloadError, match="sha256"):
        list(fetching(NAME))
    assert files_in(cache) == []


def test_an_unknown_server_is_the_error_that_it_is(remote, monkeypatch) -> None:
    monkeypatch.delenv("NUDIFF_BASE_URL")
    with pytest.raises(DownloadError, match="no public host"):
        list(fetching(NAME))


def test_a_connection_that_drops_is_tried_again_from_the_start(remote, server) -> None:
    server.drops_left = 1
    assert list(fetching(NAME))[-1].done == remote.size_bytes
    assert server.requests.total() == 2


def test_a_server_that_keeps_dropping_is_given_up(remote, server, cache) -> None:
    server.behaviour = "truncated"
    with pytest.raises(DownloadError, match=r"broke off|sha256"):
        list(fetching(NAME))
    assert files_in(cache) == []


def test_a_server_that_falls_silent_is_given_up(remote, server, cache, monkeypatch) -> None:
    monkeypatch.setattr(download, "_TIMEOUT_S", 0.1)
    server.behaviour = "slow"
    with pytest.raises(DownloadError, match=r"timed out|silent"):
        list(fetching(NAME))
    assert files_in(cache) == []


def test_two_share_one_download_until_the_last_of_them_leaves(remote, server, cache) -> None:
    server.behaviour = "trickle"
    first, second = fetching(NAME), fetching(NAME)
    next(first), next(second)
    first.close()
    assert list(second)[-1].done == remote.size_bytes
    assert server.requests.total() == 1
    assert local_path(remote) is not None


def test_after_a_failure_the_next_download_starts_anew(remote, server) -> None:
    server.behaviour = "missing"
    with pytest.raises(DownloadError, match="404"):
        list(fetching(NAME))
    server.behaviour = "good"
    list(fetching(NAME))
    assert local_path(find_checkpoint(NAME)) is not None


def test_the_speed_is_that_of_the_last_seconds() -> None:
    speed = Speed()
    assert speed.bytes_per_s(0, 0.0) is None
    assert speed.bytes_per_s(100, 0.2) is None, "too early to tell"
    assert speed.bytes_per_s(2000, 1.0) == pytest.approx(2000)
    assert speed.bytes_per_s(2000, 3.5) == pytest.approx(0, abs=800)
    assert speed.bytes_per_s(2000, 9.0) in (None, 0)


def test_the_speed_survives_a_second_attempt() -> None:
    speed = Speed()
    speed.bytes_per_s(5000, 0.0)
    assert speed.bytes_per_s(0, 1.0) is None
    assert speed.bytes_per_s(3000, 2.0) == pytest.approx(3000)
