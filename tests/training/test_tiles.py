"""Pairs at several resolutions, and how often each is drawn."""

import numpy as np
import pytest

from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.training.tiles import LOOK_PX, shares_of, tiles_of


def pair(side: int, um_per_px: float | None, source: str = "a") -> Pair:
    labels = np.zeros((side, side), np.int32)
    labels[: side // 2, : side // 2] = 1
    image = np.where(labels[..., None] > 0, 90, 220).repeat(3, axis=2).astype(np.uint8)
    return Pair(Layout(labels, um_per_px=um_per_px), image, "p", source=source)


def test_a_fine_pair_is_reduced_to_each_resolution_and_a_coarse_one_is_not_enlarged() -> None:
    tiles = tiles_of([pair(256, 0.25), pair(256, 0.5), pair(256, 2.0)], (0.25, 0.5))
    assert [(t.um_per_px, len(t.labels)) for t in tiles] == [
        (0.25, 256),
        (0.5, 128),
        (0.5, 256),
        (2.0, 256),
    ]
    reduced = tiles[1]
    assert np.count_nonzero(reduced.labels) == 64 * 64
    assert reduced.image[:60, :60].max() == 90


def test_a_pair_that_does_not_say_is_one_at_40x() -> None:
    assert [t.um_per_px for t in tiles_of([pair(64, None)])] == [0.25]


def test_no_pair_is_reduced_below_the_crop() -> None:
    assert len(tiles_of([pair(200, 0.25)], (0.25, 0.5), crop_px=128)) == 1
    assert len(tiles_of([pair(256, 0.25)], (0.25, 0.5), crop_px=128)) == 2


def test_the_look_is_the_same_at_every_resolution_and_never_too_small() -> None:
    first, second = tiles_of([pair(256, 0.25)], (0.25, 0.5), with_look=True)
    assert first.look is second.look
    assert first.look.shape == (128, 128, 3)
    assert tiles_of([pair(64, 0.25)], with_look=True)[0].look.shape == (LOOK_PX, LOOK_PX, 3)


def test_layouts_have_no_image_and_no_look() -> None:
    layout = Pair(Layout(np.ones((64, 64), np.int32), um_per_px=0.25))
    (tile,) = tiles_of([layout], with_look=True)
    assert tile.image is None
    assert tile.look is None


def test_resolutions_have_equal_shares_and_large_sets_do_not_drown_small_ones() -> None:
    pairs = [pair(64, 0.25, "small"), *[pair(64, 0.25, "large")] * 16, pair(128, 0.5, "other")]
    shares = shares_of(tiles_of(pairs))
    assert shares.sum() == pytest.approx(1)
    assert shares[-1] == pytest.approx(0.5)
    assert shares[0] == pytest.approx(0.5 * 1 / 5)
    assert shares[1:17].sum() == pytest.approx(0.5 * 4 / 5)
