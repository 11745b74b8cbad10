"""The verbs of the Models dock, without a dock."""

import pytest

from napari_nudiff.checkpoints import find_checkpoint, local_path, state_of
from napari_nudiff.errors import CheckpointError
from napari_nudiff.session.catalogue import catalogue
from napari_nudiff.session.jobs import InlineExecutor, JobQueue
from napari_nudiff.session.models import FileToAdd, Models

from ..checkpoints import conftest as checkpoints_of_the_lab

NAME, GOLDEN_PT = checkpoints_of_the_lab.NAME, checkpoints_of_the_lab.GOLDEN_PT
cache = checkpoints_of_the_lab.cache
weights = checkpoints_of_the_lab.weights
server = checkpoints_of_the_lab.server
remote = checkpoints_of_the_lab.remote


class Heard:
    """What `Models` told."""

    def __init__(self, models: Models) -> None:
        self.events: list[tuple[str, ...]] = []
        self.bytes: list[int] = []
        self.files: list[FileToAdd] = []
        self.errors: list[str] = []
        models.started.connect(lambda verb, name: self.events.append(("started", verb, name)))
        models.finished.connect(lambda verb, name: self.events.append(("finished", verb, name)))
        models.cancelled.connect(lambda verb, name: self.events.append(("cancelled", verb, name)))
        models.failed.connect(self._on_failed)
        models.progressed.connect(lambda name, progress: self.bytes.append(progress.done))
        models.inspected.connect(self.files.append)

    def _on_failed(self, verb: str, name: str, error: Exception) -> None:
        self.events.append(("failed", verb, name))
        self.errors.append(str(error))


@pytest.fixture
def models() -> Models:
    return Models(JobQueue(InlineExecutor()), JobQueue(InlineExecutor()))


@pytest.fixture
def heard(models) -> Heard:
    return Heard(models)


def test_a_fetch_tells_its_bytes_and_its_end(remote, models, heard) -> None:
    models.fetch(NAME)
    assert heard.events == [("started", "fetch", NAME), ("finished", "fetch", NAME)]
    assert heard.bytes[0] == 0
    assert heard.bytes[-1] == remote.size_bytes
    assert not models.is_fetching(NAME)
    assert local_path(remote) is not None


def test_a_fetch_that_fails_is_over(remote, server, models, heard) -> None:
    server.behaviour = "missing"
    models.fetch(NAME)
    assert heard.events[-1] == ("failed", "fetch", NAME)
    assert "404" in heard.errors[0]
    assert not models.is_fetching(NAME)


def test_a_fetch_can_be_cancelled_by_whoever_watches(remote, server, models, heard, cache) -> None:
    server.behaviour = "trickle"
    models.progressed.connect(lambda name, progress: models.cancel(name))
    models.fetch(NAME)
    assert heard.events[-1] == ("cancelled", "fetch", NAME)
    assert checkpoints_of_the_lab.files_in(cache) == []


def test_asking_twice_fetches_once(remote, server, models) -> None:
    models.started.connect(lambda verb, name: models.fetch(name))
    models.fetch(NAME)
    assert server.requests.total() == 1


def test_a_comparison_is_remembered_until_it_is_repaired(remote, models, heard) -> None:
    def entry():
        return next(e for e in catalogue.entries() if e.checkpoint.name == NAME)

    models.fetch(NAME)
    models.verify(NAME)
    assert heard.events[-1] == ("finished", "verify", NAME)
    assert not entry().damaged
    local_path(remote).write_bytes(b"damaged")
    models.verify(NAME)
    assert "damaged or was replaced" in heard.errors[-1]
    assert entry().damaged
    assert entry().fetchable
    models.fetch(NAME)
    assert not entry().damaged
    assert not entry().fetchable


def test_a_file_is_looked_into_added_and_deleted(weights, models, heard) -> None:
    models.inspect(weights)
    (file,) = heard.files
    assert file == FileToAdd(weights, "image", "tiny", "CC0")
    models.add(file)
    assert state_of(find_checkpoint("tiny")) == "own file"
    models.remove("tiny")
    with pytest.raises(CheckpointError, match="tiny"):
        find_checkpoint("tiny")


def test_an_official_file_says_so(models, heard) -> None:
    models.inspect(GOLDEN_PT)
    (file,) = heard.files
    assert (file.role, file.official, file.head_channels) == ("structure", True, 64)


def test_a_name_is_made_from_that_of_the_file(weights, tmp_path, models, heard) -> None:
    path = tmp_path / "my best (2).safetensors"
    path.write_bytes(weights.read_bytes())
    models.inspect(path)
    models.add(heard.files[0])
    assert find_checkpoint("my-best-2").role == "image"


def test_what_is_no_model_is_told(tmp_path, models, heard) -> None:
    path = tmp_path / "empty.pt"
    path.touch()
    models.inspect(path)
    assert heard.files == []
    assert "is empty" in heard.errors[0]


def test_everybody_hears_of_a_change(weights, models) -> None:
    changes = []

    def hear() -> None:
        changes.append(1)

    catalogue.changed.connect(hear)
    models.add(FileToAdd(weights, "image", "mine"))
    models.remove("mine")
    catalogue.changed.disconnect(hear)
    assert len(changes) == 2
