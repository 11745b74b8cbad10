"""What of the checkpoints is on this machine, and how much room it takes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from napari_nudiff.checkpoints.cache import cache_folder
from napari_nudiff.checkpoints.integrity import local_path
from napari_nudiff.checkpoints.registry import Checkpoint
from napari_nudiff.errors import CheckpointError

State = Literal["embedded", "fetched", "not fetched", "own file", "missing"]


def state_of(checkpoint: Checkpoint) -> State:
    """Where a checkpoint is, in a word.

    "embedded" comes with the package, "fetched" lies in the cache, "not fetched" can be had from
    the network, "own file" was added by the user, and "missing" is one of the first or the fourth
    kind whose file is gone.
    """
    here = local_path(checkpoint) is not None
    if checkpoint.embedded or checkpoint.own:
        kept: State = "embedded" if checkpoint.embedded else "own file"
        return kept if here else "missing"
    return "fetched" if here else "not fetched"


def is_removable(checkpoint: Checkpoint) -> bool:
    """Whether `remove_checkpoint` may delete it: an own file, or one that can be fetched again."""
    return checkpoint.own or state_of(checkpoint) == "fetched"


def used_bytes() -> int:
    """Room that the cache takes on the disk."""
    try:
        return sum(path.stat().st_size for path in cache_folder().rglob("*") if path.is_file())
    except OSError:  # another process deletes something at this moment
        return 0


def free_bytes() -> int:
    """Room that is left on the disk of the cache.

    Raises
    ------
    CheckpointError
        The disk cannot be asked.
    """
    folder = _existing(cache_folder().absolute())
    try:
        return shutil.disk_usage(folder).free
    except OSError as error:
        raise CheckpointError(f"Cannot ask the disk of {folder}: {error}.") from error


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.parents) if place.exists())
