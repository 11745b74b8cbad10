import numpy as np
import pytest
from scipy import ndimage

from napari_nudiff.errors import LayoutError, RequestError
from napari_nudiff.nuclei import editing, layout
from napari_nudiff.nuclei.editing import (
    MAX_GAP_PX,
    SLIVER_PX,
    Edit,
    add_ellipse,
    as_edit,
    bounds_at,
    delete,
    duplicate,
    ellipse_between,
    extend_canvas,
    fill_holes,
    merge,
    move,
    relabel_contiguous,
    remove_specks,
    rotate,
    scale,
    scatter_in,
    shapes_of,
    smooth_outlines,
    split,
    split_at_necks,
    split_disconnected,
    stamp,
)

SEEDS = range(8)
DTYPES = [np.uint8, np.uint16, np.int32]


def disc(shape, centre, radius, value=1, dtype=np.int32):
    rows, cols = np.indices(shape)
    return (np.hypot(rows - centre[0], cols - centre[1]) <= radius).astype(dtype) * dtype(value)


def messy_layout(dtype=np.uint16, seed=0):
    """One with a hole (1), one in two parts (2), a speck (99), two in one (100), others."""
    labels = layout.scatter_nuclei((120, 150), density=0.2, mean_area_px=150, seed=seed)
    labels = (labels + 100 * (labels > 0)).astype(dtype)
    labels[:62, :70] = 0
    labels[5:25, 5:25] = 1
    labels[10:14, 10:14] = 0
    labels[30:40, 5:15] = labels[30:35, 18:24] = 2
    labels[45:47, 8:10] = 99
    labels[disc(labels.shape, (25, 40), 10) + disc(labels.shape, (25, 54), 10) > 0] = 100
    return labels


def applied(labels, edit):
    after = labels.copy()
    edit.apply(after)
    return after


def a_region(labels):
    return disc(labels.shape, (60, 75), 50) > 0


EDITS = {
    "add_ellipse": lambda la: add_ellipse(la, (60.3, 20.6), (9, 5), 30),
    "add_ellipse over": lambda la: add_ellipse(la, (25, 30), (9, 5), on_overlap="over"),
    "stamp": lambda la: stamp(la, la[:62, :70] == 100, (60, 30), 40, 0.7, True),
    "move": lambda la: move(la, 100, (17, 3)),
    "move several": lambda la: move(la, [1, 2, 100], (3.4, -20.6), on_overlap="over"),
    "rotate": lambda la: rotate(la, 100, 33),
    "rotate several": lambda la: rotate(la, [1, 2, 100], 70, "common centre"),
    "scale": lambda la: scale(la, [1, 100], 1.3),
    "duplicate": lambda la: duplicate(la, [100, 1], (30, 2)),
    "delete": lambda la: delete(la, [99, 1]),
    "split": lambda la: split(la, 100),
    "split along": lambda la: split(la, 100, ((0, 47), (60, 48))),
    "split_at_necks": lambda la: split_at_necks(la, [1, 100]),
    "merge": lambda la: merge(la, [2, 99]),
    "fill_holes": fill_holes,
    "fill_holes of one": lambda la: fill_holes(la, 1),
    "remove_specks": lambda la: remove_specks(la, 20),
    "smooth_outlines": lambda la: smooth_outlines(la, 2),
    "smooth_outlines of some": lambda la: smooth_outlines(la, 2, [1, 100]),
    "split_disconnected": split_disconnected,
    "split_disconnected one": lambda la: split_disconnected(la, 2),
    "relabel_contiguous": relabel_contiguous,
    "scatter_in": lambda la: scatter_in(la, a_region(la), density=0.5, mean_area_px=80),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EDITS)
def test_apply_and_revert_restore_every_bit(name, dtype) -> None:
    original = messy_layout(dtype)
    labels = original.copy()
    original.flags.writeable = False
    edit = EDITS[name](original)
    assert not edit.is_empty and (edit.before != edit.after).all()
    assert edit.before.dtype == edit.after.dtype == dtype
    edit.apply(labels)
    np.testing.assert_array_equal(labels[edit.indices], edit.after)
    changed = labels != original
    assert np.count_nonzero(changed) == len(edit.after)
    assert changed[edit.bounds].sum() == changed.sum()
    edit.revert(labels)
    np.testing.assert_array_equal(labels, original)
    edit.apply(labels)
    edit.inverse().apply(labels)
    np.testing.assert_array_equal(labels, original)


@pytest.mark.parametrize("name", EDITS)
def test_views_in_any_order_are_fine(name) -> None:
    labels = messy_layout()
    transposed = np.asfortranarray(labels)
    within = np.zeros((240, 150), np.uint16)[::2]
    within[:] = labels
    expected = applied(labels, EDITS[name](labels))
    for same in (transposed, within):
        np.testing.assert_array_equal(applied(same, EDITS[name](same)), expected)


def test_every_public_function_is_covered_here() -> None:
    tried = {name.split()[0] for name in EDITS}
    functions = {name for name in editing.__all__ if name.islower()}
    assert functions - tried == {
        "as_edit",
        "bounds_at",
        "ellipse_between",
        "extend_canvas",
        "shapes_of",
    }


# Edits as such


@pytest.mark.parametrize("seed", SEEDS)
def test_composition_is_one_after_the_other(seed) -> None:
    random = np.random.default_rng(seed)
    first, second, third = (random.integers(0, 4, (20, 30), np.uint8) for _ in range(3))
    one, two = as_edit(first, second), as_edit(second, third)
    both = one.then(two)
    np.testing.assert_array_equal(applied(first, both), third)
    np.testing.assert_array_equal(applied(third, both.inverse()), first)
    assert len(both.after) == np.count_nonzero(first != third)
    assert one.then(one.inverse()).is_empty
    nothing = as_edit(first, first)
    np.testing.assert_array_equal(applied(first, nothing.then(one)), second)
    np.testing.assert_array_equal(applied(first, one.then(as_edit(second, second))), second)


def test_an_empty_edit_has_empty_bounds() -> None:
    labels = np.ones((5, 6), int)
    edit = as_edit(labels, labels)
    assert edit.is_empty and edit.nbytes == 0
    assert labels[edit.bounds].size == 0
    edit.apply(labels)


def test_as_edit_holds_changed_pixels_only_at_their_place() -> None:
    before = np.zeros((4, 5), np.uint8)
    after = before.copy()
    after[1, 2], after[3, 0] = 7, 9
    edit = as_edit(before, after, at=(10, 20))
    assert [i.tolist() for i in edit.indices] == [[11, 13], [22, 20]]
    assert edit.after.tolist() == [7, 9]
    assert edit.bounds == (slice(11, 14), slice(20, 23))


def test_edits_refuse_layouts_that_they_do_not_fit() -> None:
    before = np.zeros((8, 8), np.uint16)
    after = before.copy()
    after[6, 6] = 300
    edit = as_edit(before, after)
    with pytest.raises(LayoutError, match=r"row 6 .*shape \(5, 8\)"):
        edit.apply(np.zeros((5, 8), np.uint16))
    narrow = np.zeros((8, 8), np.uint8)
    with pytest.raises(LayoutError, match=r"label 300.*end at 255.*Convert"):
        edit.apply(narrow)
    assert not narrow.any()
    with pytest.raises(LayoutError, match="shape"):
        as_edit(before, after[:5])
    with pytest.raises(LayoutError, match="uint8"):
        as_edit(narrow, after)


# New nuclei


def test_an_ellipse_has_its_area_place_and_angle() -> None:
    labels = np.zeros((100, 100), np.uint8)
    mask = applied(labels, add_ellipse(labels, (40.2, 55.7), (20, 8))) == 1
    assert mask.sum() == pytest.approx(np.pi * 20 * 8, rel=0.02)
    assert ndimage.center_of_mass(mask) == pytest.approx((40.2, 55.7), abs=0.2)
    tall, wide = np.ptp(np.nonzero(mask), axis=1)
    assert tall > 2 * wide
    # A quarter of a turn counter-clockwise: its upper end points to the right ...
    turned = applied(labels, add_ellipse(labels, (50, 50), (20, 8), 90)) == 1
    assert np.ptp(np.nonzero(turned)[1]) == 40
    # ... and after an eighth, to the upper left (rows count downwards).
    tilted = applied(labels, add_ellipse(labels, (50, 50), (20, 8), 45)) == 1
    assert tilted[40, 40] and not tilted[40, 60]


def test_a_drag_becomes_an_ellipse() -> None:
    assert ellipse_between((10, 40), (30, 20)) == ((20, 30), (10, 10), 0)
    assert ellipse_between((10, 20), (14, 40)) == ((12, 30), (2, 10), 0)
    assert ellipse_between((10, 20), (6, 40), circle=True) == ((0, 30), (10, 10), 0)
    labels = np.zeros((60, 60), np.uint16)
    drawn = applied(labels, add_ellipse(labels, *ellipse_between((9.5, 19.5), (29.5, 49.5))))
    assert as_edit(labels, drawn).bounds == (slice(10, 30), slice(20, 50))


def test_a_stamp_leaves_its_shape_exactly() -> None:
    labels = messy_layout()
    shape = labels[:62, :70] == 100
    edit = stamp(np.zeros((90, 90), np.uint8), shape, (45, 45))
    (again,) = shapes_of(applied(np.zeros((90, 90), np.uint8), edit), 1)
    rows, cols = np.nonzero(shape)
    cropped = shape[rows.min() : rows.max() + 1, cols.min() : cols.max() + 1]
    np.testing.assert_array_equal(again, cropped)
    flipped = stamp(np.zeros((90, 90), np.uint8), shape, (45, 45), 90, 1, True)
    (again,) = shapes_of(applied(np.zeros((90, 90), np.uint8), flipped), 1)
    np.testing.assert_array_equal(again, np.rot90(cropped[:, ::-1]))


@pytest.mark.parametrize("factor", [0.5, 1.4, 3])
def test_a_stamp_can_be_scaled(factor) -> None:
    shape = disc((41, 41), (20, 20), 18) > 0
    edit = stamp(np.zeros((200, 200), np.uint8), shape, (100, 90), 17, factor)
    assert len(edit.after) == pytest.approx(shape.sum() * factor**2, rel=0.05)


def test_shapes_are_those_of_whole_large_nuclei() -> None:
    labels = messy_layout()
    shapes = shapes_of(labels, 30)
    whole = [s for s in shapes if s.shape == (20, 20) and s.sum() == 384]
    assert len(whole) == 1  # the one with a hole keeps it
    assert all(s.sum() >= 30 and s.any(axis=0).all() and s.any(axis=1).all() for s in shapes)
    assert all(ndimage.label(s)[1] == 1 for s in shapes)
    assert len(shapes_of(labels, 30, keep_cut=True)) > len(shapes)
    assert shapes_of(np.zeros((9, 9), int), 1) == []


# Moved and turned


@pytest.mark.parametrize("seed", SEEDS)
def test_moves_keep_areas_and_forms(seed) -> None:
    random = np.random.default_rng(seed)
    labels = messy_layout()
    ids = [1, 2, 100]
    offset = random.integers(-3, 60, 2)
    after = applied(labels, move(labels, ids, offset, on_overlap="over"))
    for i in ids:
        expected = np.roll(labels == i, offset, axis=(0, 1))
        np.testing.assert_array_equal(after == i, expected)


def test_a_move_leaves_what_it_passes_alone() -> None:
    labels = messy_layout()
    away = move(labels, 100, (0, 80), on_overlap="over").then(
        move(applied(labels, move(labels, 100, (0, 80), on_overlap="over")), 100, (0, -80))
    )
    changed = applied(labels, away) != labels
    assert not (changed & (labels == 100)).any()


@pytest.mark.parametrize("degrees", [360, -720, 0])
def test_whole_turns_change_nothing(degrees) -> None:
    labels = messy_layout()
    assert rotate(labels, [1, 2, 100], degrees).is_empty
    assert scale(labels, [1, 2, 100], 1).is_empty
    assert move(labels, [1, 2, 100], (0.2, -0.3)).is_empty


@pytest.mark.parametrize("side", [40, 41])
@pytest.mark.parametrize("turns", [1, 2, 3, -1])
def test_quarter_turns_are_those_of_the_array(side, turns) -> None:
    labels = np.zeros((side, side), np.uint8)
    labels[8:-8, 12:-12] = 1
    labels[8:-8, 12:15] = 0  # no symmetry of its own ...
    labels[8:-8, -15:-12] = 2  # ... but of the pair
    turned = applied(labels, rotate(labels, [1, 2], 90 * turns, "common centre"))
    middle = np.add(*(ndimage.center_of_mass(labels > 0),) * 2) / 2
    shifted = np.rot90(labels, turns)
    rows, cols = np.nonzero(turned)
    expected = np.nonzero(shifted)
    assert turned[turned > 0].size == labels[labels > 0].size
    np.testing.assert_array_equal(
        turned[rows.min() : rows.max() + 1, cols.min() : cols.max() + 1],
        shifted[
            expected[0].min() : expected[0].max() + 1, expected[1].min() : expected[1].max() + 1
        ],
    )
    assert np.abs(np.subtract(ndimage.center_of_mass(turned > 0), middle)).max() <= 0.5


@pytest.mark.parametrize("side", [40, 41])
def test_a_quarter_turn_on_a_symmetric_canvas_is_that_of_the_array(side) -> None:
    labels = np.zeros((side, side), np.uint8)
    labels[5:-5, 14:-14] = 1
    labels[5, 14] = labels[-6, -15] = 0
    turned = applied(labels, rotate(labels, 1, 90))
    np.testing.assert_array_equal(turned, np.rot90(labels))


@pytest.mark.parametrize("seed", range(40))
def test_four_quarter_turns_lead_back(seed) -> None:
    random = np.random.default_rng(seed)
    labels = np.zeros((40, 40), np.uint8)
    height, width = random.integers(1, 8, 2)
    labels[15 : 15 + height, 15 : 15 + width] = 1
    labels[15 : 15 + height, 15 : 15 + width] *= random.random((height, width)) < 0.8
    labels[15, 15] = 1
    after = labels.copy()
    for _ in range(4):
        rotate(after, 1, 90 if seed % 2 else -90).apply(after)
    np.testing.assert_array_equal(after, labels)


@pytest.mark.parametrize("degrees", [10, 45, 77, 123])
def test_other_turns_keep_the_area_and_the_centre(degrees) -> None:
    labels = messy_layout()
    after = applied(labels, rotate(labels, 100, degrees, on_overlap="over"))
    assert np.count_nonzero(after == 100) == pytest.approx(np.sum(labels == 100), rel=0.03)
    before, now = (ndimage.center_of_mass(la == 100) for la in (labels, after))
    assert now == pytest.approx(before, abs=0.3)


def test_turns_are_counter_clockwise() -> None:
    labels = np.zeros((60, 60), np.uint8)
    labels[29:32, 10:50], labels[25:36, 40:50] = 1, 1  # heavy on the right
    after = applied(labels, rotate(labels, 1, 80)) > 0
    assert after[:25].sum(axis=1).max() > after[35:].sum(axis=1).max()  # heavy at the top


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.25, 2])
def test_scaling_squares_the_area(factor) -> None:
    labels = messy_layout()
    labels[labels != 100] = 0
    after = applied(labels, scale(labels, 100, factor))
    assert np.sum(after > 0) == pytest.approx(np.sum(labels > 0) * factor**2, rel=0.05)


def test_common_centre_spreads_nuclei() -> None:
    labels = disc((100, 100), (50, 30), 6) + disc((100, 100), (50, 70), 6, 2)
    after = applied(labels, scale(labels, [1, 2], 1.5, "common centre"))
    assert ndimage.center_of_mass(after == 1) == pytest.approx((50, 20), abs=0.3)
    after = applied(labels, rotate(labels, [1, 2], 90, "common centre"))
    assert ndimage.center_of_mass(after == 1) == pytest.approx((70, 50), abs=0.3)
    after = applied(labels, rotate(labels, [1, 2], 90))
    np.testing.assert_array_equal(after, labels)


def test_copies_get_new_ids_and_the_originals_stay() -> None:
    labels = messy_layout()
    after = applied(labels, duplicate(labels, [100, 1], (90, 3), on_overlap="over"))
    highest = labels.max()
    for copy, original in ((highest + 1, 100), (highest + 2, 1)):
        np.testing.assert_array_equal(after == original, labels == original)
        expected = np.roll(labels == original, (90, 3), axis=(0, 1))
        expected[:90] = False
        np.testing.assert_array_equal(after == copy, expected)


# Overlap and borders


def two_discs():
    return disc((60, 80), (30, 25), 12, 1) + disc((60, 80), (30, 60), 5, 2)


def test_under_the_new_one_is_cut() -> None:
    labels = two_discs()
    after = applied(labels, add_ellipse(labels, (30, 40), (8, 8)))
    np.testing.assert_array_equal(after == 1, labels == 1)
    ellipse = disc(labels.shape, (30, 40), 8) > 0
    np.testing.assert_array_equal(after == 3, ellipse & (labels == 0))


def test_over_the_others_are_cut() -> None:
    labels = two_discs()
    after = applied(labels, add_ellipse(labels, (30, 40), (8, 8), on_overlap="over"))
    ellipse = disc(labels.shape, (30, 40), 8) > 0
    np.testing.assert_array_equal(after == 3, ellipse)
    np.testing.assert_array_equal(after == 1, (labels == 1) & ~ellipse)


def test_slivers_of_cut_nuclei_disappear() -> None:
    labels = two_discs()
    # A disc over nearly all of the small one leaves a sickle of a few pixels.
    after = applied(labels, add_ellipse(labels, (30, 59), (5.6, 5.6), on_overlap="over"))
    rest = (labels == 2) & ~(disc(labels.shape, (30, 59), 5.6) > 0)
    assert 0 < rest.sum() < SLIVER_PX
    assert not (after == 2).any()
    # And so do those of the new one, when it is the one that is cut.
    bar = np.zeros((60, 80), int)
    bar[20:40, 30:33] = 1
    after = applied(bar, add_ellipse(bar, (30, 27), (7, 7)))
    right = (after == 2)[:, 33:]
    assert not right.any() and (after == 2).any()


def test_refused_overlap_names_the_others() -> None:
    labels = two_discs()
    with pytest.raises(LayoutError, match="cover 1"):
        add_ellipse(labels, (30, 40), (8, 8), on_overlap="refuse")
    assert not add_ellipse(labels, (30, 47), (8, 6), on_overlap="refuse").is_empty
    with pytest.raises(LayoutError, match="one another"):
        scale(labels, [1, 2], 2, on_overlap="refuse")
    with pytest.raises(RequestError, match="on_overlap is beside"):
        add_ellipse(labels, (30, 40), (8, 8), on_overlap="beside")


@pytest.mark.parametrize("seed", SEEDS)
def test_moved_nuclei_also_keep_to_the_rule_among_themselves(seed) -> None:
    labels = layout.scatter_nuclei((120, 120), density=0.3, mean_area_px=120, seed=seed)
    ids = np.arange(1, 12)
    grown = {
        rule: applied(labels, scale(labels, ids, 1.7, on_overlap=rule))
        for rule in ("under", "over")
    }
    assert (np.isin(labels, ids) | (grown["under"] == labels) | (labels == 0)).all()
    alone = np.where(np.isin(labels, ids), labels, 0)
    front, behind = (
        applied(alone, scale(alone, ids, 1.7, on_overlap=rule)) for rule in ("under", "over")
    )
    reverse = applied(alone, scale(alone, ids[::-1], 1.7, on_overlap="over"))
    assert np.sum(front == ids[0]) >= np.sum(behind == ids[0])
    np.testing.assert_array_equal(front > 0, behind > 0)
    np.testing.assert_array_equal(front, reverse)


def test_the_border_cuts() -> None:
    labels = two_discs()
    after = applied(labels, move(labels, 1, (-30, -25)))
    expected = disc(labels.shape, (0, 0), 12)
    np.testing.assert_array_equal(after == 1, expected)
    assert applied(labels, add_ellipse(labels, (59, 79), (6, 6)))[-1, -1] == 3
    assert stamp(labels, np.ones((9, 9), bool), (-3, 30)).bounds == (slice(0, 2), slice(26, 35))


@pytest.mark.parametrize(
    "vanishing",
    [
        lambda la: move(la, 2, (-100, 0)),
        lambda la: move(la, 2, (0, -35)),  # under the other
        lambda la: add_ellipse(la, (200, 200), (5, 5)),
        lambda la: add_ellipse(la, (30, 25), (5, 5)),
        lambda la: add_ellipse(la, (5.5, 5.5), (0.1, 0.1)),
        lambda la: duplicate(la, 2, (0, 0)),
        lambda la: stamp(la, np.ones((3, 3), bool), (-10, 5)),
    ],
)
def test_a_nucleus_that_would_vanish_is_refused(vanishing) -> None:
    with pytest.raises(LayoutError, match="would vanish"):
        vanishing(two_discs())


def test_new_ids_must_fit_the_type() -> None:
    labels = two_discs().astype(np.uint8)
    labels[0, 0] = 255
    for full in (
        lambda: add_ellipse(labels, (10, 60), (5, 5)),
        lambda: duplicate(labels, 1, (30, 0)),
        lambda: split(labels, 1, ((0, 25), (50, 25))),
        lambda: scatter_in(labels, np.ones(labels.shape, bool)),
    ):
        with pytest.raises(LayoutError, match=r"label \d+, but uint8 labels end at 255.*int32"):
            full()
    wide = labels.astype(np.int32)
    assert add_ellipse(wide, (10, 60), (5, 5)).after.max() == 256


@pytest.mark.parametrize("ids", [7, [1, 7], 300, 0, -1, []])
def test_what_is_not_there_is_told(ids) -> None:
    labels = two_discs().astype(np.uint8)
    for verb in (delete, lambda la, i: move(la, i, (1, 1)), lambda la, i: rotate(la, i, 10)):
        with pytest.raises(LayoutError, match="Nothing was changed"):
            verb(labels, ids)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda la: scale(la, 1, 0),
        lambda la: scale(la, 1, float("nan")),
        lambda la: rotate(la, 1, float("inf")),
        lambda la: rotate(la, 1, 10, "the moon"),
        lambda la: add_ellipse(la, (5, 5), (0, 5)),
        lambda la: stamp(la, np.ones((3, 3), bool), (5, 5), 0, -1),
        lambda la: split(la, 1, ((5, 5), (5, 5))),
        lambda la: smooth_outlines(la, -1, 1),
        lambda la: scatter_in(la, la == 0, density=2),
        lambda la: scatter_in(la, la == 0, spacing="none"),
        lambda la: scatter_in(la, la == 0, mean_area_px=0),
        lambda la: extend_canvas(la, -1),
    ],
)
def test_values_out_of_range_are_refused(wrong) -> None:
    with pytest.raises(RequestError):
        wrong(two_discs())


def test_what_is_no_layout_is_refused() -> None:
    for wrong in (np.zeros((5, 5)), np.zeros((5, 5, 3), int), np.zeros((0, 5), int)):
        with pytest.raises(LayoutError):
            add_ellipse(wrong, (2, 2), (1, 1))
    with pytest.raises(LayoutError, match="no pixel"):
        stamp(two_discs(), np.zeros((3, 3), bool), (5, 5))


def test_bounds_say_where_to_look() -> None:
    labels = two_discs()
    bounds = bounds_at(labels, (30, 61))
    assert bounds == (slice(25, 36), slice(55, 66))
    near, far = move(labels, 2, (3, 4), bounds=bounds), move(labels, 2, (3, 4))
    np.testing.assert_array_equal(applied(labels, near), applied(labels, far))
    with pytest.raises(LayoutError, match="within the given bounds"):
        move(labels, 1, (3, 4), bounds=bounds)
    assert bounds_at(labels, (0, 0)) is None and bounds_at(labels, (-5, 200)) is None


@pytest.mark.parametrize("seed", SEEDS)
def test_bounds_are_found_whatever_the_size(seed) -> None:
    labels = layout.scatter_nuclei((300, 300), density=0.4, mean_area_px=2000, seed=seed)
    for i, box in enumerate(ndimage.find_objects(labels), start=1):
        row, col = (int(p[0]) for p in np.nonzero(labels == i))
        assert bounds_at(labels, (row, col)) == box


# Split and merged


@pytest.mark.parametrize("distance", [12, 16, 19])
@pytest.mark.parametrize("turn", [0, 0.6])
def test_two_overlapping_discs_are_split(distance, turn) -> None:
    away = np.array([np.sin(turn), np.cos(turn)]) * distance
    first, second = (disc((60, 60), np.add((25, 20), s), 10) > 0 for s in (0, away))
    labels = (first | second).astype(np.uint16) * 9
    after = applied(labels, split(labels, 9))
    ids, areas = np.unique(after[after > 0], return_counts=True)
    assert ids.tolist() == [9, 10]
    assert areas[0] >= areas[1] > 0.9 * areas[0]
    assert areas.sum() == np.count_nonzero(labels)
    assert np.mean(after[first & ~second] == after[25, 20]) > 0.98


def test_three_in_a_row_become_three() -> None:
    labels = sum(disc((50, 90), (25, c), 11) > 0 for c in (20, 37, 54)).clip(0, 1)
    after = applied(labels, split(labels, 1))
    assert np.unique(after).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("seed", SEEDS)
def test_single_nuclei_are_not_split(seed) -> None:
    labels = layout.scatter_nuclei((200, 200), density=0.2, mean_area_px=400, seed=seed)
    whole = layout.remove_specks(labels, 100)
    with pytest.raises(LayoutError, match="no neck"):
        split_at_necks(whole, np.unique(whole)[1:])


def test_a_line_splits_where_it_is_drawn() -> None:
    labels = disc((60, 60), (30, 30), 15, 4, np.uint8)
    after = applied(labels, split(labels, 4, ((10, 25), (50, 25.2))))
    small = after == 5
    assert small.any() and small[:, 26:].sum() == 0
    assert np.count_nonzero(after == 4) > np.count_nonzero(small) > 100
    with pytest.raises(LayoutError, match="line does not cut"):
        split(labels, 4, ((0, 0), (5, 0)))
    with pytest.raises(LayoutError, match="line does not cut"):
        split(labels, 4, ((10, 15.5), (50, 15.5)))  # a sliver


def test_a_line_through_both_arms_makes_three() -> None:
    labels = np.zeros((40, 40), np.uint8)
    labels[5:35, 5:35], labels[5:25, 15:25] = 1, 0
    after = applied(labels, split(labels, 1, ((15, 0), (15, 40))))
    assert np.unique(after).tolist() == [0, 1, 2, 3]
    assert split_disconnected(after).is_empty


@pytest.mark.parametrize("gap", [0, 1, 2, 5, MAX_GAP_PX - 1])
@pytest.mark.parametrize("turn", [0, 0.5])
def test_merged_nuclei_are_connected(gap, turn) -> None:
    away = np.array([np.sin(turn), np.cos(turn)]) * (21 + gap)
    labels = np.maximum(disc((80, 80), (30, 25), 10), disc((80, 80), np.add((30, 25), away), 10, 2))
    after = applied(labels, merge(labels, [2, 1]))
    assert np.unique(after).tolist() == [0, 2]
    assert ndimage.label(after)[1] == 1
    assert (after[labels > 0] == 2).all()
    assert np.count_nonzero(after) - np.count_nonzero(labels) < 12 * (gap + 1)


def test_merging_keeps_dents_and_neighbours() -> None:
    labels = disc((60, 80), (30, 25), 10) + disc((60, 80), (30, 48), 10, 2)
    labels[28:33, 15:19] = 0  # a dent far from the gap
    labels[33:38, 36:38] = 3  # a neighbour beside the gap
    after = applied(labels, merge(labels, [1, 2]))
    assert not after[28:33, 15:17].any()
    np.testing.assert_array_equal(after == 3, labels == 3)
    assert ndimage.label(after == 1)[1] == 1


def test_nuclei_that_cannot_be_merged() -> None:
    labels = disc((60, 200), (30, 25), 10) + disc((60, 200), (30, 65), 10, 2)
    labels += disc((60, 200), (30, 180), 10, 3)
    with pytest.raises(LayoutError, match=f"more than {MAX_GAP_PX} px"):
        merge(labels, [1, 2])
    with pytest.raises(LayoutError, match=f"more than {MAX_GAP_PX} px"):
        merge(labels, [1, 3])
    labels[:, 36:55] = 4  # no way through
    with pytest.raises(LayoutError, match="another nucleus"):
        merge(labels, [1, 2])
    with pytest.raises(LayoutError, match="at least two"):
        merge(labels, [1, 1])


# Repairs


@pytest.mark.parametrize("seed", SEEDS)
def test_repairs_of_all_nuclei_are_those_of_the_layout(seed) -> None:
    labels = messy_layout(seed=seed)
    for edit, expected in (
        (fill_holes(labels), layout.fill_holes(labels)),
        (remove_specks(labels, 30), layout.remove_specks(labels, 30)),
        (remove_specks(labels, 90, keep_cut=True), layout.remove_specks(labels, 90, keep_cut=True)),
        (smooth_outlines(labels, 1.5), layout.smooth_outlines(labels, 1.5)),
        (split_disconnected(labels), layout.split_disconnected(labels)),
        (relabel_contiguous(labels), layout.relabel_contiguous(labels)),
    ):
        np.testing.assert_array_equal(applied(labels, edit), expected)


def test_repairs_of_some_nuclei_leave_the_others() -> None:
    labels = messy_layout()
    labels[70:90, 70:90], labels[75:80, 75:80] = 200, 0
    filled = applied(labels, fill_holes(labels, [200]))
    assert (filled[70:90, 70:90] == 200).all()
    assert not filled[10:14, 10:14].any()
    smooth = smooth_outlines(labels, 3, 200)
    assert set(np.unique([smooth.before, smooth.after])) <= {0, 200}
    assert split_disconnected(labels, 200).is_empty


def test_crumbs_are_cleared_rather_than_numbered() -> None:
    labels = messy_layout()
    labels[50, 30] = 2
    after = applied(labels, split_disconnected(labels, 2, min_part_px=5))
    assert after[50, 30] == 0 and after[32, 20] == labels.max() + 1 and after[32, 10] == 2


# Regions and the canvas


@pytest.mark.parametrize("spacing", ["random", "regular", "clustered"])
@pytest.mark.parametrize("density", [0.1, 0.3])
def test_scattering_fills_the_region_and_nothing_else(density, spacing) -> None:
    labels = np.zeros((300, 300), np.uint16)
    labels[140:160, 140:160] = 5
    region = disc(labels.shape, (150, 150), 110) > 0
    edit = scatter_in(labels, region, density=density, mean_area_px=150, spacing=spacing, seed=1)
    after = applied(labels, edit)
    np.testing.assert_array_equal(after[~region], labels[~region])
    np.testing.assert_array_equal(after == 5, labels == 5)
    assert np.mean(after[region] > 0) == pytest.approx(density, abs=0.015)
    assert edit.after.min() == 6
    near = ndimage.binary_dilation(labels == 5)
    assert not (near & (after > 5)).any()  # the gap


def test_scattering_keeps_the_gap_to_what_lies_beside_the_region() -> None:
    labels = np.zeros((100, 100), np.int32)
    labels[:, 50:] = 1
    region = np.zeros(labels.shape, bool)
    region[20:80, 10:50] = True
    edit = scatter_in(labels, region, density=0.4, mean_area_px=60, min_gap_px=6)
    assert edit.indices[1].max() < 44


def test_a_region_on_the_border_cuts_nuclei_there_only() -> None:
    labels = np.zeros((100, 100), np.int32)
    region = np.zeros(labels.shape, bool)
    region[:60, 20:80] = True
    after = applied(labels, scatter_in(labels, region, density=0.4, mean_area_px=200, seed=2))
    assert after[0].any()
    inner = np.isin(after, [0, *np.unique(after[0])], invert=True)
    areas = np.unique(after[inner], return_counts=True)[1]
    assert areas.min() > 60  # no flat cuts at the region's own sides


def test_a_region_that_is_dense_enough_stays() -> None:
    labels = np.ones((64, 64), np.int32)
    assert scatter_in(labels, labels > 0, density=0.3).is_empty
    for region, words in ((np.zeros((64, 64), bool), "no pixel"), (np.ones((9, 9), bool), "shape")):
        with pytest.raises(LayoutError, match=words):
            scatter_in(labels, region)


def test_spacings_differ() -> None:
    empty = np.zeros((300, 300), np.int32)
    nearest = {}
    for spacing in ("clustered", "random", "regular"):
        labels = applied(
            empty,
            scatter_in(empty, empty == 0, density=0.08, mean_area_px=100, spacing=spacing, seed=3),
        )
        centres = ndimage.center_of_mass(labels > 0, labels, np.unique(labels)[1:])
        apart = np.hypot(*np.subtract.outer(centres, centres).diagonal(axis1=1, axis2=3).T)
        np.fill_diagonal(apart, np.inf)
        nearest[spacing] = apart.min(axis=0).mean()
    assert 1.2 * nearest["clustered"] < nearest["random"] < 0.9 * nearest["regular"]


def test_the_canvas_grows_on_each_side() -> None:
    labels = two_discs().astype(np.uint8)
    wider = extend_canvas(labels, top=1, right=2, bottom=3, left=4)
    assert wider.dtype == labels.dtype and wider.shape == (64, 86)
    np.testing.assert_array_equal(wider[1:-3, 4:-2], labels)
    assert wider.sum() == labels.sum()


def test_an_edit_is_what_it_says() -> None:
    rows = np.array([1, 2])
    edit = Edit((rows, rows), np.array([0, 0], np.uint8), np.array([3, 4], np.uint8))
    assert edit.nbytes == 2 * rows.nbytes + 4
    assert edit.then(edit.inverse()).is_empty
