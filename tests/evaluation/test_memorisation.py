"""A planted copy must be found, whatever was done to it, and nothing else."""

import numpy as np
import pytest

from napari_nudiff.evaluation.memorisation import find_copies, nearest, rank_chances
from napari_nudiff.sample_data import rendered_pair


def patches(n: int, seed: int):
    """Patches of a render that do not overlap."""
    image = np.asarray(rendered_pair()[0][0])
    tiles = [
        image[y : y + 128, x : x + 128] for y in range(0, 512, 128) for x in range(0, 512, 128)
    ]
    order = np.random.default_rng(seed).permutation(len(tiles))
    return [tiles[i] for i in order[:n]], [tiles[i] for i in order[n:]]


def disguised(patch, turn=1, mirrored=True):
    """Turned, mirrored, brighter, noisy."""
    rng = np.random.default_rng(0)
    turned = np.rot90(patch, turn)
    turned = turned[:, ::-1] if mirrored else turned
    changed = 0.8 * turned.astype(float) + 30 + rng.normal(0, 8, turned.shape)
    return changed.clip(0, 255).astype(np.uint8)


def test_a_planted_copy_is_found_and_held_out_tissue_is_not() -> None:
    training, others = patches(6, 0)
    held_out, innocent = others[:5], others[5:8]
    found = find_copies([disguised(training[3]), *innocent], training, held_out)
    assert found.copies == 1
    assert found.synthetic[0].distance < found.threshold
    assert found.synthetic[0].image == 3
    assert min(n.distance for n in found.synthetic[1:]) > found.threshold


@pytest.mark.parametrize("turn", range(8))
def test_every_orientation_is_looked_at(turn) -> None:
    training, _ = patches(1, 1)
    query = np.rot90(training[0], turn % 4)
    query = query[:, ::-1] if turn >= 4 else query
    (near,) = nearest([np.ascontiguousarray(query)], training)
    assert near.distance == pytest.approx(0, abs=0.01)
    assert near.turn == turn


def test_a_copy_from_anywhere_in_a_larger_image_is_found() -> None:
    image = np.asarray(rendered_pair()[0][0])
    (near,) = nearest([image[100:228, 260:388]], [image])
    assert near.distance < 0.05
    y, x = (a + b for a, b in zip((100, 260), near.window, strict=True))
    assert (y, x) == pytest.approx(near.at, abs=4)


def test_blank_images_are_copies_of_nothing() -> None:
    training, _ = patches(2, 2)
    (near,) = nearest([np.full((128, 128, 3), 240, np.uint8)], training)
    assert near.distance == 1


def test_images_with_nothing_in_them_are_told_to_be_uncompared() -> None:
    training, others = patches(3, 0)
    blank = np.full((128, 128, 3), 240, np.uint8)
    found = find_copies([blank, others[0]], training, others[1:4])
    assert found.uncompared == 1
    assert found.copies == 0


def test_chances_are_ranks_among_the_unseen() -> None:
    unseen = [0.2, 0.4, 0.6, 0.8]
    assert rank_chances([0.1, 0.4, 0.5, 0.9], unseen) == pytest.approx([0.2, 0.6, 0.6, 1])
    rng = np.random.default_rng(0)
    chances = rank_chances(rng.random(2000), rng.random(999))
    assert np.mean(np.array(chances) < 0.05) == pytest.approx(0.05, abs=0.02)
