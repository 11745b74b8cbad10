"""A reviewer goes through images: what is asked, what is kept, and where it goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_nudiff.dataset.images import write_rgb
from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.dataset.pair_file import write_pair
from napari_nudiff.dataset.review import read_reviews
from napari_nudiff.errors import DatasetError, RequestError
from napari_nudiff.session.jobs import InlineExecutor, JobQueue
from napari_nudiff.session.review import (
    ReviewSession,
    ReviewSettings,
    Sitting,
    folder_beside,
    open_sitting,
)
from napari_nudiff.work import run

COUNT = 4


def image_of(seed: int, side: int = 24) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)


def labels_of(side: int = 24) -> np.ndarray:
    labels = np.zeros((side, side), np.int32)
    labels[3:9, 3:9], labels[12:20, 12:20] = 1, 2
    return labels


@pytest.fixture
def made(tmp_path) -> Path:
    for seed in range(COUNT):
        pair = Pair(Layout(labels_of()), image_of(seed), provenance={"synthetic": True})
        write_pair(tmp_path / "made" / f"pair {seed}.nudiff", pair)
    return tmp_path / "made"


@pytest.fixture
def real(tmp_path) -> Path:
    for seed in range(COUNT):
        write_rgb(tmp_path / "real" / f"slide {seed}.png", image_of(100 + seed, 30))
    return tmp_path / "real"


def settings_for(made: Path, **more) -> ReviewSettings:
    return ReviewSettings(synthetic=(made,), reviewer="ann", **more)


def sit(settings: ReviewSettings) -> Sitting:
    return run(open_sitting(settings))


def test_everything_that_is_said_is_in_the_file_at_once(made) -> None:
    sitting, told = sit(settings_for(made)), []
    sitting.changed.connect(lambda: told.append(read_reviews(made).of("ann", sitting.item.image)))
    sitting.rate(4)
    sitting.rate_labels(2)
    sitting.toggle_reason("stain")
    sitting.toggle_reason("border")
    sitting.toggle_flag(2)
    sitting.toggle_flag(1)
    sitting.toggle_flag(2)
    sitting.comment("  too blue ")
    assert told[-1] == sitting.review
    assert len(told) == 8
    review = sitting.review
    assert (review.realism, review.correctness, review.flagged) == (4, 2, (1,))
    assert (review.reasons, review.comment) == (("border", "stain"), "too blue")
    assert (review.name, review.synthetic) == ("pair 0", True)


def test_a_key_that_changes_nothing_writes_nothing(made) -> None:
    sitting = sit(settings_for(made))
    sitting.rate(4)
    size = sitting.file.path.stat().st_size
    sitting.rate(4)
    sitting.comment("")
    sitting.toggle_flag(0)
    assert sitting.file.path.stat().st_size == size


def test_what_cannot_be_kept_is_not_shown_as_said(made) -> None:
    sitting = sit(settings_for(made))
    sitting.rate(4)
    kept = sitting.file.path.read_bytes()
    sitting.file.path.unlink()
    sitting.file.path.mkdir()
    with pytest.raises(DatasetError, match="not kept"):
        sitting.rate(5)
    assert sitting.review.realism == 4
    sitting.file.path.rmdir()
    sitting.file.path.write_bytes(kept)
    sitting.rate(5)
    assert sitting.review.realism == 5


def test_there_is_nothing_beyond_the_ends(made) -> None:
    sitting, moves = sit(settings_for(made)), []
    sitting.moved.connect(lambda: moves.append(sitting.index))
    for by in (-1, 1, 1, 1, 1, -1):
        sitting.step(by)
    assert moves == [1, 2, 3, 2]
    assert sitting.title == "pair 2"


def test_the_next_sitting_goes_on_with_what_was_said(made) -> None:
    first = sit(settings_for(made))
    for grade in (3, 5):
        first.rate(grade)
        first.step(1)
    again = sit(settings_for(made))
    assert (again.index, again.done) == (2, 2)
    again.step(-1)
    assert again.review.realism == 5
    assert sit(ReviewSettings(synthetic=(made,), reviewer="bob")).done == 0


def test_of_other_labels_on_the_same_image_nothing_was_said(made) -> None:
    sitting = sit(settings_for(made))
    sitting.rate(3)
    sitting.rate_labels(2)
    sitting.toggle_flag(1)
    mended = labels_of()
    mended[0, 0] = 7
    write_pair(made / "pair 0.nudiff", Pair(Layout(mended), image_of(0)))
    again = sit(settings_for(made))
    again.step(-1)
    assert (again.review.realism, again.review.correctness, again.review.flagged) == (3, None, ())


def test_reviews_of_a_session_lie_beside_its_folder(tmp_path) -> None:
    session = tmp_path / "mine.nudiff"
    session.mkdir()
    assert folder_beside(session) == session
    (session / "session.json").write_text("{}")
    assert folder_beside(session) == tmp_path
    assert folder_beside(tmp_path / "one.nudiff") == tmp_path
    assert ReviewSettings(synthetic=(session,), folder=session).reviews_folder() == session


def test_the_folder_of_the_reviews_need_not_be_there_yet(made, tmp_path) -> None:
    sitting = sit(settings_for(made, folder=tmp_path / "new" / "reviews"))
    sitting.rate(3)
    assert (tmp_path / "new" / "reviews" / "reviews-ann.jsonl").is_file()
    assert sit(settings_for(made, folder=tmp_path / "new" / "reviews")).done == 1


def test_a_damaged_line_is_told(made) -> None:
    (made / "reviews-ann.jsonl").write_text('{"schema": 1, "revi')
    assert "reviews-ann.jsonl, line 1" in " ".join(sit(settings_for(made)).problems)


# A reader study


def test_a_study_tells_nothing_of_what_an_image_is(made, real) -> None:
    sitting = sit(settings_for(made, real=(real,), blind=True, seed=3))
    assert len(sitting.items) == 2 * COUNT
    kinds = []
    for number in range(2 * COUNT):
        pair = sitting.pair()
        assert pair.image.shape == (24, 24, 3)
        assert not pair.labels.any()
        assert (pair.name, pair.provenance, pair.notes, pair.spatial) == (
            f"image {number + 1}",
            {},
            {},
            {},
        )
        kinds.append(sitting.item.synthetic)
        sitting.step(1)
    assert kinds not in (sorted(kinds), sorted(kinds, reverse=True))


def test_a_study_asks_for_an_answer_and_how_sure_it_is(made, real) -> None:
    sitting = sit(settings_for(made, real=(real,), blind=True))
    sitting.answer("real")
    sitting.rate(2)
    sitting.rate_labels(5)
    sitting.toggle_flag(1)
    review = read_reviews(made).of("ann", sitting.item.image)
    assert (review.answer, review.confidence) == ("real", 2)
    assert (review.realism, review.correctness, review.flagged) == (None, None, ())
    assert review.synthetic is sitting.item.synthetic


def test_without_a_study_nobody_asks_for_an_answer(made) -> None:
    sitting = sit(settings_for(made))
    sitting.answer("real")
    assert sitting.review.answer == ""


def test_the_order_of_a_study_is_kept_when_images_are_added(made, real) -> None:
    settings = settings_for(made, real=(real,), blind=True, seed=5)
    first = [item.image for item in sit(settings).items]
    (order,) = read_reviews(made).orders
    assert list(order.images) == first
    assert [item.image for item in sit(settings).items] == first
    assert len(read_reviews(made).orders) == 1
    write_rgb(real / "late.png", image_of(999, 30))
    later = [item.image for item in sit(settings).items]
    assert later[:-1] == first
    assert len(read_reviews(made).orders) == 2


def test_readers_see_different_orders_of_the_same_images(made, real) -> None:
    orders = [
        [item.image for item in sit(settings).items]
        for settings in (
            ReviewSettings(synthetic=(made,), real=(real,), reviewer=name, blind=True)
            for name in ("ann", "bob")
        )
    ]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


def test_a_study_of_one_kind_is_refused_before_anything_is_written(made) -> None:
    with pytest.raises(RequestError, match="no real ones"):
        sit(settings_for(made, blind=True))
    assert not list(made.glob("*.jsonl"))


# The session


@pytest.fixture
def session() -> ReviewSession:
    return ReviewSession(JobQueue(InlineExecutor()))


def test_a_session_begins_tells_how_far_it_is_and_ends(made, session) -> None:
    told: list[object] = []
    session.progressed.connect(lambda progress: told.append((progress.done, progress.total)))
    session.began.connect(told.append)
    session.ended.connect(lambda: told.append("ended"))
    session.settings.synthetic, session.settings.reviewer = (made,), "ann"
    session.begin()
    assert told[:-1] == [(n, COUNT) for n in range(COUNT)]
    assert told[-1] is session.sitting
    session.end()
    assert told[-1] == "ended"
    assert session.sitting is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"synthetic": ()}, "nothing to review"),
        ({"reviewer": "a b"}, "initials"),
        ({"synthetic": (Path("nowhere"),)}, "nowhere"),
    ],
)
def test_what_cannot_begin_says_why(made, session, change, why) -> None:
    failures: list[Exception] = []
    session.failed.connect(failures.append)
    for name, value in ({"synthetic": (made,), "reviewer": "ann"} | change).items():
        setattr(session.settings, name, value)
    session.begin()
    assert why in str(failures[0])
    assert session.sitting is None
    assert not session.is_opening
