"""From a name or a path to a checkpoint, and to its network in memory."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from napari_nudiff.checkpoints.download import ProgressBar, fetch_checkpoint
from napari_nudiff.checkpoints.integrity import fingerprint
from napari_nudiff.checkpoints.official import open_official
from napari_nudiff.checkpoints.registry import (
    Checkpoint,
    list_checkpoints,
    read_own,
    read_registries,
)
from napari_nudiff.errors import CheckpointError
from napari_nudiff.nuclei.descriptors import UM_PER_PX

if TYPE_CHECKING:
    from napari_nudiff.diffusion.weights import Model

_OFFICIAL_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".tar")  # as in .pt.tar


def find_checkpoint(name: str | os.PathLike[str]) -> Checkpoint:
    """Find a checkpoint by its name, or by the path of a ``.safetensors`` or ``.pt`` file.

    Raises
    ------
    CheckpointError
        No model has this name, or the file is not a checkpoint.
    """
    name = os.fspath(name)
    # The user's own list comes last: if it is damaged, the rest still works.
    for checkpoint in read_registries()[1]:
        if checkpoint.name == name:
            return checkpoint
    if is_path(name):
        return describe_file(Path(name).expanduser().absolute())
    for checkpoint in read_own():
        if checkpoint.name == name:
            return checkpoint
    known = ", ".join(c.name for c in list_checkpoints())
    raise CheckpointError(
        f"There is no checkpoint {name!r}. Known are: {known}. Choose one of these, give the path "
        "of a .safetensors or .pt file, or add one with `nudiff models add FILE`."
    )


def load_model(name: str | os.PathLike[str], progress: ProgressBar | None = None) -> Model:
    """Load a checkpoint, fetching it first where needed.

    Its fingerprint is checked once per process, and the last three models stay in memory: callers
    share them.

    Parameters
    ----------
    name : str or path
        Name of a checkpoint, or the path of a file.
    progress : ProgressBar, optional
        Of the download.

    Raises
    ------
    DownloadError
        It could not be fetched.
    CheckpointError
        There is no such checkpoint, or its file is damaged or holds NaN.
    """
    checkpoint = find_checkpoint(name)
    return _loaded(fetch_checkpoint(checkpoint, progress), checkpoint.sha256)


@lru_cache(maxsize=3)
def _loaded(path: Path, sha256: str) -> Model:  # the fingerprint is part of the key
    return load_file(path)


def load_file(path: Path, head_channels: int = 64) -> Model:
    """Load a ``.safetensors`` file, or one of the authors' with its width of attention heads.

    Raises
    ------
    CheckpointError
        The file is no checkpoint, is damaged, or holds NaN.
    """
    from napari_nudiff.diffusion.weights import load_weights

    return open_official(path, head_channels) if is_official(path) else load_weights(path)


def unload_models() -> None:
    """Let go of the models that `load_model` keeps: memory is needed for something else."""
    _loaded.cache_clear()


def describe_file(path: Path) -> Checkpoint:
    """A file that was named by its path, in the words of the registry.

    Raises
    ------
    CheckpointError
        The file is no checkpoint.
    """
    from napari_nudiff.diffusion.weights import read_header

    # The authors' files have no header: their shapes identify them, and `load_model`
    # needs them next.
    sha256 = fingerprint(path)
    header = _loaded(path, sha256).header if is_official(path) else read_header(path)
    card = header.card
    return Checkpoint(
        name=str(path),
        role=header.role,
        file=str(path),
        size_bytes=path.stat().st_size,
        sha256=sha256,
        licence=str(card.get("licence", "unknown")),
        training_data=str(card.get("training_data", "unknown")),
        um_per_px=float(card.get("um_per_px", UM_PER_PX)),
        own=True,
        parametrisation=header.parametrisation,
        conditions=header.network.conditions,
    )


def is_path(name: str) -> bool:
    """Whether a name is the path of a checkpoint file, by its suffix."""
    return Path(name).suffix.lower() in (".safetensors", *_OFFICIAL_SUFFIXES)


def is_official(path: Path) -> bool:
    """Whether a file is one of the authors', by its suffix."""
    return path.suffix.lower() in _OFFICIAL_SUFFIXES
