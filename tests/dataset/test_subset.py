"""Patches, their features, and which of them are kept."""

import numpy as np
import pytest

from napari_nudiff.dataset.subset import (
    SELECTIONS,
    cut,
    describe_patch,
    nuclei_shown,
    read_features,
    select_patches,
    standardised,
)
from napari_nudiff.errors import DatasetError, RequestError


def test_a_monuseg_image_is_cut_into_the_papers_49_patches() -> None:
    windows = cut((1000, 1000), 256, 128)
    assert len(windows) == len(set(windows)) == 49
    assert {window[2:] for window in windows} == {(256, 256)}
    assert max(top + height for top, _, height, _ in windows) == 1000


@pytest.mark.parametrize("shape", [(256, 256), (300, 256), (511, 257), (100, 700), (60, 60)])
def test_windows_cover_the_image_and_stay_in_it(shape) -> None:
    covered = np.zeros(shape, int)
    for top, left, height, width in cut(shape, 256, 128):
        part = covered[top : top + height, left : left + width]
        assert part.shape == (height, width)
        part += 1
    assert covered.min() >= 1


def test_features_tell_stain_texture_and_nuclei_apart(crop) -> None:
    image, labels = crop
    base = describe_patch(image, labels)
    darker, smooth = image // 2, np.full_like(image, 200)
    assert np.isfinite(base).all()
    assert not np.allclose(base[:21], describe_patch(darker, labels)[:21])
    assert np.allclose(describe_patch(smooth, labels)[21:27], 0)
    assert np.allclose(describe_patch(image, labels * 0)[:27], base[:27])
    assert np.allclose(describe_patch(image, labels * 0)[27:], 0)
    covered, number, side, _ = base[27:]
    assert covered == pytest.approx((labels > 0).mean())
    assert number == pytest.approx(labels.max() / labels.size)
    assert side == pytest.approx(np.sqrt(np.bincount(labels.ravel())[1:]).mean())


def test_standardised_features_weigh_the_same_and_constants_nothing() -> None:
    features = np.random.default_rng(0).normal(size=(50, 3)) * [1, 100, 0] + [5, 5, 5]
    made = standardised(features)
    np.testing.assert_allclose(made.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(made.std(0), [1, 1, 0], atol=1e-12)


@pytest.fixture
def tissue():
    """Six kinds of patches on images of 3 x 3 overlapping windows; nuclei 0..., some shared."""
    rng = np.random.default_rng(3)
    windows = cut((512, 512), 256, 128)
    patches = np.array([(image, *w) for image in range(12) for w in windows])
    kinds = np.arange(len(patches)) % 6
    features = np.eye(6)[kinds] * 10 + rng.normal(size=(len(patches), 6))
    rows, cols = rng.integers(0, 512, (2, 12 * 100))
    image = np.repeat(np.arange(12), 100)
    points = np.stack([rows, cols], axis=1)

    def inside(number, top, left, height, width):
        within = ((points >= (top, left)) & (points < (top + height, left + width))).all(axis=1)
        return 1 + np.flatnonzero(within & (image == number))

    nuclei = [inside(*patch) for patch in patches]
    return patches, features, nuclei, kinds


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_about_the_share_of_nuclei_is_kept_each_counted_once(tissue, selection, share) -> None:
    patches, features, nuclei, _ = tissue
    kept = select_patches(patches, features, nuclei, share=share, selection=selection)
    total = len(set(np.concatenate(nuclei)))
    shown = len(set(np.concatenate([nuclei[i] for i in kept])))
    assert shown / total == pytest.approx(share, abs=0.03)
    assert (np.diff(kept) > 0).all()


@pytest.mark.parametrize("selection", SELECTIONS)
def test_all_patches_are_kept_for_the_whole_and_seeds_repeat(tissue, selection) -> None:
    patches, features, nuclei, _ = tissue

    def select(share, seed=0):
        return select_patches(
            patches, features, nuclei, share=share, selection=selection, seed=seed
        ).tolist()

    assert select(1.0) == list(range(len(patches)))
    assert select(0.2) == select(0.2)
    assert sorted(SELECTIONS[selection](features, patches, np.random.default_rng(0))) == list(
        range(len(patches))
    )
    if selection == "random":
        assert select(0.2) != select(0.2, seed=1)


def test_the_official_order_takes_the_most_typical_of_every_cluster(tissue) -> None:
    patches, features, _, kinds = tissue
    order = SELECTIONS["official"](features, patches, np.random.default_rng(0))
    assert sorted(kinds[order[:6]]) == list(range(6))
    assert np.bincount(kinds[order[:54]]).tolist() == [9] * 6
    for kind in range(6):
        members = [i for i in order if kinds[i] == kind]
        centre = features[kinds == kind].mean(axis=0)
        distance = np.linalg.norm(features[members] - centre, axis=1)
        assert (np.diff(distance) >= 0).all()


def spread(features, chosen) -> float:
    """How far the worst patch is from a chosen one."""
    return np.linalg.norm(features[:, None] - features[chosen], axis=-1).min(axis=1).max()


def test_the_diverse_order_reaches_farther_and_overlaps_less(tissue) -> None:
    patches, features, _, _ = tissue
    orders = {
        name: order(features, patches, np.random.default_rng(0))[:20]
        for name, order in SELECTIONS.items()
    }
    assert spread(features, orders["diverse"]) < spread(features, orders["official"])
    assert spread(features, orders["diverse"]) < spread(features, orders["random"])
    for i, a in enumerate(patches[orders["diverse"]]):
        for b in patches[orders["diverse"][:i]]:
            if a[0] == b[0]:
                sides = 256 - abs(a[1:3] - b[1:3])
                assert np.maximum(sides, 0).prod() <= 0.3 * 256**2


def test_patches_that_are_all_alike_do_not_hinder(tissue) -> None:
    patches, features, nuclei, _ = tissue
    for selection in SELECTIONS:
        kept = select_patches(patches, features * 0, nuclei, share=0.2, selection=selection)
        assert 0 < len(kept) < len(patches)
    assert select_patches(patches[:2], features[:2], nuclei[:2], share=0.5).tolist()


def test_a_nucleus_in_many_patches_counts_once() -> None:
    nuclei = [np.array([1, 2]), np.array([2, 3]), np.array([], int), np.array([1, 3])]
    assert nuclei_shown(nuclei, np.array([0, 1, 2, 3])).tolist() == [2, 3, 3, 3]
    assert nuclei_shown(nuclei, np.array([3, 2, 1])).tolist() == [2, 2, 3]
    assert nuclei_shown([np.array([], int)], np.array([0])).tolist() == [0]


def test_unknown_selections_are_refused_with_the_known(tissue) -> None:
    patches, features, nuclei, _ = tissue
    with pytest.raises(RequestError, match="official, diverse, random"):
        select_patches(patches, features, nuclei, share=0.5, selection="best")


def test_features_from_elsewhere_are_checked(tmp_path) -> None:
    path = tmp_path / "resnet50.npy"
    features = np.random.default_rng(0).normal(size=(5, 2048)).astype(np.float32)
    np.save(path, features)
    assert np.allclose(read_features(path, 5), standardised(features))
    with pytest.raises(DatasetError, match=r"\(5, 2048\).*\(6, D\)"):
        read_features(path, 6)
    features[2, 7] = np.nan
    np.save(path, features)
    with pytest.raises(DatasetError, match="finite"):
        read_features(path, 5)
    np.save(path, np.array([{"a": 1}] * 5, dtype=object), allow_pickle=True)
    with pytest.raises(DatasetError, match="Cannot read the features"):
        read_features(path, 5)
    with pytest.raises(DatasetError, match="Cannot read the features"):
        read_features(tmp_path / "none.npy", 5)
