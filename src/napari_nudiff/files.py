"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from napari_nudiff.errors import DatasetError, NudiffError


@contextmanager
def atomic_path(path: Path, error_type: type[NudiffError] = DatasetError) -> Iterator[Path]:
    """A path of the same name that replaces ``path`` when the block succeeds.

    It lies in a temporary folder beside ``path``, and gets the permissions of any new file: some
    libraries (safetensors) write files that only their owner may read.

    Parameters
    ----------
    path : Path
        Its folder is made where there is none.
    error_type : type, optional
        What to raise where the file cannot be written.

    Raises
    ------
    NudiffError
        Of ``error_type``: the folder cannot be written to, or the disk is full; ``path`` is then
        as it was.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".new-") as folder:
            staged = Path(folder) / path.name
            staged.touch()
            usual_mode = staged.stat().st_mode
            yield staged
            staged.chmod(usual_mode)
            staged.replace(path)
    except OSError as error:
        raise error_type(f"Cannot write {path}: {error}. Nothing was changed.") from error


def replace_folder(target: Path, staged: Path, old: Path) -> None:
    """Put a folder in the place of another; where that fails the other is put back.

    Parameters
    ----------
    target : Path
        Where it goes; there need be nothing.
    staged : Path
        The new one, on the same disk.
    old : Path
        Where the one that is there goes; the caller deletes it.

    Raises
    ------
    OSError
        It cannot be moved.
    """
    with suppress(FileNotFoundError):
        target.rename(old)
    try:
        staged.rename(target)
    except OSError:
        if old.exists() and not target.exists():
            old.rename(target)
        raise


def parse_json(text: str | bytes) -> Any:
    """Values of a JSON text of unknown origin.

    Raises
    ------
    ValueError
        It is no JSON, or nested so deeply that nobody wrote it.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
