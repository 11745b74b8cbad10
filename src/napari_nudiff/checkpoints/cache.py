"""The folder of fetched and own checkpoints, with small JSON files of this user."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from napari_nudiff.errors import CheckpointError
from napari_nudiff.files import atomic_path, parse_json

_LOCK_TIMEOUT_S = 30.0


def cache_folder() -> Path:
    """Folder of fetched and own checkpoints: ``NUDIFF_CACHE``, or the system's usual place."""
    chosen = os.environ.get("NUDIFF_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    import pooch

    return Path(pooch.os_cache("napari-nudiff"))


def own_folder() -> Path:
    """Folder of the copies of the user's own files."""
    return cache_folder() / "own"


def read_json(name: str, kind: type) -> Any:
    """Values of a JSON file in the cache; empty ones where it does not exist.

    Raises
    ------
    CheckpointError
        The file cannot be read or holds something else than a ``kind``.
    """
    path = cache_folder() / name
    if not path.is_file():
        return kind()
    try:
        values = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise unreadable(name, error) from error
    if not isinstance(values, kind):
        raise unreadable(name, f"it holds a {type(values).__name__}, not a {kind.__name__}")
    return values


def write_json(name: str, values: object) -> None:
    """Write a JSON file into the cache.

    Raises
    ------
    CheckpointError
        It cannot be written; the old one stays.
    """
    with atomic_path(cache_folder() / name, CheckpointError) as staged:
        staged.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Keep other processes from changing a file of the cache at the same time.

    Raises
    ------
    CheckpointError
        The cache cannot be written to, or another process does not let go of the file.
    """
    path = cache_folder() / f"{name}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, timeout=_LOCK_TIMEOUT_S).acquire()
    except (OSError, Timeout) as error:
        raise CheckpointError(
            f"{cache_folder() / name} cannot be changed: {error}. Nothing was changed. Close other "
            "programs that use it, or check that the folder can be written to."
        ) from error
    with lock:
        yield


def unreadable(name: str, why: object) -> CheckpointError:
    """The error of a damaged JSON file in the cache."""
    return CheckpointError(
        f"{cache_folder() / name} cannot be read: {why}. Nothing was changed. Correct it, or "
        f"delete it and add again what it held; your checkpoint files stay in {own_folder()}."
    )
