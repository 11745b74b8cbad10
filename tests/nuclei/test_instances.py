import numpy as np
import pytest
from scipy import ndimage

from napari_nudiff.errors import LayoutError
from napari_nudiff.nuclei.instances import decode_instances, decode_official
from napari_nudiff.nuclei.layout import scatter_nuclei
from napari_nudiff.nuclei.metrics import aji
from napari_nudiff.nuclei.structure import encode_structure

LARGE = 10  # pixels: smaller nuclei may be lost


def round_to_8_bits(structure):
    semantic, *maps = structure
    maps = [np.round((m + 1) * 127.5).astype(np.uint8) / np.float32(127.5) - 1 for m in maps]
    return np.stack([semantic, *maps])


def add_noise(structure, sigma):
    return structure + np.random.default_rng(0).normal(0, sigma, structure.shape)


def blur(structure, sigma_px):
    return ndimage.gaussian_filter(structure, (0, sigma_px, sigma_px))


def lost(labels, decoded):
    """Nuclei that no decoded one covers with an IoU above one half."""
    count = 0
    for nucleus in np.unique(labels[labels > 0]):
        mask = labels == nucleus
        partner = np.bincount(decoded[mask]).argmax()
        union = (mask | (decoded == partner)).sum()
        found = partner > 0 and (mask & (decoded == partner)).sum() > union / 2
        count += mask.sum() >= LARGE and not found
    return count


def mean_aji(layouts, decode, degrade):
    return np.mean([aji(labels, decode(degrade(encode_structure(labels)))) for labels in layouts])


@pytest.fixture
def layouts(golden):
    return [labels for labels, _, _ in golden.values()]


@pytest.mark.parametrize("degrade", [lambda s: s, round_to_8_bits])
def test_exact_maps_give_every_nucleus_back(layouts, degrade):
    for labels in layouts:
        decoded = decode_instances(degrade(encode_structure(labels)))
        assert aji(labels, decoded) >= 0.999
        assert not lost(labels, decoded)


def test_exact_maps_of_real_nuclei_give_every_one_back(real_layouts):
    for name, labels in real_layouts.items():
        decoded = decode_instances(round_to_8_bits(encode_structure(labels)))
        assert aji(labels, decoded) >= 0.97, name
        assert not lost(labels, decoded), name


@pytest.mark.parametrize(
    ("degrade", "expected"),
    [(lambda s: add_noise(s, 0.2), 0.97), (lambda s: blur(s, 1.0), 0.96)],
    ids=["noise 0.2", "blur 1"],
)
def test_degraded_maps_of_real_nuclei_are_decoded_well(real_layouts, degrade, expected):
    assert mean_aji(real_layouts.values(), decode_instances, degrade) >= expected


@pytest.mark.parametrize(
    ("degrade", "expected"),
    [
        (lambda s: add_noise(s, 0.05), 0.999),
        (lambda s: add_noise(s, 0.1), 0.985),
        (lambda s: add_noise(s, 0.2), 0.94),
        (lambda s: add_noise(s, 0.3), 0.92),
        (lambda s: blur(s, 0.7), 0.99),
        (lambda s: blur(s, 1.0), 0.97),
        (lambda s: blur(s, 1.5), 0.91),
    ],
    ids=["noise 0.05", "noise 0.1", "noise 0.2", "noise 0.3", "blur 0.7", "blur 1", "blur 1.5"],
)
def test_degraded_maps_are_decoded_well(layouts, degrade, expected):
    assert mean_aji(layouts, decode_instances, degrade) >= expected


def test_a_soft_semantic_map_is_cut_at_one_half():
    labels = scatter_nuclei((96, 96), seed=1)
    exact = encode_structure(labels)
    soft = exact.copy()
    soft[0] = np.where(labels > 0, 0.55, 0.4)
    np.testing.assert_array_equal(decode_instances(soft), decode_instances(exact))


def test_dense_touching_nuclei_are_separated():
    labels = scatter_nuclei((256, 256), density=0.6, mean_area_px=120, min_gap_px=0, seed=2)
    decoded = decode_instances(encode_structure(labels))
    assert aji(labels, decoded) >= 0.995
    assert lost(labels, decoded) == 0
    # They do touch: the mask alone cannot separate them.
    assert ndimage.label(labels)[1] < 0.7 * labels.max()


def test_small_nuclei_without_vectors_that_touch_a_large_one_are_kept():
    labels = np.zeros((40, 40), np.int32)
    labels[10:30, 10:30] = 1
    labels[15:20, 30:33] = 2  # 15 px
    labels[6:10, 12:17] = 3  # 20 px
    np.testing.assert_array_equal(decode_instances(encode_structure(labels)), relabelled(labels))


def test_a_crescent_whose_centre_lies_outside_is_one_nucleus():
    y, x = np.mgrid[:50, :50]
    ring = np.hypot(y - 25, x - 25)
    labels = ((ring < 20) & (ring > 12) & (x < 30)).astype(np.int32)
    np.testing.assert_array_equal(decode_instances(encode_structure(labels)), labels)


def relabelled(labels):
    """The same nuclei, numbered by their first pixel."""
    ids, first = np.unique(labels, return_index=True)
    order = ids[np.argsort(first)]
    order = order[order > 0]
    table = np.zeros(labels.max() + 1, np.int32)
    table[order] = np.arange(1, len(order) + 1)
    return table[labels]


def test_small_parts_are_dropped_or_joined():
    labels = np.zeros((30, 30), np.int32)
    labels[5:15, 5:15] = 1
    labels[20:23, 20:23] = 2  # 9 px, alone
    labels[8:10, 15:18] = 3  # 6 px, touching
    structure = encode_structure(labels)
    decoded = decode_instances(structure)
    np.testing.assert_array_equal(decoded, np.isin(labels, [1, 3]))
    np.testing.assert_array_equal(decode_instances(structure, min_area_px=1), relabelled(labels))


@pytest.mark.parametrize("decode", [decode_instances, decode_official])
@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (64, 97)])
def test_empty_and_full_structures(decode, shape):
    empty = decode(np.zeros((3, *shape)))
    assert empty.shape == shape and empty.dtype == np.int32 and not empty.any()
    full = decode(encode_structure(np.ones(shape, np.uint8)))
    assert full.max() <= 1 and full.shape == shape


def test_ids_are_contiguous_and_each_nucleus_is_connected(golden):
    decoded = decode_instances(add_noise(encode_structure(golden["overlapping0"][0]), 0.2))
    ids = np.unique(decoded)
    np.testing.assert_array_equal(ids, np.arange(len(ids)))
    assert all(ndimage.label(decoded == i)[1] == 1 for i in ids[1:])


@pytest.mark.parametrize("shape", [(2, 5), (1, 40), (64, 97)])
def test_one_nucleus_may_fill_the_layout(shape):
    full = np.ones(shape, np.int32)
    np.testing.assert_array_equal(decode_instances(encode_structure(full)), full)


@pytest.mark.parametrize("decode", [decode_instances, decode_official])
@pytest.mark.parametrize(
    ("structure", "words"),
    [
        (np.zeros((2, 8, 8)), "(2, 8, 8)"),
        (np.zeros((8, 8)), "(8, 8)"),
        (np.full((3, 8, 8), np.nan), "finite"),
    ],
)
def test_what_is_no_structure_is_refused(decode, structure, words):
    with pytest.raises(LayoutError) as error:
        decode(structure)
    assert words in str(error.value)


def test_official_decoder_agrees_with_the_published_one(golden):
    for labels, maps, instances in golden.values():
        structure = round_to_8_bits(np.stack([labels > 0, *maps]).astype(np.float32))
        assert aji(instances, decode_official(structure)) >= 0.999


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("sign_h", [1, -1])
@pytest.mark.parametrize("sign_v", [1, -1])
def test_official_decoder_finds_the_frame(golden, swap, sign_h, sign_v):
    labels = golden["scattered1"][0]
    semantic, h, v = add_noise(encode_structure(labels), 0.1)
    maps = (v, h) if swap else (h, v)
    turned = np.stack([semantic, sign_h * maps[0], sign_v * maps[1]])
    assert aji(labels, decode_official(turned)) >= 0.95


def test_beats_the_official_decoder(layouts):
    for degrade in (lambda s: s, lambda s: add_noise(s, 0.3), lambda s: blur(s, 1.0)):
        ours = mean_aji(layouts, decode_instances, degrade)
        assert ours > mean_aji(layouts, decode_official, degrade)
