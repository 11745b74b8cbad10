"""Deeds on disk: in order, each once, whoever does them."""

import threading
import time

import pytest

from napari_nudiff.errors import DatasetError
from napari_nudiff.session.disk import Disk
from napari_nudiff.session.jobs import InlineExecutor, Job, JobError, JobQueue


class Patient:
    """An executor whose jobs run when they are told to."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def run(self, job: Job) -> None:
        self.jobs.append(job)

    def go_on(self) -> None:
        while self.jobs:
            job = self.jobs.pop(0)
            assert list(job.run()) == []
            job.end()


@pytest.fixture
def patient() -> Patient:
    return Patient()


@pytest.fixture
def disk(patient: Patient) -> Disk:
    return Disk(JobQueue(patient))


def test_deeds_are_done_and_told_in_order(disk: Disk, patient: Patient) -> None:
    log: list[str] = []
    for name in "ab":
        disk.do(lambda name=name: log.append(f"do {name}"), lambda _, name=name: log.append(name))
    assert log == []
    patient.go_on()
    assert log == ["do a", "a", "do b", "b"]


def test_finishing_does_what_waits_once(disk: Disk, patient: Patient) -> None:
    done, told = [], []
    for name in "abc":
        disk.do(lambda name=name: done.append(name), lambda _, name=name: told.append(name))
    disk.finish()
    assert done == told == ["a", "b", "c"]
    patient.go_on()
    disk.finish()
    assert done == told == ["a", "b", "c"]


def test_a_failure_is_told_and_the_next_deed_is_done(disk: Disk, patient: Patient) -> None:
    told: list[JobError | None] = []

    def fail(error: Exception) -> None:
        raise error

    disk.do(lambda: fail(DatasetError("Cannot write x.")), told.append)
    disk.do(lambda: fail(ZeroDivisionError("no")), told.append)
    disk.do(lambda: None, told.append)
    patient.go_on()
    assert [str(error)[:24] for error in told] == [
        "Cannot write x.",
        "Something went wrong tha",
        "None",
    ]


def test_finishing_waits_for_what_a_thread_is_in_the_middle_of(
    disk: Disk, patient: Patient
) -> None:
    begun, log = threading.Event(), []

    def slow() -> None:
        begun.set()
        time.sleep(0.2)
        log.append("done")

    disk.do(slow, lambda _: log.append("told"))
    thread = threading.Thread(target=lambda: list(patient.jobs[0].run()))
    thread.start()
    begun.wait()
    disk.finish()
    assert log == ["done", "told"]
    thread.join()
    patient.jobs[0].end()
    assert log == ["done", "told"]


@pytest.mark.parametrize("executor", [InlineExecutor(), Patient()])
def test_a_deed_may_ask_for_another(executor: InlineExecutor | Patient) -> None:
    disk, log = Disk(JobQueue(executor)), []
    disk.do(
        lambda: log.append("first"),
        lambda _: disk.do(lambda: log.append("second"), log.append),
    )
    disk.finish()
    assert log == ["first", "second", None]
