"""Every problem is told, all at once, and what is mended is mended rightly."""

import csv
import io
from functools import partial

import numpy as np
import pytest
from scipy import ndimage

from napari_nudiff.dataset.checks import Rules, check_image
from napari_nudiff.dataset.pair import pixels_sha256
from napari_nudiff.dataset.problems import Problem, problem_csv, problem_table
from napari_nudiff.dataset.readers import LabelledImage, Loaded
from napari_nudiff.dataset.readers.labelled import unreadable


def check(image, labels, um_per_px=0.25, rules=None, notes=()):
    found = LabelledImage("x", "s/x.png", partial(Loaded, image, labels, um_per_px, notes))
    return check_image(found, rules or Rules())


def told(problems) -> dict[str, str]:
    return {p.what: p.level for p in problems}


def test_a_sound_image_has_no_problems_and_stays_as_it_is(crop) -> None:
    image, labels = crop
    ready, problems = check(image, without_specks(labels))
    assert problems == []
    assert np.array_equal(ready.image, image)
    assert np.array_equal(ready.labels > 0, without_specks(labels) > 0)
    assert ready.um_per_px == 0.25


def without_specks(labels):
    areas = np.bincount(labels.ravel())
    kept = np.where(areas[labels] >= 10, labels, 0)
    return np.unique(kept, return_inverse=True)[1].reshape(labels.shape)


def spread(labels, factor):
    return labels.astype(np.int64) * factor


def test_huge_ids_and_gaps_are_renumbered(crop) -> None:
    image, labels = crop
    for factor, what in ((70_000, "huge ids"), (3, "gaps in ids")):
        ready, problems = check(image, spread(without_specks(labels), factor))
        assert told(problems) == {what: "note"}
        assert np.array_equal(ready.labels, without_specks(labels))
        assert ready.labels.dtype == np.int32


def test_whole_numbers_in_floats_are_ids(crop) -> None:
    ready, problems = check(crop[0], without_specks(crop[1]).astype(np.float64))
    assert problems == []
    assert np.array_equal(ready.labels, without_specks(crop[1]))


def two_parts():
    labels = np.zeros((140, 160), np.int32)
    labels[10:30, 10:30] = 1
    labels[50:60, 50:60] = labels[80:100, 80:100] = 2
    return labels


def test_disconnected_ids_are_split_unless_they_shall_stay(crop) -> None:
    ready, problems = check(crop[0], two_parts())
    assert told(problems) == {"disconnected ids": "note"}
    assert ready.labels[55, 55] == 3
    assert np.array_equal(ready.labels > 0, two_parts() > 0)
    ready, problems = check(crop[0], two_parts(), rules=Rules(keep_disconnected=True))
    assert told(problems) == {"disconnected ids": "warning"}
    assert np.array_equal(ready.labels, two_parts())


@pytest.mark.parametrize("value", [255, 1, True])
def test_binary_masks_become_connected_parts(crop, value) -> None:
    mask = (two_parts() > 0) * (np.bool_(True) if value is True else np.uint8(value))
    ready, problems = check(crop[0], mask)
    assert [p.detail for p in problems] == ["binary mask: its 3 connected parts were made nuclei"]
    assert np.array_equal(ready.labels > 0, two_parts() > 0)
    assert ready.labels.max() == 3


def test_a_single_nucleus_is_no_binary_mask(crop) -> None:
    ready, problems = check(crop[0], (two_parts() == 1).astype(np.uint16))
    assert problems == []
    assert ready.labels.max() == 1


def coloured(labels, background=(0, 0, 0)):
    colours = np.array([background, (255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 9, 9)], np.uint8)
    return colours[labels]


def three_parts():
    return ndimage.label(two_parts() > 0)[0]


@pytest.mark.parametrize("background", [(0, 0, 0), (255, 255, 255)])
def test_each_colour_is_a_nucleus(crop, background) -> None:
    ready, problems = check(crop[0], coloured(three_parts(), background))
    assert [p.what for p in problems] == ["label type"]
    assert "each of its 3 colours is a nucleus" in problems[0].detail
    assert ready.labels.max() == 3
    for number in range(4):
        assert len(np.unique(ready.labels[three_parts() == number])) == 1
    assert not ready.labels[three_parts() == 0].any()


def test_grey_masks_stored_as_rgb_are_ids(crop) -> None:
    ready, problems = check(crop[0], np.repeat(three_parts()[..., None], 3, 2).astype(np.uint8))
    assert problems == []
    assert np.array_equal(ready.labels, three_parts())


@pytest.mark.parametrize(
    ("labels", "what", "detail"),
    [
        (np.full((140, 160), 1.5), "label type", "1.5"),
        (np.full((140, 160), np.nan), "label type", "whole number"),
        (np.full((140, 160), -3), "label type", "-3"),
        (np.full((140, 160), 2**63, np.uint64), "label type", "9223372036854775808"),
        (np.full((140, 160), 1j), "label type", "complex128"),
        (np.zeros((5, 140, 160), int), "label type", "(5, 140, 160)"),
        (np.zeros((140, 160, 3)) + np.arange(3), "label type", "float64"),
        (np.zeros((0, 0), int), "label type", "(0, 0)"),
        (np.ones((160, 140), int), "sizes differ", "labels (160, 140)"),
    ],
)
def test_labels_that_cannot_be_used(crop, labels, what, detail) -> None:
    ready, problems = check(crop[0], labels)
    assert ready is None
    assert told(problems) == {what: "error"}
    assert detail in problems[0].detail


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((140, 160), np.uint8),
        np.zeros((140, 160, 2), np.uint8),
        np.full((140, 160, 3), 0.5),
        np.full((140, 160, 3), 300, np.int32),
    ],
)
def test_images_that_cannot_be_used(image) -> None:
    ready, problems = check(image, two_parts())
    assert ready is None
    assert told(problems) == {"image type": "error"}


def test_several_errors_of_one_image_come_at_once() -> None:
    ready, problems = check(np.zeros((9, 9), np.uint8), np.full((140, 160), 0.5), um_per_px=None)
    assert ready is None
    assert told(problems) == {
        "image type": "error",
        "label type": "error",
        "um per px missing": "warning",
    }


def test_other_ways_to_store_colours(crop) -> None:
    image = crop[0]
    alpha = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    planes = np.moveaxis(image, -1, 0)
    for stored in (alpha, planes, image.astype(np.float64), image.astype(np.uint16) * 257):
        ready, _ = check(stored, two_parts())
        assert np.array_equal(ready.image, image)


def test_what_should_be_looked_at() -> None:
    image = np.full((100, 160, 3), 7, np.uint8)
    labels = np.zeros((100, 160), int)
    assert told(check(image, labels)[1]) == {
        "one colour": "warning",
        "small image": "warning",
        "no nuclei": "warning",
    }
    labels[:60] = 1
    labels[80, 3:6] = 2
    problems = check(image, labels)[1]
    assert told(problems)["specks"] == told(problems)["huge nuclei"] == "warning"
    details = {p.what: p.detail for p in problems}
    assert "1 of 2 nuclei" in details["specks"]
    assert "60%" in details["huge nuclei"]


def test_what_readers_and_files_tell_is_passed_on() -> None:
    _, problems = check_image(unreadable("x", "s/x", "x.png has no labels."), Rules())
    assert problems == [Problem("error", "x", "unreadable", "x.png has no labels.")]
    _, problems = check(np.zeros((140, 160, 3), np.uint8), two_parts(), notes=("2 crowds",))
    assert Problem("note", "x", "reading", "2 crowds") in problems


@pytest.mark.parametrize(
    ("file", "given", "target", "um_per_px", "what", "level"),
    [
        (0.5, None, None, 0.5, "um per px unusual", "warning"),
        (None, None, None, None, "um per px missing", "warning"),
        (None, None, 0.25, None, "um per px missing", "error"),
        (None, 0.25, None, 0.25, None, None),
        (0.25, 0.5, None, 0.25, "um per px contradicted", "warning"),
        (0.252, None, 0.25, 0.252, None, None),
        (0.5, None, 0.25, 0.25, "resampled", "note"),
    ],
)
def test_um_per_px(crop, file, given, target, um_per_px, what, level) -> None:
    ready, problems = check(crop[0], two_parts(), file, Rules(given, target, True))
    problems = [p for p in problems if p.what != "disconnected ids"]
    assert told(problems) == ({what: level} if what else {})
    assert (ready.um_per_px if ready else None) == um_per_px


@pytest.mark.parametrize(("file", "factor"), [(0.5, 2.0), (0.125, 0.5), (0.3, 1.2)])
def test_resampling_keeps_nuclei_where_they_are(crop, file, factor) -> None:
    image, labels = crop
    ready, _ = check(image, labels, file, Rules(target_um_per_px=0.25))
    shape = tuple(round(side * factor) for side in labels.shape)
    assert ready.image.shape == (*shape, 3)
    assert ready.labels.shape == shape
    assert abs(ready.image.mean() - image.mean()) < 1
    areas = np.bincount(labels.ravel())[1:]
    number = int(areas.argmax()) + 1
    row, col = ndimage.center_of_mass(labels == number)
    there = ready.labels[int(row * factor), int(col * factor)]
    assert there
    mask = ready.labels == there
    assert mask.sum() == pytest.approx(areas.max() * factor**2, rel=0.05)
    np.testing.assert_allclose(
        np.add(ndimage.center_of_mass(mask), 0.5), np.add((row, col), 0.5) * factor, atol=0.6
    )


def test_duplicates_are_known_by_their_pixels_before_resampling(crop) -> None:
    fingerprints = [
        check(crop[0], crop[1], um, Rules(target_um_per_px=0.25))[0].source_sha256()
        for um in (0.25, 0.5)
    ]
    assert fingerprints == [pixels_sha256(crop[0])] * 2
    assert pixels_sha256(crop[0][:, ::-1]) != fingerprints[0]
    assert pixels_sha256(crop[0].reshape(160, 140, 3)) != fingerprints[0]


def test_the_table_lists_every_error_and_groups_the_rest() -> None:
    errors = [Problem("error", f"e{i}", "sizes differ", "a, b") for i in range(9)]
    warnings = [Problem("warning", f"w{i}", "specks", f"{i} of 9") for i in range(9)]
    lines = problem_table([*warnings, *errors]).splitlines()
    assert len(lines) == 1 + 9 + 1
    assert [line.split()[1] for line in lines[1:10]] == [f"e{i}" for i in range(9)]
    assert lines[10].split()[:4] == ["warning", "9", "images", "specks"]
    assert "w0: 0 of 9; so also w1, w2 and 6 more" in lines[10]
    assert problem_table([]) == "No problems."


def test_the_csv_has_every_problem_whatever_is_in_it() -> None:
    problems = [Problem("note", "a,b", "reading", 'two\nlines "quoted"')] * 4
    rows = list(csv.reader(io.StringIO(problem_csv(problems))))
    assert rows[0] == ["level", "name", "what", "detail"]
    assert rows[1:] == [["note", "a,b", "reading", 'two\nlines "quoted"']] * 4
