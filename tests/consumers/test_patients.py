"""Who is held out from a trainer is said by name: a name that is wrong must not pass."""

from __future__ import annotations

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

from napari_nudiff.dataset.candidates import find_real
from napari_nudiff.dataset.export.options import ExportOptions
from napari_nudiff.dataset.export.plan import plan_set
from napari_nudiff.dataset.pair import Pair, PairRef
from napari_nudiff.errors import RequestError
from napari_nudiff.work import run
from tests.consumers.conftest import labels_of


@pytest.fixture
def patients(tmp_path) -> list[PairRef[Pair]]:
    """An image each of the patients 03 and 04."""
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for number, patient in enumerate(["03", "04"]):
        image = np.random.default_rng(number).integers(0, 255, (256, 256, 3), dtype=np.uint8)
        iio.imwrite(tmp_path / "images" / f"tnbc_{patient}_1.png", image)
        labels = labels_of(number).astype(np.uint16)
        tifffile.imwrite(tmp_path / "labels" / f"tnbc_{patient}_1.tif", labels)
    return find_real(tmp_path)


def planned(patients: list[PairRef[Pair]], **options):
    return run(plan_set(patients, ExportOptions(**options)))


def test_a_patient_that_is_named_is_held_out(patients):
    plan = planned(patients, test_groups=("03",), val=0)
    assert [row.group for row in plan.in_split("test")] == ["03"]
    assert [row.group for row in plan.in_split("train")] == ["04"]


@pytest.mark.parametrize("split", ["test", "val"])
@pytest.mark.parametrize("pattern", ["33", "tnbc_03"])
def test_a_patient_that_is_not_there_is_refused(patients, split, pattern):
    with pytest.raises(RequestError, match=rf"--{split}-groups {pattern} .* are 03, 04"):
        planned(patients, **{f"{split}_groups": ("04", pattern)})


def test_a_pattern_of_names_holds_out_what_it_matches(patients):
    plan = planned(patients, test_groups=("tnbc_03*",), val=0)
    assert [row.source for row in plan.in_split("test")] == ["tnbc_03_1.png"]
