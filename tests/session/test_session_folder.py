"""Sessions on disk: saved whole or not at all, locked while they are used, found after a crash."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.dataset.pair_file import write_pair
from napari_nudiff.errors import DatasetError
from napari_nudiff.session.session_folder import (
    SessionFolder,
    delete_session,
    open_session,
    recoverable_sessions,
    save_session,
)


@pytest.fixture(autouse=True)
def sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where sessions of running and crashed programs are."""
    monkeypatch.setenv("NUDIFF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "sessions"


def pair(value: int, name: str = "mine") -> Pair:
    labels = np.full((24, 32), value, np.int32)
    image = np.random.default_rng(value).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    sample = Pair(Layout(labels), image, provenance={"request": {"seed": value}})
    return replace(
        sample,
        name=name,
        spatial={"scale": [0.5, 0.5]},
        notes={"created_utc": "2026-11-23T11:00:00Z"},
    )


def layout(value: int, name: str) -> Pair:
    return Pair(Layout(np.full((8, 9), value, np.int32)), name=name, spatial={"scale": [2.0, 2.0]})


def about(**values: object) -> dict:
    return {"order": [], "starred": [], "applied": [], **values}


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


# Saving and opening


def test_a_session_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    write_pair(tmp_path / "b.nudiff", pair(2))
    folder = tmp_path / "new" / "mine.nudiff"
    known = about(order=["b", "a"], starred=["a"], applied=["b"], settings={"seed": 5})
    save_session(
        folder,
        {"b": tmp_path / "b.nudiff", "a": pair(1)},
        [layout(3, "first"), layout(4, "second")],
        known,
    )
    stored = open_session(folder)
    assert list(stored.results) == ["b", "a"]
    assert stored.about == known
    assert [(one.name, one.labels[0, 0]) for one in stored.layouts] == [
        ("first", 3),
        ("second", 4),
    ]
    assert stored.layouts[0].spatial == {"scale": [2.0, 2.0]}
    assert stored.damaged == []
    assert list(tmp_path.glob(".*")) == list(folder.parent.glob(".*")) == []


def test_a_saved_session_replaces_the_older_one_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "mine.nudiff"
    save_session(folder, {"a": pair(1)}, [layout(3, "old")], about(order=["a"]))
    save_session(folder, {"b": pair(2)}, [], about(order=["b"]))
    stored = open_session(folder)
    assert (list(stored.results), stored.layouts) == (["b"], [])
    assert [path.name for path in tmp_path.iterdir()] == ["mine.nudiff"]


def test_a_session_can_be_saved_over_that_which_it_was_opened_from(tmp_path: Path) -> None:
    folder = tmp_path / "mine.nudiff"
    save_session(folder, {"a": pair(1), "b": pair(2)}, [], about())
    opened = open_session(folder).results
    save_session(folder, {"a": opened["a"], "c": pair(3)}, [], about())
    assert sorted(open_session(folder).results) == ["a", "c"]


def test_a_result_that_cannot_be_read_leaves_the_older_session_alone(tmp_path: Path) -> None:
    folder = tmp_path / "mine.nudiff"
    save_session(folder, {"a": pair(1)}, [layout(3, "old")], about(order=["a"]))
    before = contents(folder)
    with pytest.raises(DatasetError, match=r"gone\.nudiff.*Nothing was changed"):
        save_session(folder, {"b": pair(2), "c": tmp_path / "gone.nudiff"}, [], about())
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["mine.nudiff"]


def test_the_older_session_is_put_back_if_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mine.nudiff"
    save_session(folder, {"a": pair(1)}, [], about(order=["a"]))
    before, rename = contents(folder), Path.rename

    def refused(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise PermissionError("a program has it open")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(DatasetError, match="a program has it open"):
        save_session(folder, {"b": pair(2)}, [], about(order=["b"]))
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["mine.nudiff"]


def test_what_is_no_session_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("a year's work")
    write_pair(tmp_path / "pair.nudiff", pair(1))
    before = contents(tmp_path)
    for taken in ("thesis", "pair.nudiff"):
        with pytest.raises(DatasetError, match="is no session"):
            save_session(tmp_path / taken, {}, [], about())
    assert contents(tmp_path) == before


# Damage


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    folder = tmp_path / "mine.nudiff"
    known = about(order=["c", "b", "a"], starred=["a"], settings={"seed": 1})
    save_session(
        folder,
        {"a": pair(1), "b": pair(2), "c": pair(3)},
        [layout(4, "one"), layout(5, "two")],
        known,
    )
    return folder


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize("damage", ["cut", "pixels", "emptied"])
def test_a_damaged_result_is_named_and_the_others_come_back(saved: Path, damage: str) -> None:
    path = saved / "results" / "b.nudiff"
    if damage == "pixels":
        flip(path, 200)
    else:
        path.write_bytes(path.read_bytes()[: 400 if damage == "cut" else 0])
    stored = open_session(saved)
    assert list(stored.results) == ["c", "a"]
    assert len(stored.layouts) == 2
    assert [str(path) in reason for reason in stored.damaged] == [True]


def test_a_damaged_layout_is_named_and_the_others_come_back(saved: Path) -> None:
    path = saved / "layouts" / "000.nudiff"
    path.write_bytes(b"PK nothing")
    stored = open_session(saved)
    assert [one.name for one in stored.layouts] == ["two"]
    assert len(stored.results) == 3
    assert [str(path) in reason for reason in stored.damaged] == [True]


def test_a_starred_result_without_a_file_is_named(saved: Path) -> None:
    (saved / "results" / "a.nudiff").unlink()
    stored = open_session(saved)
    assert list(stored.results) == ["c", "b"]
    assert [("a.nudiff is missing" in reason) for reason in stored.damaged] == [True]


@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_results_are_found_without_what_was_known_of_them(saved: Path, text: str) -> None:
    (saved / "session.json").write_text(text)
    stored = open_session(saved)
    assert sorted(stored.results) == ["a", "b", "c"]
    assert stored.about == {}
    assert "session.json cannot be read" in stored.damaged[0]


def test_values_of_another_kind_are_left_out(saved: Path) -> None:
    wrong = {"schema": 1, "order": "abc", "starred": ["a", 7, {}], "settings": []}
    (saved / "session.json").write_text(json.dumps(wrong))
    stored = open_session(saved)
    assert stored.about == {"starred": ["a"]}
    assert sorted(stored.results) == ["a", "b", "c"]


def test_a_session_of_a_newer_version_is_refused(saved: Path) -> None:
    (saved / "session.json").write_text(json.dumps({"schema": 99}))
    with pytest.raises(DatasetError, match=r"schema 99.*Update"):
        open_session(saved)


def test_any_other_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is no session of ours"):
        open_session(tmp_path)


# Folders of running and crashed programs


def starred_session() -> SessionFolder:
    folder = SessionFolder.automatic()
    folder.write_result("a", pair(1))
    folder.write_about(about(starred=["a"]))
    return folder


def test_a_session_that_runs_cannot_be_recovered_by_another(sessions: Path) -> None:
    running, ended = starred_session(), starred_session()
    ended.close()
    assert recoverable_sessions() == [ended.path]
    assert open_session(running.path).results
    running.close()
    assert sorted(recoverable_sessions()) == sorted([running.path, ended.path])


def test_a_program_of_its_own_respects_the_lock(sessions: Path) -> None:
    running = starred_session()
    code = (
        "from napari_nudiff.session.session_folder import recoverable_sessions;"
        "print(len(recoverable_sessions()))"
    )

    def seen_by_another() -> str:
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert found.returncode == 0, found.stderr
        return found.stdout.strip()

    assert seen_by_another() == "0"
    running.close()
    assert seen_by_another() == "1"


def known_of(folder: Path) -> dict:
    return json.loads((folder / "session.json").read_text())


def test_no_two_sessions_share_a_folder(tmp_path: Path) -> None:
    first, second = SessionFolder(tmp_path / "one"), SessionFolder(tmp_path / "one")
    first.write_about(about(starred=["a"]))
    with pytest.raises(DatasetError, match="one"):
        second.write_about(about())
    assert known_of(tmp_path / "one")["starred"] == ["a"]
    first.close()
    second.write_about(about())
    assert known_of(tmp_path / "one")["starred"] == []


def test_a_session_with_nothing_dear_is_deleted_once_its_program_is_gone(sessions: Path) -> None:
    spilled, unstarred = SessionFolder.automatic(), starred_session()
    spilled.write_result("b", pair(2))
    spilled.write_about(about(order=["b"]))
    unstarred.write_about(about())
    assert recoverable_sessions() == []
    assert spilled.path.is_dir() and unstarred.path.is_dir()
    spilled.close()
    unstarred.close()
    assert recoverable_sessions() == []
    assert list(sessions.iterdir()) == []


def test_results_whose_marks_are_damaged_are_recovered(sessions: Path) -> None:
    folder = starred_session()
    folder.close()
    (folder.path / "session.json").write_text("{")
    assert recoverable_sessions() == [folder.path]
    delete_session(folder.path)
    assert list(sessions.iterdir()) == []


def test_a_session_that_ended_well_leaves_nothing(sessions: Path) -> None:
    folder = starred_session()
    folder.delete()
    SessionFolder.automatic().delete()
    assert list(sessions.iterdir()) == []


def test_what_was_never_written_makes_no_folder(sessions: Path) -> None:
    folder = SessionFolder.automatic()
    folder.forget(("a",), about())
    folder.close()
    assert not sessions.exists()


def test_a_place_that_cannot_be_written_is_told(sessions: Path) -> None:
    sessions.parent.mkdir()
    sessions.write_text("in the way")
    with pytest.raises(DatasetError, match=r"sessions.*Nothing was changed"):
        SessionFolder.automatic().write_result("a", pair(1))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_read_only_folder_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(DatasetError, match="Nothing was changed"):
            save_session(tmp_path / "mine.nudiff", {}, [], about())
    finally:
        tmp_path.chmod(0o700)
    assert list(tmp_path.iterdir()) == []


def test_a_lock_can_be_given_back_by_another_thread(sessions: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        folder = pool.submit(starred_session).result()
        folder.close()
        assert recoverable_sessions() == [folder.path]
