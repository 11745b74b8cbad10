import numpy as np
import pytest
from scipy import ndimage

from napari_nudiff.errors import LayoutError
from napari_nudiff.nuclei import editing, layout
from napari_nudiff.nuclei.inspection import Finding, fix, inspect_layout


def troubled_layout(dtype=np.uint16):
    """Twelve good nuclei and one of each trouble."""
    labels = np.zeros((160, 200), dtype)
    for i in range(12):
        labels[10:25, 5 + 16 * i : 17 + 16 * i] = i + 1
    labels[40:60, 10:30] = 101
    labels[45:50, 15:20] = labels[52, 25] = 0  # two holes
    labels[40:45, 50:60] = labels[50:60, 50:60] = 102  # two parts ...
    labels[62, 70] = 102  # ... and a crumb
    labels[40:43, 90:93] = 103  # a speck
    labels[0:2, 90:93] = 104  # at the border it may be a cut nucleus
    rows, cols = np.indices(labels.shape)
    for col in (100, 132):
        labels[np.hypot(rows - 110, cols - col) < 19] = 105
    return labels


def assert_equal(a, b) -> None:
    assert (a.shape, a.min_area_px) == (b.shape, b.min_area_px)
    for name in ("ids", "area_px", "part_count", "hole_count", "boxes"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def counted_slowly(labels):
    """The same by the book, one nucleus after the other."""
    ids = [int(i) for i in np.unique(labels) if i]
    gaps, _ = ndimage.label(np.pad(labels == 0, 1, constant_values=True))
    filled = layout.fill_holes(labels)
    holes = {i: len(np.unique(gaps[1:-1, 1:-1][(filled == i) & (labels == 0)])) for i in ids}
    return (
        ids,
        [np.count_nonzero(labels == i) for i in ids],
        [ndimage.label(labels == i)[1] for i in ids],
        [holes[i] for i in ids],
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
@pytest.mark.parametrize("seed", range(6))
def test_counts_are_right(seed, dtype) -> None:
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(1, 40, 2)) if seed else (1, 1)
    noise = ndimage.zoom(random.integers(0, 4, shape), 2, order=0).astype(dtype)
    for labels in (noise, noise[::-1, ::2], np.asfortranarray(noise), noise + dtype(1)):
        report = inspect_layout(labels)
        ids, areas, parts, holes = counted_slowly(labels)
        assert report.ids.tolist() == ids
        assert report.area_px.tolist() == areas
        assert report.part_count.tolist() == parts
        assert report.hole_count.tolist() == holes
        for i in ids:
            rows, cols = np.nonzero(labels == i)
            assert report.bounds_of(i) == (
                slice(rows.min(), rows.max() + 1), slice(cols.min(), cols.max() + 1)
            )  # fmt: skip


def test_each_trouble_is_found() -> None:
    report = inspect_layout(troubled_layout())
    assert report.count == 17
    assert report.specks == (103,)
    assert report.disconnected == (102,)
    assert report.holed == (101,)
    assert report.oversized == (105,)
    assert report.largest == 105
    assert report.foreground == pytest.approx(np.mean(troubled_layout() > 0))
    assert report.is_large_enough
    assert [f.kind for f in report.issues] == ["speck", "disconnected", "hole", "oversized"]
    assert report.issues[0].message == "1 nucleus smaller than 31 px"
    assert inspect_layout(troubled_layout(), 8).specks == ()


def test_every_finding_names_the_edit_that_mends_it() -> None:
    labels = troubled_layout()
    for finding in inspect_layout(labels).issues:
        assert callable(getattr(editing, finding.fix_name))
        after = labels.copy()
        fix(labels, finding).apply(after)
        left = [f for f in inspect_layout(after).issues if f.kind == finding.kind]
        assert not left
        untouched = ~np.isin(labels, [0, *finding.ids])
        np.testing.assert_array_equal(after[untouched], labels[untouched])


def test_one_click_after_the_other_mends_all() -> None:
    labels = troubled_layout()
    for _ in range(5):
        for finding in inspect_layout(labels).issues[:1]:
            fix(labels, finding).apply(labels)
    assert inspect_layout(labels).issues == []
    assert inspect_layout(labels).count == 18  # less the speck, two in parts, two of the pair


def test_a_sound_layout_has_no_issues() -> None:
    for seed in range(5):
        labels = layout.scatter_nuclei((300, 300), density=0.4, min_gap_px=0, seed=seed)
        assert inspect_layout(labels).issues == []


def test_an_empty_layout() -> None:
    report = inspect_layout(np.zeros((64, 64), np.uint8))
    assert report.count == 0 and report.largest is None and report.foreground == 0
    assert report.issues == []
    with pytest.raises(LayoutError, match="no nucleus 3"):
        report.bounds_of(3)


def test_a_small_canvas_is_told_and_needs_another_layer() -> None:
    (finding,) = inspect_layout(np.zeros((63, 200), int)).issues
    assert finding.kind == "small canvas" and "63 x 200" in finding.message
    assert callable(getattr(editing, finding.fix_name))
    with pytest.raises(LayoutError, match="extend_canvas"):
        fix(np.zeros((63, 200), int), finding)


def test_large_nuclei_without_necks_are_not_split() -> None:
    labels = troubled_layout()
    labels[labels == 105] = 0
    labels[80:140, 60:170] = 105
    with pytest.raises(LayoutError, match="no neck"):
        fix(labels, Finding("oversized", (105,), "", "split_at_necks"))


def test_what_is_no_layout_is_refused() -> None:
    for wrong in (np.zeros((70, 70)), np.zeros((70, 70, 3), int), -np.ones((70, 70), int)):
        with pytest.raises(LayoutError):
            inspect_layout(wrong)


@pytest.mark.parametrize("seed", range(10))
def test_a_report_follows_edits(seed) -> None:
    random = np.random.default_rng(seed)
    labels = layout.scatter_nuclei((200, 240), density=0.3, min_gap_px=0, seed=seed)
    labels[60:160, 60:160] = 1
    labels[90:130, 90:130] = 0  # a hole in which nuclei come and go
    report = inspect_layout(labels)
    for _ in range(12):
        i = int(random.choice(report.ids))
        point = tuple(random.uniform(0, (200, 240)))
        verbs = (
            lambda i=i: editing.move(labels, i, random.normal(0, 40, 2), on_overlap="over"),
            lambda i=i: editing.delete(labels, i),
            lambda p=point: editing.add_ellipse(labels, p, (9, 5), 20, on_overlap="over"),
            lambda: editing.add_ellipse(labels, (110, 110), (8, 8)),
            lambda i=i: editing.rotate(labels, i, 90, on_overlap="over"),
            lambda: editing.as_edit(labels, labels),
        )
        try:
            edit = verbs[random.integers(len(verbs))]()
        except LayoutError:
            continue
        edit.apply(labels)
        report = inspect_layout(labels, previous=report, bounds=edit.bounds)
        assert_equal(report, inspect_layout(labels))


@pytest.mark.parametrize("place", [(200, 200), (10, 200), (110, 110), (55, 55)])
@pytest.mark.parametrize("nucleus", [0, 1, 2, 3])
def test_a_stroke_anywhere_with_any_number_is_seen(place, nucleus) -> None:
    labels = np.zeros((256, 256), dtype=np.int32)
    labels[50:70, 50:70] = 1
    labels[100:120, 100:120] = 2
    before = inspect_layout(labels)
    bounds = (slice(place[0], place[0] + 20), slice(place[1], place[1] + 20))
    labels[bounds] = nucleus
    assert_equal(inspect_layout(labels, previous=before, bounds=bounds), inspect_layout(labels))
