import numpy as np
import pytest

from napari_nudiff.errors import LayoutError
from napari_nudiff.synthesis.region import changed_nuclei, changed_region, region_around


def disc(shape, row, col, radius):
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(rows - row, cols - col) < radius


@pytest.fixture
def moved(layout):
    """Nucleus 2 two pixels further right."""
    after = np.where(layout == 2, 0, layout)
    after[:, 2:][(layout == 2)[:, :-2]] = 2
    return after


def test_a_changed_nucleus_counts_where_it_was_and_where_it_is(layout, moved) -> None:
    expected = (layout == 2) | (moved == 2)
    assert np.array_equal(changed_nuclei(layout, moved), expected)
    assert np.array_equal(changed_nuclei(moved, layout), expected)


@pytest.mark.parametrize("nucleus", [1, 2, 3])
def test_added_and_removed_nuclei_count_whole(layout, nucleus) -> None:
    without = np.where(layout == nucleus, 0, layout)
    for a, b in ((layout, without), (without, layout)):
        assert np.array_equal(changed_nuclei(a, b), layout == nucleus)


def test_one_pixel_changes_its_whole_nucleus(layout) -> None:
    after = layout.copy()
    after[40, 60] = 0
    assert np.array_equal(changed_nuclei(layout, after), layout == 2)


def test_another_id_is_no_change_also_when_ids_are_swapped(layout) -> None:
    for renamed in (layout * 1000, np.choose(layout, [0, 2, 3, 1]), layout.astype(np.uint8)):
        assert not changed_nuclei(layout, renamed).any()
        assert changed_region(layout, renamed).is_empty
        assert changed_region(layout, renamed).patches(16) == []


def test_merged_and_split_nuclei_are_changed() -> None:
    two = np.zeros((64, 64), dtype=int)
    two[10:20, 10:20], two[10:20, 20:30] = 1, 2
    one = np.minimum(two, 1)
    assert np.array_equal(changed_nuclei(two, one), one > 0)
    assert np.array_equal(changed_nuclei(one, two), one > 0)


def test_the_weight_is_1_inside_and_falls_smoothly_to_0_outside() -> None:
    core = disc((128, 128), 60, 70, 9)
    region = region_around(core, margin_px=12, blend_px=4)
    weight = region.weight
    assert np.array_equal(region.mask, weight > 0)
    assert (weight[core] == 1).all()
    assert np.abs(np.diff(weight, axis=0)).max() < 0.35
    line = weight[60, 70:]
    assert (np.diff(line) <= 0).all()
    assert line[8 + 9] < 1 and line[8 + 8] == 1 and line[8 + 12] > 0 and line[8 + 13] == 0


def test_without_a_margin_only_the_nuclei_change() -> None:
    core = disc((64, 64), 30, 30, 9)
    assert np.array_equal(region_around(core, 0, 0).weight, core.astype(np.float32))


def test_the_edge_of_the_canvas_is_no_edge_of_the_region() -> None:
    whole = region_around(np.ones((64, 80), dtype=bool))
    assert (whole.weight == 1).all()
    corner = region_around(disc((64, 80), 0, 0, 5))
    assert corner.weight[0, 0] == corner.weight[0, 8] == corner.weight[8, 0] == 1


@pytest.mark.parametrize("size", [(64, 64), (72, 100), (300, 520)])
@pytest.mark.parametrize("multiple", [4, 16, 32])
def test_windows_are_aligned_and_hold_the_region_and_its_context(size, multiple) -> None:
    height, width = size
    places = [(0, 0), (height - 1, width - 1), (height // 2, width // 3), (0, width - 1)]
    for row, col in places:
        region = region_around(disc(size, row, col, 8))
        (patch,) = region.patches(multiple)
        window = patch.window
        assert window.top % multiple == window.left % multiple == 0
        assert window.top + window.height in {height, *range(0, height, multiple)}
        assert window.left + window.width in {width, *range(0, width, multiple)}
        assert min(window.height, window.width) >= 64
        assert np.array_equal(region.weight[patch.at], patch.weight)
        assert np.isclose(patch.weight.sum(), region.weight.sum())
        rows, cols = np.nonzero(np.pad(region.mask, 32))
        assert window.top <= max(rows.min() - 64, 0)
        assert window.left + window.width >= min(cols.max() + 1, width)


def test_edits_far_apart_have_windows_of_their_own_and_near_ones_share_one() -> None:
    size = (512, 512)
    far = disc(size, 60, 60, 9) | disc(size, 400, 450, 9)
    near = disc(size, 60, 60, 9) | disc(size, 60, 100, 9)
    apart, together = (region_around(core).patches(16) for core in (far, near))
    assert len(apart) == 2
    assert len(together) == 1
    total = np.zeros(size, dtype=np.float32)
    for patch in apart:
        total[patch.at] += patch.weight
    assert np.array_equal(total, region_around(far).weight)


def test_overlapping_windows_change_every_pixel_once() -> None:
    core = disc((512, 512), 100, 100, 60) | disc((512, 512), 225, 225, 60)
    region = region_around(core)
    patches = region.patches(16)
    assert len(patches) == 2
    times = np.zeros(core.shape, dtype=int)
    for patch in patches:
        times[patch.at] += patch.weight > 0
    assert np.array_equal(times, region.mask.astype(int))


def test_layouts_that_do_not_fit_are_refused(layout) -> None:
    with pytest.raises(LayoutError, match="shape"):
        changed_region(layout, layout[:-1])
    with pytest.raises(LayoutError, match="integer"):
        changed_region(layout, layout.astype(float))
