import pytest

from napari_nudiff.ui.executor import Inbox


def test_news_that_come_while_others_are_told_are_told_after_them() -> None:
    inbox, told = Inbox(), []

    def first() -> None:
        told.append("first begins")
        inbox.deliver(lambda: told.append("second"))
        told.append("first ends")

    inbox.deliver(first)
    assert told == ["first begins", "first ends", "second"]


def test_a_listener_that_fails_does_not_keep_the_others_from_their_news(qtbot) -> None:
    inbox, told = Inbox(), []

    def fail() -> None:
        inbox.deliver(lambda: told.append("next"))
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        inbox.deliver(fail)
    qtbot.waitUntil(lambda: told == ["next"], timeout=2000)
