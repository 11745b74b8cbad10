import numpy as np
import pytest
import torch
import torch.nn.functional as F

from napari_nudiff.dataset.pair import Layout
from napari_nudiff.dataset.sample import unpack_layout
from napari_nudiff.errors import LayoutError
from napari_nudiff.nuclei.layout import scatter_nuclei
from napari_nudiff.nuclei.structure import encode_structure
from napari_nudiff.synthesis.layout import LayoutScan, WindowedLayout
from napari_nudiff.synthesis.store import BandFile
from napari_nudiff.synthesis.tiling import Window


def scanned(labels: np.ndarray, band_px: int = 32) -> LayoutScan:
    scan = LayoutScan(labels.shape)
    for top in range(0, len(labels), band_px):
        scan.add(labels[top : top + band_px])
    return scan


@pytest.fixture
def labels() -> np.ndarray:
    labels = scatter_nuclei((150, 170), density=0.35, mean_area_px=300, seed=2)
    labels[labels > 0] *= 1000
    labels[70:75] = np.where(labels[70:75] == 0, 5, labels[70:75])  # one in many pieces
    return labels


def test_every_window_has_the_structure_of_the_whole(labels) -> None:
    whole = torch.from_numpy(encode_structure(labels))[None]
    whole = F.pad(whole, (0, 6, 0, 10), mode="replicate")
    windowed = WindowedLayout(labels, scanned(labels).boxes())
    for top in (0, 48, 96):
        for left in (0, 56, 112):
            window = Window(top, left, 64, 64)
            assert torch.equal(windowed.structure(window), window.of(whole))


def test_a_window_without_nuclei_has_an_empty_structure(labels) -> None:
    labels[80:] = 0
    windowed = WindowedLayout(labels, scanned(labels).boxes())
    assert not windowed.structure(Window(84, 0, 64, 64)).any()


def test_a_scan_by_bands_finds_what_the_whole_layout_is(labels) -> None:
    scan = scanned(labels)
    assert scan.sha256() == Layout(labels).sha256()
    assert np.array_equal(unpack_layout(scan.stored()), labels)
    boxes = scan.boxes()
    assert boxes.ids.tolist() == [int(i) for i in np.unique(labels) if i]
    for i, first, last in zip(*boxes, strict=True):
        rows, cols = np.nonzero(labels == i)
        assert first.tolist() == [rows.min(), cols.min()]
        assert last.tolist() == [rows.max(), cols.max()]


def test_bands_that_are_no_labels_are_refused() -> None:
    with pytest.raises(LayoutError, match="-3"):
        scanned(np.array([[1, 2], [0, -3]]))


def test_a_band_file_keeps_its_rows(tmp_path) -> None:
    file = BandFile(tmp_path / "x.f32", (9, 5), 3)
    values = torch.randn(1, 3, 9, 5)
    for top, rows in ((4, 5), (0, 4)):
        file.write(top, values[:, :, top : top + rows])
    assert torch.equal(file.read(0, 9), values)
    assert torch.equal(file.read(3, 2), values[:, :, 3:5])
    assert file.read(0, 9).is_contiguous(memory_format=torch.channels_last)
    file.close()
