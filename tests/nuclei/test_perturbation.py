"""Layouts changed at random stay layouts, and follow from their seed."""

import numpy as np
import pytest
from scipy import ndimage

from napari_nudiff.errors import RequestError
from napari_nudiff.nuclei.layout import scatter_nuclei
from napari_nudiff.nuclei.perturbation import perturb


@pytest.fixture(scope="module")
def layout():
    return scatter_nuclei((256, 256), density=0.25, seed=4)


def test_nothing_changes_without_a_share(layout):
    np.testing.assert_array_equal(perturb(layout, 0, 1), layout)


def test_the_seed_decides(layout):
    np.testing.assert_array_equal(perturb(layout, 0.5, 1), perturb(layout, 0.5, 1))
    assert (perturb(layout, 0.5, 1) != perturb(layout, 0.5, 2)).any()


@pytest.mark.parametrize("seed", range(5))
def test_the_result_is_a_layout(layout, seed):
    changed = perturb(layout, 1.0, seed)
    count = int(changed.max())
    assert set(np.unique(changed)) == set(range(count + 1))
    for nucleus in range(1, count + 1):
        assert ndimage.label(changed == nucleus)[1] == 1
    assert 0.6 * layout.max() < count < 1.4 * layout.max()


def test_the_share_of_nuclei_stays_that_was_not_asked_for(layout):
    changed = perturb(layout, 0.2, 3)
    kept = sum(
        len(np.unique(changed[layout == nucleus])) == 1
        and np.array_equal(layout == nucleus, changed == changed[layout == nucleus][0])
        for nucleus in range(1, layout.max() + 1)
    )
    # Neighbours of those that moved may have become smaller or larger by nothing: changed nuclei
    # go under the others.
    assert 0.75 * layout.max() <= kept < layout.max()


def inner_areas_px(labels):
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    ids = np.setdiff1d(labels, np.append(border, 0))
    return np.bincount(labels.ravel())[ids]


def test_no_nucleus_is_left_of_which_little_can_be_seen():
    crowded = scatter_nuclei((256, 256), density=0.45, seed=0)
    changed = perturb(crowded, 1.0, 0)
    assert inner_areas_px(changed).min() >= 0.6 * inner_areas_px(crowded).min()


def test_the_layout_given_is_not_touched(layout):
    before = layout.copy()
    perturb(layout, 1.0, 0)
    np.testing.assert_array_equal(layout, before)


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_out_of_range(layout, share):
    with pytest.raises(RequestError, match="share of perturbed nuclei"):
        perturb(layout, share, 0)
