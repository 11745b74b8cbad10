"""Where the file of a checkpoint lies, and whether it is the registered one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from napari_nudiff.checkpoints.cache import cache_folder, own_folder
from napari_nudiff.checkpoints.registry import Checkpoint
from napari_nudiff.errors import CheckpointError

_WEIGHTS = Path(__file__).parents[1] / "weights"


def place_of(checkpoint: Checkpoint) -> Path:
    """Where the file of a checkpoint belongs, whether or not it is there."""
    if checkpoint.embedded:
        return _WEIGHTS / checkpoint.file
    return (own_folder() if checkpoint.own else cache_folder()) / checkpoint.file


def local_path(checkpoint: Checkpoint) -> Path | None:
    """Where a checkpoint lies on this machine, verified or not; None where it does not."""
    path = place_of(checkpoint)
    return path if path.is_file() else None


def sha256_of(path: Path) -> str:
    """The sha256 of a file, read from the first byte to the last.

    Raises
    ------
    CheckpointError
        The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"Cannot read {path}: {error}. Check the path.") from error


def fingerprint(path: Path) -> str:
    """The sha256 of a file, computed once per process as long as the file stays the same.

    Raises
    ------
    CheckpointError
        The file cannot be read.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise CheckpointError(f"Cannot read {path}: {error}. Check the path.") from error
    return _remembered_sha256(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _remembered_sha256(path: Path, size_bytes: int, changed_ns: int) -> str:
    return sha256_of(path)


def verify_checkpoint(checkpoint: Checkpoint) -> Path:
    """Compare the file of a checkpoint with its fingerprint, byte by byte.

    Returns
    -------
    Path
        The intact file.

    Raises
    ------
    CheckpointError
        It is missing, damaged or another one.
    """
    return intact_path(checkpoint, sha256_of)


def intact_path(checkpoint: Checkpoint, digest: Callable[[Path], str] = fingerprint) -> Path:
    """The file of a checkpoint, if it is the registered one.

    Raises
    ------
    CheckpointError
        It is missing, damaged or another one.
    """
    path = local_path(checkpoint)
    if path is None:
        raise CheckpointError(
            f"{checkpoint.name} is not on this machine: {place_of(checkpoint)} does not exist. "
            f"{_cure(checkpoint)}"
        )
    found = digest(path)
    if found != checkpoint.sha256:
        raise CheckpointError(
            f"{checkpoint.name} is damaged or was replaced: {path} ({path.stat().st_size} bytes) "
            f"has the sha256 {found[:12]}…; {checkpoint.sha256[:12]}… ({checkpoint.size_bytes} "
            f"bytes) is registered. The file was left as it is. {_cure(checkpoint)}"
        )
    return path


def _cure(checkpoint: Checkpoint) -> str:
    if checkpoint.embedded:
        return "Install napari-nudiff again."
    if checkpoint.own:
        return "Delete it from the list and add the file again."
    return f"Download it in the Models dock, or with `nudiff models fetch {checkpoint.name}`."
