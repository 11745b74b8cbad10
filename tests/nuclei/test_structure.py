import numpy as np
import pytest

from napari_nudiff.errors import LayoutError
from napari_nudiff.nuclei.layout import scatter_nuclei
from napari_nudiff.nuclei.structure import (
    encode_structure,
    flip_structure,
    rotate_structure,
    validate_layout,
)


def rectangle(height, width, shape=(20, 24), top=5, left=6, dtype=np.int32):
    labels = np.zeros(shape, dtype=dtype)
    labels[top : top + height, left : left + width] = 7
    return labels


@pytest.mark.parametrize("i", range(6))
@pytest.mark.parametrize("kind", ["scattered", "overlapping"])
def test_equals_the_official_maps(golden, kind, i):
    labels, official, _ = golden[f"{kind}{i}"]
    structure = encode_structure(labels)
    assert structure.dtype == np.float32
    np.testing.assert_array_equal(structure[0], labels > 0)
    np.testing.assert_allclose(structure[1:], official, atol=1e-6)


def test_maps_of_a_rectangle_by_hand():
    # 9 columns: the centre of mass is column 4, published as 4 + 0.5 rounded down, less 1.
    semantic, h, v = encode_structure(rectangle(5, 9))[:, 5:10, 6:15]
    np.testing.assert_array_equal(semantic, 1)
    np.testing.assert_allclose(h, np.tile([-1, -2 / 3, -1 / 3, 0, 0.2, 0.4, 0.6, 0.8, 1], (5, 1)))
    np.testing.assert_allclose(v, np.tile([[-1], [0], [1 / 3], [2 / 3], [1]], (1, 9)), rtol=1e-6)


def test_background_is_zero_and_ranges_are_full(golden):
    labels = golden["overlapping0"][0]
    structure = encode_structure(labels)
    assert not structure[:, labels == 0].any()
    assert structure[1:].min() == -1 and structure[1:].max() == 1


@pytest.mark.parametrize(
    ("height", "width", "minimum", "drawn"),
    [(5, 6, 31, False), (5, 6, 30, True), (1, 20, 1, False), (20, 1, 1, False), (2, 2, 1, True)],
)
def test_small_and_thin_nuclei_have_no_vectors(height, width, minimum, drawn):
    labels = rectangle(height, width, shape=(40, 40))
    structure = encode_structure(labels, min_vector_area_px=minimum)
    np.testing.assert_array_equal(structure[0], labels > 0)
    assert structure[1:].any() == drawn


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, ">u2"]
)
def test_any_integer_type_gives_the_same_maps(dtype):
    labels = scatter_nuclei((64, 70), seed=1)
    np.testing.assert_array_equal(encode_structure(labels.astype(dtype)), encode_structure(labels))


def test_ids_and_their_gaps_do_not_matter():
    labels = scatter_nuclei((64, 64), seed=2)
    ids = np.array([0, *np.random.default_rng(0).permutation(labels.max()) + 1])
    expected = encode_structure(labels)
    np.testing.assert_array_equal(encode_structure(ids[labels]), expected)
    huge = ids[labels].astype(np.uint64) << np.uint64(40)
    np.testing.assert_array_equal(encode_structure(huge), expected)


def test_empty_and_full_layouts():
    assert not encode_structure(np.zeros((9, 7), np.uint16)).any()
    full = encode_structure(np.ones((9, 7), np.uint16))
    assert full[0].all() and full[1:].min() == -1 and full[1:].max() == 1


def test_the_layout_is_not_changed():
    labels = scatter_nuclei((64, 64), seed=3)
    labels.flags.writeable = False
    encode_structure(labels)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.zeros((4, 4, 3), np.uint8), ["(4, 4, 3)", "colour"]),
        (np.zeros((5, 4, 4), np.uint8), ["(5, 4, 4)", "plane"]),
        (np.zeros(4, np.uint8), ["(4,)"]),
        (np.zeros((0, 4), np.uint8), ["(0, 4)"]),
        (np.zeros((4, 4), np.float32), ["float32", "astype"]),
        (np.zeros((4, 4), bool), ["bool", "mask"]),
        (np.full((4, 4), -3, np.int16), ["-3", "0"]),
    ],
)
def test_what_is_no_layout_is_refused_with_a_reason(labels, words):
    for check in (validate_layout, encode_structure):
        with pytest.raises(LayoutError) as error:
            check(labels)
        assert all(word in str(error.value) for word in words)


def test_validate_returns_the_same_array():
    labels = np.ones((4, 5), np.uint16)
    assert validate_layout(labels) is labels


def largest_difference(a, b, labels):
    """Between two structures, in pixels of a nucleus with a half width of 8."""
    assert a.shape == b.shape
    np.testing.assert_array_equal(a[0], labels > 0)
    return np.abs(a - b).max() * 8


@pytest.mark.parametrize("k", [-1, 0, 1, 2, 3, 4, 5])
def test_rotating_a_structure_is_encoding_the_rotated_layout(k):
    labels = scatter_nuclei((96, 128), density=0.2, mean_area_px=400, eccentricity=0.3, seed=4)
    labels[[0, -1], :] = labels[:, [0, -1]] = 0
    labels = drop_small(labels)
    rotated = np.rot90(labels, k)
    # The published rounding puts centres up to 1.5 px towards the top left: all that may differ.
    difference = largest_difference(
        rotate_structure(encode_structure(labels), k), encode_structure(rotated), rotated
    )
    assert difference <= (0 if k % 4 == 0 else 4)
    if k % 4:  # turning the maps as a picture only is far off
        picture = np.rot90(encode_structure(labels), k, axes=(1, 2))
        assert largest_difference(picture, encode_structure(rotated), rotated) > 8


def test_flipping_a_structure_is_encoding_the_flipped_layout():
    labels = drop_small(scatter_nuclei((96, 128), mean_area_px=400, eccentricity=0.3, seed=5))
    flipped = labels[:, ::-1]
    structure = encode_structure(labels)
    difference = largest_difference(flip_structure(structure), encode_structure(flipped), flipped)
    assert difference <= 4
    assert largest_difference(structure[..., ::-1], encode_structure(flipped), flipped) > 8


def drop_small(labels):
    area = np.bincount(labels.ravel())
    return np.where((area < 200)[labels], 0, labels)


def test_transforms_are_exact_inverses_and_work_on_batches():
    structure = np.random.default_rng(0).normal(size=(2, 3, 5, 8)).astype(np.float32)
    np.testing.assert_array_equal(flip_structure(flip_structure(structure)), structure)
    turned = rotate_structure(structure, 1)
    assert turned.shape == (2, 3, 8, 5)
    np.testing.assert_array_equal(turned[1], rotate_structure(structure[1], 1))
    np.testing.assert_array_equal(rotate_structure(turned, 3), structure)
    np.testing.assert_array_equal(rotate_structure(turned, 1), rotate_structure(structure, 2))
