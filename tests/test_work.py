import pytest

from napari_nudiff.work import Progress, Work, part_of, run


def counting(closed: list[str], note: str = "") -> Work[str]:
    try:
        for done in range(3):
            yield Progress("count", done, 3, note=note if done == 1 else "")
        return "made"
    finally:
        closed.append("closed")


def test_work_is_done_to_its_end_and_shown_meanwhile() -> None:
    closed, seen = [], []
    assert run(counting(closed), seen.append) == "made"
    assert [(p.stage, p.done, p.total) for p in seen] == [("count", i, 3) for i in range(3)]
    assert run(counting(closed)) == "made"
    assert closed == ["closed", "closed"]


def test_work_is_closed_before_an_error_of_who_watches_it_goes_on() -> None:
    closed: list[str] = []

    def interrupted(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        run(counting(closed), interrupted)
    assert closed == ["closed"]
    assert caught.traceback


def test_a_part_passes_on_its_notes_and_what_it_made() -> None:
    closed, seen = [], []
    whole = Progress("pair", 4, 10)
    assert run(part_of(whole, counting(closed, "less memory")), seen.append) == "made"
    assert {(p.stage, p.done, p.total) for p in seen} == {("pair", 4, 10)}
    assert [p.note for p in seen] == ["", "less memory", ""]


def test_closing_the_whole_closes_the_part() -> None:
    closed: list[str] = []
    work = part_of(Progress("pair"), counting(closed))
    next(work)
    work.close()
    assert closed == ["closed"]
