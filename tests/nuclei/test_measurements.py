"""Numbers of nuclei whose numbers are known."""

import numpy as np
import pytest

from napari_nudiff.errors import LayoutError
from napari_nudiff.nuclei.measurements import measure_nuclei


def test_a_rectangle_has_its_size_and_place(nuclei) -> None:
    table = measure_nuclei(nuclei, um2_per_px=0.0625)
    assert table["label"].tolist() == [3, 70_000]
    assert table["area_px"].tolist() == [200, 4]
    assert table["area_um2"].tolist() == [12.5, 0.25]
    assert table["row_px"][0] == pytest.approx(14.5)
    assert table["col_px"][0] == pytest.approx(24.5)
    assert table["eccentricity"][0] == pytest.approx(np.sqrt(1 - 99 / 399), abs=1e-3)
    assert table["solidity"][0] == pytest.approx(1, abs=0.02)


@pytest.fixture
def nuclei():
    labels = np.zeros((64, 80), np.uint32)
    labels[10:20, 15:35] = 3
    labels[40:42, 40:42] = 70_000
    return labels


def test_without_a_resolution_there_are_no_micrometres(nuclei) -> None:
    assert "area_um2" not in measure_nuclei(nuclei)


def test_a_dent_shows_in_the_solidity() -> None:
    labels = np.zeros((40, 40), np.int32)
    labels[5:35, 5:35] = 1
    labels[5:25, 15:25] = 0
    assert measure_nuclei(labels)["solidity"][0] == pytest.approx(700 / 900, abs=0.03)


def test_an_empty_layout_has_no_rows() -> None:
    table = measure_nuclei(np.zeros((8, 8), np.int32), um2_per_px=1.0)
    assert {len(column) for column in table.values()} == {0}


def test_an_image_is_no_layout() -> None:
    with pytest.raises(LayoutError, match="float64"):
        measure_nuclei(np.zeros((8, 8)))
