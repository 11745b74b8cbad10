"""Checkpoints by name: those of the registries, a verified cache and files of one's own.

torch takes seconds to import and pooch a tenth of one: the functions that need them import them,
so that checkpoints can be listed at once.
"""

from napari_nudiff.checkpoints.cache import cache_folder
from napari_nudiff.checkpoints.download import (
    ProgressBar,
    base_url,
    fetch_checkpoint,
    set_base_url,
)
from napari_nudiff.checkpoints.integrity import local_path, verify_checkpoint
from napari_nudiff.checkpoints.models import find_checkpoint, load_model
from napari_nudiff.checkpoints.own import add_checkpoint, remove_checkpoint
from napari_nudiff.checkpoints.registry import Checkpoint, default_checkpoint, list_checkpoints

__all__ = [
    "Checkpoint",
    "ProgressBar",
    "add_checkpoint",
    "base_url",
    "cache_folder",
    "default_checkpoint",
    "fetch_checkpoint",
    "find_checkpoint",
    "list_checkpoints",
    "load_model",
    "local_path",
    "remove_checkpoint",
    "set_base_url",
    "verify_checkpoint",
]
