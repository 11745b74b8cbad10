"""Files of one's own: copied into the cache, known by name, forgotten."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_nudiff.checkpoints.cache import own_folder
from napari_nudiff.checkpoints.integrity import local_path, place_of, sha256_of
from napari_nudiff.checkpoints.models import (
    describe_file,
    find_checkpoint,
    is_official,
    is_path,
    load_file,
)
from napari_nudiff.checkpoints.registry import Checkpoint, list_checkpoints, own_changed
from napari_nudiff.errors import CheckpointError
from napari_nudiff.files import atomic_path

if TYPE_CHECKING:
    from napari_nudiff.diffusion.weights import Model

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def add_checkpoint(
    path: Path,
    name: str | None = None,
    role: str | None = None,
    licence: str = "unknown",
    *,
    head_channels: int = 64,
) -> Checkpoint:
    """Make a checkpoint file of one's own available by name: a copy of it goes into the cache.

    Parameters
    ----------
    path : Path
        A nudiff ``.safetensors`` file, or one of the authors' ``.pt`` files: these are converted
        to safetensors with a header, in float32.
    name : str, optional
        The file name without its suffix by default.
    role : str, optional
        "structure" or "image"; the file must be of this role.
    licence : str
        Of the weights; "unknown" takes what the file says.
    head_channels : int
        Width of an attention head of an authors' network, which is not in the file.

    Returns
    -------
    Checkpoint

    Raises
    ------
    CheckpointError
        The file is no checkpoint, is damaged, holds NaN, or is of another role; the name exists
        or is none; the cache cannot be written to. Nothing was added then.
    """
    path = Path(path)
    name = path.stem if name is None else name
    _require_new(name)
    model = load_file(path, head_channels)
    if role not in (None, model.header.role):
        raise CheckpointError(
            f"{path} is a {model.header.role} model, not a {role} model. Nothing was added; leave "
            "the role out or give the right file."
        )
    target = own_folder() / f"{name}.safetensors"
    with atomic_path(target, CheckpointError) as staged:
        _copy(path, model, licence, staged)
        added = replace(describe_file(staged), name=name, file=target.name)
        if licence != "unknown":
            added = replace(added, licence=licence)
        with own_changed() as listed:  # if this fails, the copy goes too
            _require_new(name)  # still
            listed.append(added)
    return added


def remove_checkpoint(name: str) -> None:
    """Forget a checkpoint that was added, or delete the fetched file of another.

    The file that a checkpoint was added from is not touched.

    Raises
    ------
    CheckpointError
        It is embedded, not in the cache, or has no such name.
    """
    checkpoint = find_checkpoint(name)
    if checkpoint.embedded or checkpoint not in list_checkpoints():
        raise CheckpointError(
            f"{name} was not added or fetched, so it cannot be removed. Nothing was changed."
        )
    if checkpoint.own:
        with own_changed() as listed:
            listed[:] = [c for c in listed if c.name != name]
    elif local_path(checkpoint) is None:
        raise CheckpointError(f"{name} is not in the cache; there is nothing to remove.")
    path = place_of(checkpoint)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise CheckpointError(f"Cannot delete {path}: {error}. Delete it by hand.") from error


def _require_new(name: str) -> None:
    if not _NAME.fullmatch(name) or is_path(name):
        raise CheckpointError(
            f"{name!r} is no name for a checkpoint: up to 100 letters, digits, '.', '_' and '-' "
            "are needed, a letter or digit first and no file suffix last. Nothing was added; give "
            "another name."
        )
    # Some file systems ignore case.
    if name.lower() in {c.name.lower() for c in list_checkpoints()}:
        raise CheckpointError(
            f"There is a checkpoint {name!r} already. Nothing was added; give another name, or "
            "remove the old one first."
        )


def _copy(path: Path, model: Model, licence: str, target: Path) -> None:
    """Copy a file; an authors' network is written as ours, in the float32 it was checked in."""
    if not is_official(path):
        shutil.copyfile(path, target)
        return
    import torch

    from napari_nudiff.diffusion.weights import write_weights

    card = {"licence": licence, "converted_from": path.name, "source_sha256": sha256_of(path)}
    write_weights(target, model.unet, replace(model.header, card=card), torch.float32)
