"""Looking at a run: its log, its plot and its description."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from napari_nudiff.errors import DatasetError
from napari_nudiff.text import duration
from napari_nudiff.training.config import Stage, TrainConfig
from napari_nudiff.training.records import LOG, Record, RunLog, read_log
from napari_nudiff.training.watch import bars, describe_run, read_run

CONFIG = TrainConfig(stages=(Stage(steps=100, batch_crops=16),), log_steps=10)


def record(step: int, **values: float | None) -> Record:
    usual = {"loss": 1 / step, "held_out_loss": None, "learning_rate": 1e-4}
    return Record(step, **{**usual, "crops_per_s": 8.0, "seconds": 2.0 * step, **values})


@pytest.fixture
def folder(tmp_path) -> Path:
    log = RunLog(tmp_path, CONFIG, 0)
    for step in range(10, 60, 10):
        log.add(record(step, held_out_loss=0.5 if step == 50 else None))
    log.close()
    return tmp_path


def test_a_log_is_read_back_as_it_was_written(folder) -> None:
    assert read_log(folder)[1] == record(20)
    assert read_log(folder)[4] == record(50, held_out_loss=0.5)


def test_half_a_line_of_a_killed_run_does_not_count(folder) -> None:
    with (folder / LOG).open("a") as file:
        file.write("60,0.01")
    assert [r.step for r in read_log(folder)] == [10, 20, 30, 40, 50]


def test_records_of_lost_work_are_dropped_when_the_run_goes_on(folder) -> None:
    RunLog(folder, CONFIG, 30).close()
    assert [r.step for r in read_log(folder)] == [10, 20, 30]


def test_a_damaged_log_is_told(folder) -> None:
    (folder / LOG).write_text("what,is,this\n1,2,3\n")
    with pytest.raises(DatasetError, match="no log of a training run"):
        read_log(folder)


def test_a_running_run_is_described_with_what_is_left(folder) -> None:
    text = describe_run(read_run(folder))
    assert "step 50 of 100 (50%)" in text
    assert "loss       0.02000" in text
    assert "held out   0.50000" in text
    assert "100 s left" not in text
    assert "2 min left" in text  # 50 steps of 16 crops at 8 a second


def test_a_finished_run_is_told_from_a_stopped_one(folder) -> None:
    long_ago = time.time() - 7200
    os.utime(folder / LOG, (long_ago, long_ago))
    assert "silent for 2 h 0 min" in describe_run(read_run(folder))
    log = RunLog(folder, CONFIG, 50)
    log.add(record(100))
    log.close()
    assert "finished" in describe_run(read_run(folder))


def test_a_run_that_has_not_logged_yet_is_described(tmp_path) -> None:
    RunLog(tmp_path, replace(CONFIG, log_steps=5), 0).close()
    assert "no step logged yet" in describe_run(read_run(tmp_path))


def test_a_folder_without_a_run_is_told(tmp_path) -> None:
    with pytest.raises(DatasetError, match="holds no training run"):
        read_run(tmp_path)


def test_bars_follow_the_values_on_a_logarithmic_scale() -> None:
    assert bars([1.0, 0.1, 0.01], 3) == "█▅▁"
    assert len(bars(range(1, 1000), 60)) == 60
    assert bars([0.3], 60) == "▁"


def test_time_spans_are_told_in_the_units_that_matter() -> None:
    assert [duration(s) for s in (5, 89, 600, 5400, 9000, 3600 * 60)] == [
        "5 s",
        "89 s",
        "10 min",
        "1 h 30 min",
        "2 h 30 min",
        "2.5 days",
    ]
