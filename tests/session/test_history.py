import numpy as np
import pytest

from napari_nudiff.errors import LayoutError
from napari_nudiff.nuclei.editing import Edit, as_edit
from napari_nudiff.session.history import EditHistory


class Bench:
    """A layout, its history, and all its states."""

    def __init__(self, seed: int = 0, **options) -> None:
        self.random = np.random.default_rng(seed)
        self.labels = self.random.integers(0, 5, (20, 30), np.uint16)
        self.states = [self.labels.copy()]
        self.history = EditHistory(**options)

    def edit(self, pixels: int = 40) -> Edit:
        after = self.labels.copy()
        after.ravel()[self.random.choice(after.size, pixels, replace=False)] += 5
        edit = as_edit(self.labels, after)
        edit.apply(self.labels)
        self.history.push(edit)
        self.states.append(after)
        return edit

    def is_at(self, state: int) -> bool:
        return np.array_equal(self.labels, self.states[state])


@pytest.mark.parametrize("seed", range(5))
def test_undo_and_redo_walk_through_all_states(seed) -> None:
    bench = Bench(seed)
    for _ in range(6):
        bench.edit()
    place = 6
    for step in bench.random.integers(0, 2, 60):
        verb, way = ((bench.history.undo, -1), (bench.history.redo, 1))[step]
        before = bench.labels.copy()
        change = verb(bench.labels)
        if change is None:
            assert place == (6 if way == 1 else 0)
        else:
            place += way
            np.testing.assert_array_equal(before[change.indices], change.before)
        assert bench.is_at(place)
        assert bench.history.can_undo == (place > 0)
        assert bench.history.can_redo == (place < 6)


def test_a_new_edit_forgets_what_was_undone() -> None:
    bench = Bench()
    bench.edit()
    bench.edit()
    bench.history.undo(bench.labels)
    bench.edit()
    assert not bench.history.can_redo
    bench.history.undo(bench.labels)
    assert bench.is_at(1)


def test_a_group_is_one_step() -> None:
    bench = Bench()
    bench.edit()
    with bench.history.grouped():
        for _ in range(5):
            bench.edit()
        assert not bench.history.can_undo
        assert bench.history.undo(bench.labels) is None
    bench.history.undo(bench.labels)
    assert bench.is_at(1)
    bench.history.redo(bench.labels)
    assert bench.is_at(6)


def test_a_group_that_comes_to_nothing_leaves_no_step() -> None:
    bench = Bench()
    bench.history.begin_group()
    edit = bench.edit()
    edit.revert(bench.labels)
    bench.history.push(edit.inverse())
    bench.history.end_group()
    with bench.history.grouped():
        pass
    assert not bench.history.can_undo


def test_a_group_can_be_aborted_and_ends_with_an_exception() -> None:
    bench = Bench()
    bench.edit()
    bench.history.begin_group()
    bench.edit()
    bench.edit()
    bench.history.abort_group(bench.labels)
    assert bench.is_at(1) and bench.history.can_undo
    with pytest.raises(ValueError, match="oh"), bench.history.grouped():
        bench.edit()
        raise ValueError("oh")
    bench.history.undo(bench.labels)
    assert bench.is_at(1)
    assert bench.history.abort_group(bench.labels) is None


def test_the_oldest_are_forgotten_and_the_last_one_stays() -> None:
    bench = Bench(limit_bytes=0)
    size = bench.edit().nbytes
    bench.history.limit_bytes = 3 * size
    for _ in range(5):
        bench.edit()
    assert bench.history.nbytes == 3 * size
    while bench.history.undo(bench.labels):
        assert bench.history.nbytes == 3 * size
    assert bench.is_at(3)
    bench.history.limit_bytes = 1
    bench.edit()
    assert bench.history.can_undo and not bench.history.can_redo


def test_edits_of_nothing_are_no_steps() -> None:
    bench = Bench()
    bench.edit()
    bench.history.undo(bench.labels)
    bench.history.push(as_edit(bench.labels, bench.labels))
    assert bench.history.can_redo and not bench.history.can_undo


def test_it_tells_when_something_changed() -> None:
    bench, heard = Bench(), []
    bench.history.changed.connect(
        lambda: heard.append((bench.history.can_undo, bench.history.can_redo))
    )
    bench.edit()
    bench.history.undo(bench.labels)
    bench.history.redo(bench.labels)
    bench.history.clear()
    bench.history.undo(bench.labels)
    assert heard == [(True, False), (False, True), (True, False), (False, False)]
    assert bench.history.nbytes == 0


def test_another_layout_changes_nothing() -> None:
    bench = Bench()
    bench.edit()
    with pytest.raises(LayoutError, match="another"):
        bench.history.undo(np.zeros((3, 3), np.uint16))
    assert bench.history.can_undo
    bench.history.undo(bench.labels)
    assert bench.is_at(0)
