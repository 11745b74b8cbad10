"""Results: bounded in memory, and what is dear is on disk before anybody is told."""

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.errors import DatasetError
from napari_nudiff.session.jobs import Job, JobQueue
from napari_nudiff.session.results import Results
from napari_nudiff.session.session_folder import (
    SessionFolder,
    open_session,
    recoverable_sessions,
    save_session,
)

SIDE_PX = 32
BYTES = SIDE_PX * SIDE_PX * (4 + 3)


@pytest.fixture(autouse=True)
def sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where sessions of running and crashed programs are."""
    monkeypatch.setenv("NUDIFF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "sessions"


@pytest.fixture
def results() -> Results:
    return Results(SessionFolder.automatic())


def rendered(seed: int, layout_sha256: str = "one", **request: object) -> Pair:
    image = np.random.default_rng(seed).integers(0, 256, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
    labels = np.full((SIDE_PX, SIDE_PX), seed, np.int32)
    known = {"seed": seed, "steps": 20, "guidance": 1.2, "checkpoint": "small", **request}
    provenance = {"kind": "image", "request": known, "layout_sha256": layout_sha256}
    return Pair(Layout(labels), image, provenance=provenance)


def add(results: Results, seed: int) -> str:
    return results.add(rendered(seed), "mine", {"scale": [0.5, 0.5]}).id


def heard(signal: object) -> list:
    told: list = []
    signal.connect(told.append)
    return told


def ended(results: Results) -> Path:
    """The folder of results whose program is gone."""
    results._folder.close()
    return results._folder.path


class Patient:
    """An executor whose jobs run when they are told to."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def run(self, job: Job) -> None:
        self.jobs.append(job)

    def go_on(self) -> None:
        for job in self.jobs[:]:
            self.jobs.remove(job)
            assert list(job.run()) == []
            job.end()


@pytest.fixture
def patient() -> Patient:
    return Patient()


@pytest.fixture
def slow(patient: Patient) -> Results:
    """Results whose files are written in a background that has not come round to it yet."""
    return Results(SessionFolder.automatic(), queue=JobQueue(patient))


# What a result is


def test_a_result_tells_what_made_it(results: Results) -> None:
    added = heard(results.added)
    result = results.add(rendered(7), "mine", {"scale": [0.5, 0.5]})
    assert added == [result] == results.all()
    assert results.find(result.id) is result
    assert (result.seed, result.name, result.spatial) == (7, "mine", {"scale": [0.5, 0.5]})
    assert result.provenance["request"]["checkpoint"] == "small"
    assert not (result.starred or result.applied or result.is_dear)
    assert time.strptime(result.created_utc, "%Y-%m-%dT%H:%M:%SZ")


def test_variations_of_a_request_are_a_group(results: Results) -> None:
    def group(sample: Pair) -> str:
        return results.add(sample, "mine", {}).group

    one = group(rendered(1))
    assert group(rendered(2)) == one
    assert group(rendered(1, style=[0.1, 0.2])) == one
    assert group(rendered(1, appearance=[0.1, 0.2])) == one
    others = {
        group(rendered(1, steps=30)),
        group(rendered(1, guidance=2.0)),
        group(rendered(1, checkpoint="large")),
        group(rendered(1, layout_sha256="two")),
    }
    assert len({one, *others}) == 5


# On disk


def test_nothing_is_written_for_what_is_not_dear(results: Results, sessions: Path) -> None:
    add(results, 1)
    assert not sessions.exists()


@pytest.mark.parametrize("mark", ["starred", "applied"])
def test_what_is_dear_is_on_disk_when_it_is_told(results: Results, mark: str) -> None:
    first, second = add(results, 1), add(results, 2)
    on_disk: list[list[str]] = []
    results.changed.connect(
        lambda _: on_disk.append(list(open_session(results._folder.path).about[mark]))
    )
    if mark == "starred":
        results.star(second)
    else:
        results.mark_applied(second)
    assert on_disk == [[second]]
    stored = open_session(ended(results))
    assert list(stored.results) == [second]
    again = Results(SessionFolder.automatic())
    again.restore(stored)
    (result,) = again.all()
    assert result == results.find(second)
    assert np.array_equal(again.sample(second).image, rendered(2).image)
    assert np.array_equal(again.sample(second).labels, rendered(2).labels)
    assert not results.find(first).is_dear


def test_a_star_can_be_taken_back(results: Results) -> None:
    key = add(results, 1)
    results.star(key)
    results.star(key, False)
    assert not results.find(key).starred
    assert open_session(results._folder.path).about["starred"] == []
    ended(results)
    assert recoverable_sessions() == []


def test_without_autosave_a_star_is_only_remembered(results: Results, sessions: Path) -> None:
    results.autosave = False
    changed = heard(results.changed)
    results.star(add(results, 1))
    assert [result.starred for result in changed] == [True]
    assert not sessions.exists()


def test_a_discarded_result_is_gone_from_disk_too(results: Results) -> None:
    keys = [add(results, seed) for seed in range(3)]
    for key in keys:
        results.star(key)
    removed = heard(results.removed)
    results.discard(keys[0], keys[2])
    assert removed == [keys[0], keys[2]]
    assert [result.id for result in results.all()] == [keys[1]]
    stored = open_session(results._folder.path)
    assert list(stored.results) == [keys[1]]
    assert stored.about == {"order": [keys[1]], "starred": [keys[1]], "applied": []}
    assert stored.damaged == []


def test_the_folder_stays_only_where_something_is_dear(results: Results, sessions: Path) -> None:
    dear, other = add(results, 1), add(results, 2)
    results.star(dear)
    results.star(other)
    results.star(other, False)
    results.close()
    (left,) = recoverable_sessions()
    assert list(open_session(left).results) == [dear]
    again = Results(SessionFolder.automatic())
    key = add(again, 3)
    again.star(key)
    again.discard(key)
    again.close()
    again.close()
    assert recoverable_sessions() == [left]


def test_what_happens_after_the_end_touches_no_disk(results: Results, sessions: Path) -> None:
    results.close()
    key = add(results, 1)
    results.mark_applied(key)
    assert results.find(key).applied
    assert not sessions.exists()


# In memory


def test_memory_is_bounded_and_what_was_used_longest_ago_goes_to_disk(results: Results) -> None:
    results.limit_bytes = 3 * BYTES
    keys = [add(results, seed) for seed in range(3)]
    assert results.nbytes == 3 * BYTES
    results.sample(keys[0])
    keys += [add(results, 3)]
    assert results.nbytes == 3 * BYTES
    assert [results.in_memory(key) for key in keys] == [True, False, True, True]
    assert len(results) == 4
    assert np.array_equal(results.sample(keys[1]).image, rendered(1).image)
    assert [results.in_memory(key) for key in keys] == [True, True, False, True]
    assert np.array_equal(results.sample(keys[2]).labels, rendered(2).labels)
    assert results.nbytes == 3 * BYTES


def test_a_glimpse_leaves_memory_as_it_is(results: Results) -> None:
    results.limit_bytes = BYTES
    keys = [add(results, seed) for seed in range(3)]
    assert np.array_equal(results.glimpse(keys[0]).image, rendered(0).image)
    assert [results.in_memory(key) for key in keys] == [False, False, True]


def test_one_result_larger_than_the_limit_stays_in_memory(results: Results) -> None:
    results.limit_bytes = 1
    keys = [add(results, seed) for seed in range(5)]
    assert results.nbytes == BYTES
    for seed, key in enumerate(keys):
        assert np.array_equal(results.sample(key).image, rendered(seed).image)


def test_a_file_that_is_gone_is_told(results: Results) -> None:
    results.limit_bytes = BYTES
    first, _ = add(results, 1), add(results, 2)
    results._folder.file_of(first).unlink()
    with pytest.raises(DatasetError, match=first):
        results.sample(first)


# In the background


def test_a_mark_is_told_when_it_is_on_disk_and_not_before(slow: Results, patient: Patient) -> None:
    changed, key = heard(slow.changed), add(slow, 1)
    slow.star(key)
    assert slow.find(key).starred
    assert changed == []
    patient.go_on()
    assert changed == []
    assert list((slow._folder.path / "results").iterdir())
    patient.go_on()
    assert changed == [slow.find(key)]
    assert open_session(slow._folder.path).about["starred"] == [key]


def test_all_that_waits_is_written_at_the_end(slow: Results, patient: Patient) -> None:
    keys = [add(slow, seed) for seed in range(4)]
    for key in keys[:3]:
        slow.star(key)
    slow.discard(keys[1])
    slow.close()
    (left,) = recoverable_sessions()
    stored = open_session(left)
    assert list(stored.results) == stored.about["starred"] == [keys[0], keys[2]]
    patient.go_on()
    assert list(open_session(left).results) == [keys[0], keys[2]]


def test_flushing_tells_everything_once(slow: Results, patient: Patient) -> None:
    changed, key = heard(slow.changed), add(slow, 1)
    slow.star(key)
    slow.mark_applied(key)
    slow.flush()
    assert changed == [slow.find(key)] * 2
    while patient.jobs:
        patient.go_on()
    assert len(changed) == 2


def test_a_result_discarded_while_it_is_written_leaves_no_file(
    slow: Results, patient: Patient
) -> None:
    key = add(slow, 1)
    slow.star(key)
    slow.discard(key)
    while patient.jobs:
        patient.go_on()
    assert list((slow._folder.path / "results").iterdir()) == []
    assert len(slow) == 0


def test_pixels_are_dropped_once_they_are_on_disk(slow: Results, patient: Patient) -> None:
    slow.limit_bytes = 2 * BYTES
    keys = [add(slow, seed) for seed in range(5)]
    assert slow.nbytes == 5 * BYTES
    while patient.jobs:
        patient.go_on()
    assert slow.nbytes == 2 * BYTES
    for seed, key in enumerate(keys):
        assert np.array_equal(slow.sample(key).image, rendered(seed).image)


# A failing disk


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file may grow beyond 2000 bytes: writing ends in the middle, as on a full disk."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def lift_limit() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.getrlimit(resource.RLIMIT_FSIZE)[1],) * 2)


def test_a_full_disk_is_told_once_and_everything_stays_in_memory(
    results: Results, full_disk: None
) -> None:
    results.limit_bytes = 2 * BYTES
    failed, changed = heard(results.failed), heard(results.changed)
    keys = [add(results, seed) for seed in range(6)]
    results.star(keys[0])
    results.mark_applied(keys[5])
    told = list(failed)
    marked = [result.id for result in changed if result.is_dear]
    images = [results.sample(key).image for key in keys]
    lift_limit()  # pytest's own output is a file too
    assert len(told) == 1
    assert "Cannot write" in told[0]
    assert "stay in memory" in told[0]
    assert marked == [keys[0], keys[5]]
    for seed, image in enumerate(images):
        assert np.array_equal(image, rendered(seed).image)
    assert list((results._folder.path / "results").iterdir()) == []


def test_what_could_not_be_written_is_written_when_there_is_room_again(
    results: Results, full_disk: None
) -> None:
    failed = heard(results.failed)
    first = add(results, 1)
    results.star(first)
    lift_limit()
    second = add(results, 2)
    results.star(second)
    assert len(failed) == 1
    assert list(open_session(ended(results)).results) == [first, second]


def test_a_folder_that_cannot_be_made_is_told_once(results: Results, sessions: Path) -> None:
    sessions.parent.mkdir()
    sessions.write_text("in the way")
    failed = heard(results.failed)
    key = add(results, 1)
    results.star(key)
    results.star(add(results, 2))
    assert len(failed) == 1
    assert np.array_equal(results.sample(key).image, rendered(1).image)
    results.close()
    assert sessions.read_text() == "in the way"


# Sessions


def test_a_session_is_saved_from_memory_and_from_files(results: Results, tmp_path: Path) -> None:
    results.limit_bytes = 2 * BYTES
    keys = [add(results, seed) for seed in range(4)]
    results.star(keys[1])
    save_session(tmp_path / "mine.nudiff", results.stored(), [], results.about())
    again = Results(SessionFolder.automatic())
    added = heard(again.added)
    again.restore(open_session(tmp_path / "mine.nudiff"))
    assert added == again.all() == results.all()
    assert again.nbytes == 0
    for seed, key in enumerate(keys):
        assert np.array_equal(again.sample(key).image, rendered(seed).image)


def test_opening_a_session_twice_adds_nothing(results: Results, tmp_path: Path) -> None:
    add(results, 1)
    save_session(tmp_path / "mine.nudiff", results.stored(), [], results.about())
    added = heard(results.added)
    results.restore(open_session(tmp_path / "mine.nudiff"))
    assert added == []


def test_a_saved_session_is_left_alone_by_those_who_opened_it(
    results: Results, tmp_path: Path
) -> None:
    key = add(results, 1)
    save_session(tmp_path / "mine.nudiff", results.stored(), [], results.about())
    again = Results(SessionFolder.automatic())
    again.restore(open_session(tmp_path / "mine.nudiff"))
    again.star(key)
    assert again._folder.file_of(key).is_file()
    again.discard(key)
    again.close()
    assert list(open_session(tmp_path / "mine.nudiff").results) == [key]


def test_an_adopted_session_does_without_the_folder_it_came_from(
    results: Results, tmp_path: Path
) -> None:
    key = add(results, 1)
    results.star(key)
    save_session(tmp_path / "left.nudiff", results.stored(), [], results.about())
    again = Results(SessionFolder.automatic())
    again.restore(open_session(tmp_path / "left.nudiff"), adopt=True)
    (tmp_path / "left.nudiff" / "results" / f"{key}.nudiff").unlink()
    assert np.array_equal(again.sample(key).image, rendered(1).image)
    again.close()
    ended(results)
    for left in recoverable_sessions():
        assert open_session(left).about["starred"] == [key]
    assert len(recoverable_sessions()) == 2


def test_what_waits_to_be_written_is_written_before_an_adoption(
    results: Results, slow: Results, patient: Patient, tmp_path: Path
) -> None:
    theirs, ours = add(results, 1), add(slow, 2)
    results.star(theirs)
    save_session(tmp_path / "left.nudiff", results.stored(), [], results.about())
    slow.star(ours)
    slow.restore(open_session(tmp_path / "left.nudiff"), adopt=True)
    while patient.jobs:
        patient.go_on()
    assert open_session(ended(slow)).about["starred"] == [ours, theirs]


def test_an_adoption_that_fails_is_an_error_and_the_results_are_there(
    results: Results, tmp_path: Path
) -> None:
    key = add(results, 1)
    save_session(tmp_path / "left.nudiff", results.stored(), [], results.about())
    (tmp_path / "taken").write_text("in the way")
    again = Results(SessionFolder(tmp_path / "taken" / "folder"))
    with pytest.raises(DatasetError, match="Cannot write"):
        again.restore(open_session(tmp_path / "left.nudiff"), adopt=True)
    assert np.array_equal(again.sample(key).image, rendered(1).image)


# Crashes

_VICTIM = """
import random, sys
import numpy as np
from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.session.results import Results
from napari_nudiff.session.session_folder import SessionFolder

results = Results(SessionFolder.automatic(), limit_bytes=5 * 32 * 32 * 7)

def tell(result):
    print(result.id, result.seed, int(result.starred), int(result.applied), flush=True)

results.changed.connect(tell)
chance = random.Random(int(sys.argv[1]))
for seed in range(10**9):
    image = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    labels = np.full((32, 32), seed, np.int32)
    pair = Pair(Layout(labels), image, provenance={"request": {"seed": seed}})
    key = results.add(pair, "mine", {}).id
    if chance.random() < 0.7:
        results.star(key)
    if chance.random() < 0.3:
        results.mark_applied(key)
    others = [result.id for result in results.all() if result.is_dear]
    if len(others) > 10:
        results.star(chance.choice(others), False)
"""


@pytest.mark.parametrize("run", range(4))
def test_killed_at_any_moment_everything_that_was_told_is_found(run: int, sessions: Path) -> None:
    victim = subprocess.Popen(
        [sys.executable, "-c", _VICTIM, str(run)], stdout=subprocess.PIPE, text=True
    )
    assert victim.stdout is not None
    lines = [victim.stdout.readline()]
    time.sleep(random.Random(run).uniform(0.05, 0.6))
    victim.kill()
    lines += victim.stdout.read().splitlines(keepends=True)
    victim.wait()
    victim.stdout.close()
    told = {}  # the last word on each
    for line in lines:
        if line.endswith("\n"):
            key, *numbers = line.split()
            told[key] = tuple(int(number) for number in numbers)
    (left,) = recoverable_sessions()
    again = Results(SessionFolder.automatic())
    stored = open_session(left)
    again.restore(stored)
    assert stored.damaged == []
    found = {result.id: (result.starred, result.applied) for result in again.all()}
    differ = [key for key, (_, *marks) in told.items() if found.get(key, (0, 0)) != tuple(marks)]
    assert len(differ) <= 1  # what was done and not told yet
    dear = {key: seed for key, (seed, *marks) in told.items() if any(marks)}
    assert dear
    for key, seed in dear.items():
        assert np.array_equal(again.sample(key).image, rendered(seed).image)
