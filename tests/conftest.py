"""Tiny real networks as checkpoint files: the same code paths as the trained ones, in seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_nudiff.diffusion.weights import Header, write_weights

from .networks import IMAGE, SCALED_IMAGE, SCALED_STRUCTURE, STRUCTURE, randomised

KINDS = {
    "image": IMAGE,
    "structure": STRUCTURE,
    "scaled-image": SCALED_IMAGE,
    "scaled-structure": SCALED_STRUCTURE,
}


def write_tiny_checkpoint(path: Path, kind: str, seed: int = 0) -> Path:
    """Write an untrained network of a kind; its zero-initialised layers are random too."""
    config, role = KINDS[kind], kind.removeprefix("scaled-")
    codes = torch.rand(8, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    bank = codes if config.has("appearance") else None
    write_weights(path, randomised(config, seed), Header(role, config), torch.float16, bank)
    return path


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Path of a tiny checkpoint of a kind: "image" or "structure", "scaled-" if it is given the
    resolution, and an image model the appearance.
    """
    folder = tmp_path_factory.mktemp("checkpoints")
    paths = {k: write_tiny_checkpoint(folder / f"{k}.safetensors", k) for k in KINDS}
    return lambda kind: str(paths[kind])


@pytest.fixture
def layout() -> NDArray[np.int32]:
    """Three round nuclei, one cut by the border, on 72 x 100 px (no multiple of anything)."""
    rows, cols = np.mgrid[:72, :100]
    labels = np.zeros((72, 100), dtype=np.int32)
    for i, (row, col) in enumerate([(20, 25), (40, 60), (2, 80)], start=1):
        labels[np.hypot(rows - row, cols - col) < 9] = i
    return labels
