"""A small rendered image with its nuclei."""

import numpy as np
import pytest

from napari_nudiff.nuclei.layout import relabel_contiguous, split_disconnected
from napari_nudiff.sample_data import rendered_pair


@pytest.fixture(scope="session")
def crop():
    """Image (140, 160, 3) and labels 1..N, (140, 160): not square, so that swapped axes show."""
    (image, _, _), (labels, _, _) = rendered_pair()
    window = np.s_[100:240, 100:260]
    whole = relabel_contiguous(split_disconnected(np.asarray(labels[window], np.int32)))
    return np.ascontiguousarray(image[window]), whole
