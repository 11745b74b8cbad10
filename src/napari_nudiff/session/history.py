"""Undo and redo of edits of a layout, as napari's Labels layers do it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_nudiff.nuclei.edit import Edit

Labels = NDArray[np.integer]

DEFAULT_LIMIT_BYTES = 256 * 2**20


class EditHistory:
    """The edits of one layout that can be undone and redone.

    It holds edits, not the layout: each verb is given the array that it changes in place. As in
    napari, what was changed in another way meanwhile is overwritten where an edit goes.

    Parameters
    ----------
    limit_bytes : int
        Memory that the edits may take. The oldest are forgotten; the last one always stays.
    """

    changed = Signal()

    def __init__(self, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._done: list[Edit] = []
        self._undone: list[Edit] = []
        self._group: Edit | None = None
        self._is_grouping = False

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to undo; an open group is none yet."""
        return bool(self._done) and not self._is_grouping

    @property
    def can_redo(self) -> bool:
        """Whether there is an edit to do again."""
        return bool(self._undone) and not self._is_grouping

    @property
    def nbytes(self) -> int:
        """Memory that the edits take, in bytes."""
        return sum(edit.nbytes for edit in (*self._done, *self._undone))

    def push(self, edit: Edit) -> None:
        """Record an edit that was applied; those that were undone before are forgotten.

        Parameters
        ----------
        edit : Edit
            In an open group it is joined with the others. One that changes nothing is ignored.
        """
        if edit.is_empty:
            return
        if self._is_grouping:
            self._group = edit if self._group is None else self._group.then(edit)
            return
        self._undone.clear()
        self._done.append(edit)
        self._forget_oldest()
        self.changed.emit()

    def undo(self, labels: Labels) -> Edit | None:
        """Undo the last edit in place.

        Parameters
        ----------
        labels : ndarray, (H, W), integer

        Returns
        -------
        Edit or None
            The change that this made; None if there is nothing to undo, or a group is open.

        Raises
        ------
        LayoutError
            If the edit belongs to another layout. Neither this nor the layout has changed then.
        """
        if not self.can_undo:
            return None
        return self._step(labels, self._done, self._undone, self._done[-1].inverse())

    def redo(self, labels: Labels) -> Edit | None:
        """Do the edit that was undone last again, in place; otherwise as `undo`."""
        if not self.can_redo:
            return None
        return self._step(labels, self._undone, self._done, self._undone[-1])

    def begin_group(self) -> None:
        """From now on, until `end_group`, all edits are one: a drag is undone at once."""
        self._is_grouping = True
        self.changed.emit()

    def end_group(self) -> None:
        """Record the edits since `begin_group` as one."""
        edit = self._close_group()
        if edit is not None:
            self.push(edit)
        self.changed.emit()

    def abort_group(self, labels: Labels) -> Edit | None:
        """Undo the edits since `begin_group` in place and forget them.

        Parameters
        ----------
        labels : ndarray, (H, W), integer

        Returns
        -------
        Edit or None
            The change that this made.
        """
        edit = self._close_group()
        if edit is not None:
            edit.revert(labels)
        self.changed.emit()
        return None if edit is None else edit.inverse()

    @contextmanager
    def grouped(self) -> Iterator[None]:
        """Make one of all edits within; also of those before an exception."""
        self.begin_group()
        try:
            yield
        finally:
            self.end_group()

    def clear(self) -> None:
        """Forget everything, as when the layer gets other data."""
        self._done.clear()
        self._undone.clear()
        self._close_group()
        self.changed.emit()

    def _step(self, labels: Labels, source: list[Edit], target: list[Edit], edit: Edit) -> Edit:
        edit.apply(labels)
        target.append(source.pop())
        self.changed.emit()
        return edit

    def _close_group(self) -> Edit | None:
        edit, self._group, self._is_grouping = self._group, None, False
        return edit

    def _forget_oldest(self) -> None:
        excess = self.nbytes - self.limit_bytes
        while excess > 0 and len(self._done) > 1:
            excess -= self._done.pop(0).nbytes
