"""Real-looking pairs that are easy to segment, on disk."""

from pathlib import Path

import numpy as np
import pytest

from napari_nudiff.dataset.images import write_layout, write_rgb
from napari_nudiff.nuclei.layout import scatter_nuclei


def tissue(labels, seed: int = 0):
    """Dark nuclei on light tissue, with noise."""
    rng = np.random.default_rng(seed)
    image = np.where(labels[..., None] > 0, (90, 60, 140), (230, 180, 210))
    return (image + rng.normal(0, 6, image.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated")
    for i, stem in enumerate(["a_1", "a_2", "b_1", "b_2"]):
        labels = scatter_nuclei((96, 96), density=0.25, mean_area_px=200, seed=i)
        write_rgb(folder / "images" / f"{stem}.png", tissue(labels, i))
        write_layout(folder / "labels" / f"{stem}.tif", labels)
    return folder
