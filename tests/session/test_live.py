import pytest

from napari_nudiff.session.live import LONGEST_WAIT_S, QUIET_S, SLOW_QUIET_S, LiveSchedule


def test_nothing_is_due_before_anything_changed() -> None:
    assert not LiveSchedule().due(100.0)


def test_a_stroke_is_rendered_once_it_is_over() -> None:
    live = LiveSchedule()
    for now_s in (0.0, 0.1, 0.2):
        live.changed(now_s)
        assert not live.due(now_s + 0.05)
    assert live.due(0.2 + QUIET_S + 0.01)


def test_who_never_pauses_sees_something_too() -> None:
    live, now_s = LiveSchedule(), 0.0
    while not live.due(now_s):
        live.changed(now_s)
        now_s += 0.05
    assert now_s == pytest.approx(LONGEST_WAIT_S, abs=0.06)


def test_one_at_a_time_and_what_changed_meanwhile_comes_next() -> None:
    live = LiveSchedule()
    live.changed(0.0)
    live.started(0.2)
    assert not live.pending
    live.changed(0.3)
    assert not live.due(1.0)
    live.ended(1.0)
    assert live.due(1.0)


def test_slow_renders_wait_for_a_longer_pause() -> None:
    live = LiveSchedule()
    live.changed(0.0)
    live.started(0.2)
    live.ended(3.2)
    assert live.mean_s == pytest.approx(3.0)
    live.changed(4.0)
    assert not live.due(4.0 + QUIET_S)
    assert live.due(4.0 + SLOW_QUIET_S + 0.01)


def test_what_was_cancelled_says_nothing_about_the_duration() -> None:
    live = LiveSchedule()
    live.changed(0.0)
    live.started(0.2)
    live.ended(60.0, succeeded=False)
    assert live.mean_s == 0
