"""What reviewers said is never lost, merges, and comes to the published numbers."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_nudiff.dataset.export.options import ExportOptions, Gate
from napari_nudiff.dataset.export.plan import plan_set
from napari_nudiff.dataset.images import write_layout, write_rgb
from napari_nudiff.dataset.pair import Layout, Pair, pixels_sha256
from napari_nudiff.dataset.pair_file import write_pair
from napari_nudiff.dataset.reader_study import (
    agreement_lines,
    cohens_kappa,
    fleiss_kappa,
    reader_study,
    share,
    study_text,
    write_study,
)
from napari_nudiff.dataset.review import (
    Grade,
    Order,
    Review,
    ReviewFile,
    checked_reviewer,
    grade_lines,
    grades_in,
    read_reviews,
)
from napari_nudiff.dataset.review_items import find_items, study_order, study_windows
from napari_nudiff.dataset.sample import write_sample
from napari_nudiff.errors import DatasetError
from napari_nudiff.work import run

KILLS = int(os.environ.get("NUDIFF_TEST_KILLS", "5"))
GRADER = """
import sys
from pathlib import Path
from napari_nudiff.dataset.review import Review, ReviewFile
file = ReviewFile(Path(sys.argv[1]), "ann")
for number in range(100_000):
    file.append(Review("ann", f"image-{number % 7}", realism=1 + number % 5, comment=str(number)))
    print(number, flush=True)
"""


def image_of(seed: int, side: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)


def labels_of(seed: int, side: int = 32) -> np.ndarray:
    labels = np.zeros((side, side), np.int32)
    labels[4:12, 4:12], labels[16:26, 15 + seed % 5 : 28] = 1, 2
    return labels


def sample_of(seed: int) -> Pair:
    labels = labels_of(seed)
    provenance = {"request": {"seed": seed}, "layout_sha256": Layout(labels).sha256()}
    return Pair(Layout(labels), image_of(seed), provenance=provenance)


# The file


def test_the_latest_line_of_a_reviewer_counts(tmp_path) -> None:
    file = ReviewFile(tmp_path, "ann")
    file.append(Review("ann", "a", realism=2))
    file.append(Review("ann", "b", realism=1))
    said = file.append(Review("ann", "a", realism=4, reasons=("stain",), flagged=(3, 9)))
    assert file.path.name == "reviews-ann.jsonl"
    assert len(file.path.read_text().splitlines()) == 3
    assert read_reviews(tmp_path).of("ann", "a") == said
    assert read_reviews(file.path).of("ann", "b").realism == 1


def test_words_of_any_language_survive(tmp_path) -> None:
    said = ReviewFile(tmp_path, "Müller").append(Review("Müller", "a", comment="zu blaß\n“Kern”"))
    assert read_reviews(tmp_path).of("Müller", "a") == said


def test_a_torn_last_line_is_dropped_named_and_spoils_no_other(tmp_path) -> None:
    file = ReviewFile(tmp_path, "ann")
    file.append(Review("ann", "a", realism=2))
    whole = file.path.read_bytes()
    file.append(Review("ann", "a", realism=5, comment="é"))
    longer = file.path.read_bytes()
    for end in range(len(whole) + 1, len(longer) - 1):
        file.path.write_bytes(longer[:end])
        reviews = read_reviews(tmp_path)
        assert reviews.of("ann", "a").realism == 2
        assert reviews.dropped == [
            "reviews-ann.jsonl, line 2: it ends in the middle, as after a crash"
        ]
    file.append(Review("ann", "b", realism=3))
    assert read_reviews(tmp_path).of("ann", "a").realism == 2
    assert read_reviews(tmp_path).of("ann", "b").realism == 3


@pytest.mark.parametrize("seed", range(KILLS))
def test_nothing_that_was_acknowledged_is_lost_by_kill_9(tmp_path, seed) -> None:
    grader = subprocess.Popen(
        [sys.executable, "-c", GRADER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    first = grader.stdout.readline()
    time.sleep(random.Random(seed).uniform(0, 0.2))
    grader.send_signal(signal.SIGKILL)
    acknowledged = [int(line) for line in (first + grader.stdout.read()).split()]
    assert grader.wait() == -signal.SIGKILL
    reviews = read_reviews(tmp_path)
    for image in range(min(7, len(acknowledged))):
        latest = max(number for number in acknowledged if number % 7 == image)
        # One more may be on the disk than was told.
        assert int(reviews.of("ann", f"image-{image}").comment) in (latest, latest + 7)
    ReviewFile(tmp_path, "ann").append(Review("ann", "after", realism=1))
    assert read_reviews(tmp_path).of("ann", "after").realism == 1


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("[1, 2]", "none of ours"),
        ('{"schema": 9, "reviewer": "ann", "image": "a", "at": "x"}', "schema 9"),
        ('{"schema": 1, "reviewer": "ann", "image": "a", "at": "x", "realism": 6}', "1 to 5"),
        ('{"schema": 1, "reviewer": "ann", "image": "a", "at": "x", "realism": 3.0}', "1 to 5"),
        ('{"schema": 1, "reviewer": "ann", "image": "a", "at": "x", "reasons": ["luck"]}', "luck"),
        ('{"schema": 1, "reviewer": "ann", "image": "a", "at": "x", "answer": "no"}', "no"),
        ('{"schema": 1, "reviewer": "ann", "image": "a", "at": "x", "flagged": ["b"]}', "ids"),
        ('{"schema": 1, "reviewer": 5, "image": "a", "at": "x"}', "text was expected"),
        ('{"schema": 1, "image": "a", "at": "x"}', "reviewer"),
        ("{" * 100_000, "line 2"),
    ],
)
def test_a_line_of_something_else_is_named_and_passed_over(tmp_path, line, why) -> None:
    file = ReviewFile(tmp_path, "ann")
    said = file.append(Review("ann", "a", realism=2))
    with file.path.open("a") as opened:
        opened.write(line + "\n")
    file.append(Review("ann", "b", realism=3))
    reviews = read_reviews(tmp_path)
    assert reviews.of("ann", "a") == said
    assert reviews.of("ann", "b").realism == 3
    (dropped,) = reviews.dropped
    assert "reviews-ann.jsonl, line 2" in dropped
    assert why in dropped


def test_lines_of_a_later_version_may_have_more_in_them(tmp_path) -> None:
    told = {"schema": 1, "reviewer": "ann", "image": "a", "at": "x", "realism": 4, "mood": "good"}
    (tmp_path / "reviews-ann.jsonl").write_text(json.dumps(told) + "\n")
    assert read_reviews(tmp_path).of("ann", "a").realism == 4


def test_a_clock_that_was_set_back_does_not_bring_an_old_grade_back(tmp_path) -> None:
    lines = [
        {"schema": 1, "reviewer": "ann", "image": "a", "at": at, "realism": realism}
        for at, realism in (("2030-01-01", 1), ("2020-01-01", 5))
    ]
    (tmp_path / "reviews-ann.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    assert read_reviews(tmp_path).of("ann", "a").realism == 5


def test_a_folder_without_reviews_has_none(tmp_path) -> None:
    assert read_reviews(tmp_path).latest == {}
    assert grades_in(tmp_path) == {}


def test_a_file_that_is_not_there_is_an_error(tmp_path) -> None:
    with pytest.raises(DatasetError, match="Cannot read"):
        read_reviews([tmp_path / "reviews-ann.jsonl"])


@pytest.mark.parametrize("reviewer", ["", "  ", "a/b", "..", "Dr. No", "x" * 41, "a\nb"])
def test_a_reviewer_whose_name_no_file_can_have_is_refused(tmp_path, reviewer) -> None:
    with pytest.raises(DatasetError, match="initials"):
        ReviewFile(tmp_path, reviewer)


def test_a_reviewers_name_is_trimmed() -> None:
    assert checked_reviewer(" J-M_3 ") == "J-M_3"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux' full disk")
def test_a_full_disk_is_told_and_what_was_there_stays(tmp_path) -> None:
    file = ReviewFile(tmp_path, "ann")
    file.path.symlink_to("/dev/full")
    with pytest.raises(DatasetError, match="not kept; everything before it is"):
        file.append(Review("ann", "a", realism=1))


# Merging


def test_reviewers_merge_whatever_their_files_are_called(tmp_path) -> None:
    ann, bob = ReviewFile(tmp_path, "ann"), ReviewFile(tmp_path, "bob")
    ann.append(Review("ann", "a", realism=2, correctness=5, flagged=(4,)))
    bob.append(Review("bob", "a", realism=5, flagged=(1, 4)))
    bob.append(Review("bob", "b", correctness=1))
    bob.append(Review("bob", "c", answer="real", confidence=2, comment="no grade"))
    bob.path.rename(tmp_path / "reviews-bob (2).jsonl")
    grades = grades_in(tmp_path)
    assert grades == {
        "a": Grade(3.5, 5.0, frozenset({1, 4}), 2),
        "b": Grade(None, 1.0, frozenset(), 1),
    }
    assert grades == grades_in(sorted(tmp_path.iterdir()))


def test_two_files_of_one_reviewer_are_one(tmp_path) -> None:
    home, lab = tmp_path / "home", tmp_path / "lab"
    ReviewFile(home, "ann").append(Review("ann", "a", realism=1))
    time.sleep(0.01)
    ReviewFile(lab, "ann").append(Review("ann", "a", realism=4))
    for folders in ([home, lab], [lab, home], [lab, home, lab]):
        assert grades_in(folders)["a"] == Grade(4.0, None, frozenset(), 1)


def test_grades_in_a_line_each() -> None:
    reviews = [
        Review("bob", "a", realism=5, flagged=(1, 2)),
        Review("ann", "a", realism=2, correctness=4),
        Review("ann", "b", realism=3),
        Review("ann", "c", answer="real"),
    ]
    assert grade_lines(reviews) == [
        "ann: 2 graded, realism 2.5, labels 4.0, 0 flagged",
        "bob: 1 graded, realism 5.0, 2 flagged",
    ]


def test_the_gate_of_an_export_hears_the_grades(tmp_path) -> None:
    from napari_nudiff.dataset.candidates import find_candidates

    for seed in range(3):
        write_sample(tmp_path / "made", f"s{seed}", sample_of(seed))
    file = ReviewFile(tmp_path / "made", "ann")
    for seed, realism in ((0, 5), (1, 2)):
        file.append(Review("ann", pixels_sha256(image_of(seed)), realism=realism))
    candidates = find_candidates(tmp_path / "made")
    options = ExportOptions(formats=("cellpose",), gate=Gate(min_realism=3))
    plan = run(plan_set(candidates, options, grades_in(tmp_path / "made")))
    assert [row.realism for row in plan.rows] == [5.0]


# What is reviewed


def test_images_are_known_by_their_pixels(tmp_path) -> None:
    write_sample(tmp_path / "made", "one", sample_of(1))
    write_pair(tmp_path / "file" / "same.nudiff", replace(sample_of(1), name="same"))
    write_pair(tmp_path / "file" / "other.nudiff", replace(sample_of(2), name="other"))
    found = run(find_items([tmp_path / "made", tmp_path / "file"]))
    assert [item.name for item in found.items] == ["one", "other"]
    assert found.items[0].image == pixels_sha256(image_of(1))
    assert found.items[0].layout == Layout(labels_of(1)).sha256()
    (problem,) = found.problems
    assert "same" in problem
    assert "there already" in problem


def test_a_damaged_pair_is_named_and_the_others_are_reviewed(tmp_path) -> None:
    for seed in range(2):
        write_pair(tmp_path / f"p{seed}.nudiff", sample_of(seed))
    (tmp_path / "p0.nudiff").write_bytes((tmp_path / "p1.nudiff").read_bytes()[:200])
    found = run(find_items([tmp_path]))
    assert [item.name for item in found.items] == ["p1"]
    assert "p0 was left out" in found.problems[0]


def test_real_images_need_no_labels(tmp_path) -> None:
    for seed in range(2):
        write_rgb(tmp_path / "real" / f"r{seed}.png", image_of(seed))
    found = run(find_items([], [tmp_path / "real"]))
    assert [(item.name, item.synthetic) for item in found.items] == [("r0", False), ("r1", False)]
    assert not found.items[0].load().labels.any()


def test_real_images_with_labels_keep_them(tmp_path) -> None:
    write_rgb(tmp_path / "images" / "r.png", image_of(1))
    write_layout(tmp_path / "labels" / "r.tif", labels_of(1))
    (item,) = run(find_items([], [tmp_path])).items
    assert not item.synthetic
    assert item.load().labels.max() == 2


def test_progress_is_told_and_nothing_to_review_is_an_error(tmp_path) -> None:
    for seed in range(2):
        write_pair(tmp_path / f"p{seed}.nudiff", Pair(sample_of(seed)))
    assert [(p.done, p.total) for p in find_items([tmp_path])] == [(0, 2), (1, 2)]
    with pytest.raises(DatasetError, match="neither a folder"):
        run(find_items([tmp_path / "none"]))
    with pytest.raises(DatasetError, match="No image can be reviewed"):
        run(find_items([]))


def test_a_study_has_an_order_for_each_reader_and_seed() -> None:
    images = [f"{n:02d}" for n in range(20)]
    order = study_order(images, 1, "ann")
    assert sorted(order) == images
    assert order != images
    assert order == study_order(images[::-1], 1, "ann")
    assert order != study_order(images, 1, "bob")
    assert order != study_order(images, 2, "ann")


def test_a_study_shows_all_images_in_one_size(tmp_path) -> None:
    for seed, side in enumerate((32, 48, 40)):
        write_rgb(tmp_path / f"r{seed}.png", image_of(seed, side))
    items = run(find_items([], [tmp_path])).items
    windows = study_windows(items, 3)
    assert {window[2:] for window in windows.values()} == {(32, 32)}
    assert windows == study_windows(items[::-1], 3)
    for item in items:
        assert item.load().image[windows[item.image].slices].shape == (32, 32, 3)
    places = {study_windows(items, seed)[items[1].image][:2] for seed in range(10)}
    assert len(places) > 3


# Statistics


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    # Newcombe, Two-sided confidence intervals for the single proportion, 1998, table I, method 3.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_intervals_are_those_of_wilson(right, total, low, high) -> None:
    found = share(right, total)
    assert found.value == right / total
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_a_share_of_nothing_is_unknown() -> None:
    assert np.isnan(share(0, 0).value)
    assert str(share(0, 0)) == "–"
    assert str(share(3, 4)) == "75 % (30–95 %)"


@pytest.mark.parametrize(
    ("both_yes", "yes_no", "no_yes", "both_no", "kappa"),
    # The first and the two of equal agreement are those of Wikipedia's article on the statistic.
    [(20, 5, 10, 15, 0.4), (45, 15, 25, 15, 0.1304), (25, 35, 5, 35, 0.2593), (5, 0, 0, 5, 1)],
)
def test_cohens_kappa(both_yes, yes_no, no_yes, both_no, kappa) -> None:
    first = ["real"] * (both_yes + yes_no) + ["synthetic"] * (no_yes + both_no)
    second = (
        ["real"] * both_yes + ["synthetic"] * yes_no + ["real"] * no_yes + ["synthetic"] * both_no
    )
    assert cohens_kappa(first, second) == pytest.approx(kappa, abs=5e-5)


def test_fleiss_kappa_of_the_published_example() -> None:
    """Ten subjects, fourteen raters, five categories: kappa 0.210 (Wikipedia, after Fleiss)."""
    table = [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
    assert fleiss_kappa(table) == pytest.approx(0.210, abs=5e-4)


def test_agreement_that_chance_explains_is_no_number() -> None:
    assert np.isnan(cohens_kappa(["real"] * 4, ["real"] * 4))
    assert np.isnan(cohens_kappa([], []))
    assert np.isnan(fleiss_kappa([[3, 0], [3, 0]]))
    assert np.isnan(fleiss_kappa([[3, 0], [1, 1]]))


def answers(reader: str, text: str, first: int = 0) -> list[Review]:
    """Answers to images of which the odd ones are synthetic: "r" real, "s" synthetic."""
    return [
        Review(
            reader,
            f"{n:02d}",
            name=f"tile {n}",
            synthetic=n % 2 == 1,
            answer={"r": "real", "s": "synthetic"}[letter],
            confidence=1 + n % 5,
            at=f"{n:02d}",
        )
        for n, letter in enumerate(text, start=first)
    ]


def test_a_study_counts_each_reader() -> None:
    study = reader_study([*answers("ann", "rsrsrsrr"), *answers("bob", "ssssrrss")])
    ann, bob = study.readers
    assert ann.accuracy[:2] == (7, 8)
    assert ann.sensitivity[:2] == (3, 4)
    assert ann.specificity[:2] == (4, 4)
    assert ann.confidence == 2.625
    assert bob.accuracy[:2] == (4, 8)
    assert bob.sensitivity[:2] == (3, 4)
    assert study.kappas == {("ann", "bob"): pytest.approx(-1 / 9)}
    assert study.fleiss is None


def test_kappas_are_of_the_images_that_both_answered() -> None:
    three = [*answers("ann", "rsrs"), *answers("bob", "rsrs", 2), *answers("cat", "srsr", 1)]
    study = reader_study([*three, Review("dan", "01", realism=3)])
    assert [reader.name for reader in study.readers] == ["ann", "bob", "cat"]
    assert study.kappas["ann", "bob"] == 1
    assert study.shared == 2
    assert study.fleiss == 1
    assert len(agreement_lines(study)) == 4


def test_a_study_of_nobody_is_empty(tmp_path) -> None:
    study = reader_study([])
    assert study.readers == ()
    assert study.shared == 0
    with pytest.raises(DatasetError, match="no answer"):
        write_study(tmp_path / "study.csv", study)
    assert list(tmp_path.iterdir()) == []


def test_a_study_is_written_as_tables_and_text(tmp_path) -> None:
    study = reader_study([*answers("ann", "rsrr"), *answers("bob", "rr")])
    paths = write_study(tmp_path / "study.csv", study)
    assert [path.name for path in paths] == ["study.csv", "study_answers.csv", "study.txt"]
    ann, bob = csv.DictReader(paths[0].open())
    assert (ann["reviewer"], ann["images"], ann["accuracy"]) == ("ann", "4", "0.7500")
    assert float(ann["accuracy_low"]) == pytest.approx(share(3, 4).low, abs=1e-4)
    assert bob["specificity"] == "1.0000"
    rows = list(csv.DictReader(paths[1].open()))
    assert [row["correct"] for row in rows] == ["1", "1", "1", "0", "1", "0"]
    assert (
        rows[3] | {"image": "03", "name": "tile 3", "truth": "synthetic", "answer": "real"}
        == rows[3]
    )
    assert paths[2].read_text() == study_text(study)
    assert "75 % (30–95 %)" in study_text(study)
    assert "Cohen’s kappa, ann and bob: 0.00" in study_text(study)


def test_an_order_is_kept(tmp_path) -> None:
    ReviewFile(tmp_path, "ann").append(Order("ann", 7, ("b", "a")))
    (order,) = read_reviews(tmp_path).orders
    assert (order.reviewer, order.seed, order.images) == ("ann", 7, ("b", "a"))
