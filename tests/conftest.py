"""Tiny real networks as checkpoint files: the same code paths as the trained ones, in seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_nudiff.diffusion.weights import Header, write_weights

from .networks import IMAGE, STRUCTURE, randomised


def write_tiny_checkpoint(path: Path, role: str, seed: int = 0) -> Path:
    """Write an untrained network of a role; its zero-initialised layers are random too."""
    config = IMAGE if role == "image" else STRUCTURE
    write_weights(path, randomised(config, seed), Header(role, config), torch.float16)
    return path


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Path of a tiny checkpoint of a role, "image" or "structure"."""
    folder = tmp_path_factory.mktemp("checkpoints")
    paths = {
        r: write_tiny_checkpoint(folder / f"{r}.safetensors", r) for r in ("image", "structure")
    }
    return lambda role: str(paths[role])


@pytest.fixture
def layout() -> NDArray[np.int32]:
    """Three round nuclei, one cut by the border, on 72 x 100 px (no multiple of anything)."""
    rows, cols = np.mgrid[:72, :100]
    labels = np.zeros((72, 100), dtype=np.int32)
    for i, (row, col) in enumerate([(20, 25), (40, 60), (2, 80)], start=1):
        labels[np.hypot(rows - row, cols - col) < 9] = i
    return labels
