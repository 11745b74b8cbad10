"""Small real files to train on, and a run of a few steps."""

from pathlib import Path

import numpy as np
import pytest

from napari_nudiff.dataset.images import write_layout, write_rgb
from napari_nudiff.nuclei.layout import scatter_nuclei
from napari_nudiff.training.config import Stage, TrainConfig

from ..networks import IMAGE


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for i, stem in enumerate(["a_1", "a_2", "b_1"]):
        labels = scatter_nuclei((72, 80), density=0.3, mean_area_px=200, seed=i)
        image = np.where(labels[..., None] > 0, (90, 60, 140), (230, 180, 210)).astype(np.uint8)
        write_rgb(folder / "images" / f"{stem}.png", image)
        write_layout(folder / "labels" / f"{stem}.tif", labels)
    return folder


@pytest.fixture
def config(data, tmp_path) -> TrainConfig:
    """Two stages, so that every test crosses from one to the other."""
    return TrainConfig(
        data=(str(data),),
        out=str(tmp_path / "run"),
        held_out=("b_*",),
        stages=(
            Stage(steps=2, crop_px=32, batch_crops=4, warmup_steps=2),
            Stage(steps=2, crop_px=64, batch_crops=2, warmup_steps=0, learning_rate=1e-4),
        ),
        save_steps=2,
        log_steps=1,
        precision="fp32",
        device="cpu",
        network=IMAGE,
    )
