"""Checkpoints by name: those of the registries, a verified cache and files of one's own.

torch takes seconds to import and pooch a tenth of one: the functions that need them import them,
so that checkpoints can be listed at once.
"""

from napari_nudiff.checkpoints.cache import cache_folder
from napari_nudiff.checkpoints.download import (
    ProgressBar,
    base_url,
    fetch_checkpoint,
    needs_fetching,
    set_base_url,
)
from napari_nudiff.checkpoints.integrity import local_path, verify_checkpoint
from napari_nudiff.checkpoints.inventory import (
    State,
    free_bytes,
    is_removable,
    state_of,
    used_bytes,
)
from napari_nudiff.checkpoints.models import (
    describe_file,
    find_checkpoint,
    is_official,
    load_model,
    unload_models,
)
from napari_nudiff.checkpoints.own import add_checkpoint, remove_checkpoint
from napari_nudiff.checkpoints.registry import (
    DEFAULT_IMAGE,
    DEFAULT_STRUCTURE,
    Checkpoint,
    default_checkpoint,
    list_checkpoints,
)

__all__ = [
    "DEFAULT_IMAGE",
    "DEFAULT_STRUCTURE",
    "Checkpoint",
    "ProgressBar",
    "State",
    "add_checkpoint",
    "base_url",
    "cache_folder",
    "default_checkpoint",
    "describe_file",
    "fetch_checkpoint",
    "find_checkpoint",
    "free_bytes",
    "is_official",
    "is_removable",
    "list_checkpoints",
    "load_model",
    "local_path",
    "needs_fetching",
    "remove_checkpoint",
    "set_base_url",
    "state_of",
    "unload_models",
    "used_bytes",
    "verify_checkpoint",
]
