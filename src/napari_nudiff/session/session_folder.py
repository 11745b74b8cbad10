"""The folder of a session: its results, and what else is to be found again."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from napari_nudiff.checkpoints.cache import cache_folder
from napari_nudiff.dataset.pair import Pair
from napari_nudiff.dataset.pair_file import EXTENSION, read_about, read_pair, write_pair
from napari_nudiff.errors import DatasetError
from napari_nudiff.files import atomic_path, parse_json, replace_folder

SCHEMA = 1
_ABOUT, _RESULTS, _LAYOUTS = "session.json", "results", "layouts"
_IDS = {"order", "starred", "applied"}
_KINDS = dict.fromkeys(_IDS, list) | {"settings": dict}


@dataclass(frozen=True)
class StoredSession:
    """What a session folder holds.

    Attributes
    ----------
    results : dict of str to Path
        Files by the ids of the results, the oldest first.
    layouts : list of Pair
        The user's own layouts.
    about : dict
        JSON values: "order", "starred" and "applied" ids, "settings"; none of them must be there.
    damaged : list of str
        Which files were left out, and why.
    """

    results: dict[str, Path]
    layouts: list[Pair]
    about: dict[str, Any]
    damaged: list[str] = field(default_factory=list)


class SessionFolder:
    """A folder that this process owns as long as it runs, where results are kept.

    Parameters
    ----------
    path : Path
        Made when something is written. The lock lies beside it, and is held before there is a
        folder: no other process ever sees the folder without an owner.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: FileLock | None = None

    @classmethod
    def automatic(cls) -> SessionFolder:
        """A new folder among those of crashed and running sessions."""
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        return cls(_automatic_folder() / f"{stamp}-{os.getpid()}-{time.monotonic_ns() % 10**6}")

    def file_of(self, result_id: str) -> Path:
        """Where a result is, or would be."""
        return self.path / _RESULTS / f"{result_id}{EXTENSION}"

    def write_result(self, result_id: str, result: Pair | Path) -> Path:
        """Keep a result that is in memory, or in a file of another folder.

        Raises
        ------
        DatasetError
            It cannot be written.
        """
        self._own()
        _write_result(self.file_of(result_id), result)
        return self.file_of(result_id)

    def write_about(self, about: dict[str, Any]) -> None:
        """Keep what is known of the session.

        Raises
        ------
        DatasetError
            It cannot be written.
        """
        self._own()
        _write_about(self.path, about)

    def forget(self, result_ids: tuple[str, ...], about: dict[str, Any]) -> None:
        """Delete results; nothing happens where nothing was written yet.

        Raises
        ------
        DatasetError
            What is known of the session cannot be written.
        """
        if self._lock is None:
            return
        _write_about(self.path, about)
        for result_id in result_ids:
            with suppress(OSError):
                self.file_of(result_id).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the folder, which stays."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def delete(self) -> None:
        """Delete the folder and let go of it: the session ended as it should."""
        if self._lock is not None:
            delete_session(self.path)
            self.close()

    def _own(self) -> None:
        if self._lock is not None:
            return
        lock = _lock_of(self.path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
            self.path.mkdir(exist_ok=True)
        except (OSError, Timeout) as error:
            lock.release()
            raise DatasetError(
                f"Cannot write {self.path}: {error}. Nothing was changed."
            ) from error
        self._lock = lock


def save_session(
    folder: Path, results: Mapping[str, Pair | Path], layouts: list[Pair], about: dict[str, Any]
) -> None:
    """Write a session; an older one of that name is replaced once the new one is complete.

    Parameters
    ----------
    folder : Path
    results : mapping
        By id: in memory, or in a file.
    layouts : list of Pair
    about : dict
        See `StoredSession`.

    Raises
    ------
    DatasetError
        It cannot be written; what was there stays.
    """
    folder = Path(folder)
    if folder.exists() and not (folder / _ABOUT).is_file():
        raise DatasetError(
            f"{folder} is there and is no session. Nothing was changed; choose another name."
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=folder.parent, prefix=".new-", ignore_cleanup_errors=True
        ) as room:
            staged = Path(room) / "new"
            _fill(staged, results, layouts, about)
            replace_folder(folder, staged, Path(room) / "old")
    except OSError as error:
        raise DatasetError(f"Cannot write {folder}: {error}. Nothing was changed.") from error


def open_session(folder: Path) -> StoredSession:
    """What a session folder holds; damaged files are left out and named.

    Raises
    ------
    DatasetError
        It is no session folder, or one of a newer version.
    """
    folder, damaged = Path(folder), list[str]()
    about = _read_about(folder, damaged)
    order = {result_id: place for place, result_id in enumerate(about.get("order", []))}
    files = sorted(
        (folder / _RESULTS).glob(f"*{EXTENSION}"),
        key=lambda path: (order.get(path.stem, len(order)), path.name),
    )
    results = {path.stem: path for path in files if _is_intact(path, damaged)}
    layouts = []
    for path in sorted((folder / _LAYOUTS).glob(f"*{EXTENSION}")):
        try:
            layouts.append(read_pair(path))
        except DatasetError as error:
            damaged.append(str(error))
    _name_lost({*about.get("starred", []), *about.get("applied", [])}, files, folder, damaged)
    return StoredSession(results, layouts, about, damaged)


def recoverable_sessions() -> list[Path]:
    """Folders of sessions that ended with starred or applied results in them, the newest first.

    Those of programs that still run are not among them; those with nothing dear are deleted.
    """
    folders = (path for path in _automatic_folder().glob("*") if path.is_dir())
    return [path for path in sorted(folders, reverse=True) if _recover_or_delete(path)]


def delete_session(folder: Path) -> None:
    """Delete the folder of a session that ended, and its lock."""
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # Windows keeps files that are open
        _lock_file(folder).unlink(missing_ok=True)


def _automatic_folder() -> Path:
    return cache_folder() / "sessions"


def _lock_of(folder: Path) -> FileLock:
    """The lock of a folder; whatever thread takes it, any other may let go of it."""
    return FileLock(_lock_file(folder), timeout=0, thread_local=False)


def _lock_file(folder: Path) -> Path:
    return folder.with_name(folder.name + ".lock")


def _recover_or_delete(folder: Path) -> bool:
    """Whether a session crashed with results worth recovering; its folder is deleted otherwise."""
    lock = _lock_of(folder)
    try:
        with lock:
            if _holds_dear(folder):
                return True
            delete_session(folder)
    except (OSError, Timeout):
        pass
    return False


def _holds_dear(folder: Path) -> bool:
    kept = {path.stem for path in (folder / _RESULTS).glob(f"*{EXTENSION}")}
    damaged: list[str] = []
    try:
        about = _read_about(folder, damaged)
    except DatasetError:
        return bool(kept)  # a newer version may know what they are
    return bool(kept if damaged else kept & {*about.get("starred", []), *about.get("applied", [])})


def _is_intact(path: Path, damaged: list[str]) -> bool:
    """Whether all of a file can be read: its checksums hold."""
    try:
        read_about(path)
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except (DatasetError, OSError, zipfile.BadZipFile) as error:
        damaged.append(str(error))
        return False
    if broken is not None:
        damaged.append(f"{path} is damaged: {broken} in it cannot be read.")
    return broken is None


def _name_lost(dear: set[str], files: list[Path], folder: Path, damaged: list[str]) -> None:
    """Name what was starred or applied and has no file."""
    lost = dear - {path.stem for path in files}
    damaged += [f"{folder / _RESULTS / result_id}{EXTENSION} is missing." for result_id in lost]


def _fill(
    folder: Path, results: Mapping[str, Pair | Path], layouts: list[Pair], about: dict[str, Any]
) -> None:
    folder.mkdir()
    for result_id, result in results.items():
        _write_result(folder / _RESULTS / f"{result_id}{EXTENSION}", result)
    for number, layout in enumerate(layouts):
        write_pair(folder / _LAYOUTS / f"{number:03d}{EXTENSION}", layout)
    _write_about(folder, about)


def _write_result(target: Path, result: Pair | Path) -> None:
    if isinstance(result, Pair):
        write_pair(target, result)
    else:
        with atomic_path(target) as staged:
            shutil.copyfile(result, staged)


def _write_about(folder: Path, about: dict[str, Any]) -> None:
    with atomic_path(folder / _ABOUT) as staged:
        staged.write_text(json.dumps({"schema": SCHEMA, **about}, indent=1) + "\n", "utf-8")


def _read_about(folder: Path, damaged: list[str]) -> dict[str, Any]:
    """What is known of a session; results are worth more than it, so it may be damaged."""
    try:
        about = parse_json((folder / _ABOUT).read_text("utf-8"))
        if not isinstance(about, dict):
            raise ValueError("it holds no object")
    except (OSError, ValueError) as error:
        if not (folder / _RESULTS).is_dir():
            raise DatasetError(
                f"{folder} is no session of ours: {error}. Nothing was changed; choose a folder "
                f"that was saved as a session, one with {_ABOUT} in it."
            ) from error
        damaged.append(f"{folder / _ABOUT} cannot be read ({error}): stars and settings are lost.")
        return {}
    if about.get("schema") != SCHEMA:
        raise DatasetError(
            f"{folder} has schema {about.get('schema')!r}; this version reads {SCHEMA}. Nothing "
            "was changed. Update napari-nudiff to open it."
        )
    known = {key: about[key] for key, kind in _KINDS.items() if isinstance(about.get(key), kind)}
    for key in _IDS & known.keys():
        known[key] = [value for value in known[key] if isinstance(value, str)]
    return known
