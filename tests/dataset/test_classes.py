"""Classes of nuclei come back from the formats that have them, whatever happened to the numbers."""

from __future__ import annotations

import numpy as np
import pytest

from napari_nudiff.dataset.candidates import find_real
from napari_nudiff.dataset.checks import Rules
from napari_nudiff.dataset.writers import FORMATS
from napari_nudiff.dataset.writers.member import Member, Shard, Whole

NAMES = ("neoplastic", "dead")


@pytest.fixture
def member():
    labels = np.zeros((256, 256), np.uint16)
    for number in range(1, 7):
        labels[30 * number : 30 * number + 20, 40:80] = number
    image = np.random.default_rng(0).integers(0, 255, (256, 256, 3), dtype=np.uint8)
    return Member("tile", image, labels, np.array([1, 2, 1, 1, 2, 2]), 0.25)


@pytest.mark.parametrize("name", ["hovernet", "coco", "coco-polygons", "qupath", "pannuke"])
@pytest.mark.parametrize("target", [None, 0.5])
def test_classes_come_back(tmp_path, member, name, target):
    for package in FORMATS[name].packages:
        pytest.importorskip(package)
    form = FORMATS[name]
    form.write(tmp_path, Shard("train", 0, (member,), NAMES))
    form.finish(tmp_path, Whole("x", {"train": 1}, NAMES))
    for part in tmp_path.rglob("*.part-*"):
        part.unlink()
    (found,) = find_real(tmp_path, Rules(um_per_px=0.25, target_um_per_px=target))
    pair = found.load()
    told = pair.classes
    size = pair.labels.shape[0] / 256
    for number, wanted in enumerate(member.classes, start=1):
        here = pair.labels[round((30 * number + 10) * size), round(60 * size)]
        name_here = told[int(here)]
        assert name_here in {NAMES[wanted - 1], f"type {wanted}"}
