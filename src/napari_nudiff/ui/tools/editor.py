"""A layout under the hand: which of its nuclei are selected, and edits that napari can undo."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_nudiff.errors import LayoutError, NudiffError
from napari_nudiff.nuclei.editing import Bounds, Edit, Point
from napari_nudiff.nuclei.placement import Nucleus, find_nuclei

if TYPE_CHECKING:
    from napari.layers import Labels

_SETTLE_MS = 80  # after a stroke of the brush, or an undo

MakeEdit = Callable[[NDArray[Any]], Edit]


class LayoutEditor:
    """Edits one Labels layer; each edit is one step of the layer's own undo.

    Attributes
    ----------
    layer : Labels or None
    overlap : str
        What happens where a nucleus comes to lie on others: "under", "over" or "refuse".
    """

    layer_changed = Signal()
    selection_changed = Signal()
    refused = Signal(str)

    def __init__(self) -> None:
        self.layer: Labels | None = None
        self.overlap = "under"
        self._selected: list[Nucleus] = []
        self._timer = QTimer(singleShot=True, interval=_SETTLE_MS)
        self._timer.timeout.connect(self._on_settled)

    @property
    def labels(self) -> NDArray[Any]:
        """The layout's labels, (H, W); those that the layer shows, not a copy."""
        assert self.layer is not None
        return np.asarray(self.layer.data)

    @property
    def selected(self) -> list[Nucleus]:
        """The selected nuclei, with their pixels."""
        return list(self._selected)

    @property
    def ids(self) -> list[int]:
        """The labels of the selected nuclei."""
        return [nucleus.id for nucleus in self._selected]

    @property
    def bounds(self) -> Bounds:
        """A box around the selected nuclei."""
        rows, cols = (np.concatenate([n[axis] for n in self._selected]) for axis in (1, 2))
        return slice(int(rows.min()), int(rows.max()) + 1), slice(
            int(cols.min()), int(cols.max()) + 1
        )

    def set_layer(self, layer: Labels | None) -> None:
        """Edit another layer."""
        if layer is self.layer:
            return
        self._follow(False)
        self.layer = layer
        self._follow(True)
        self._set_selected([])
        self.layer_changed.emit()

    def close(self) -> None:
        """Disconnect from the layer; no signal is emitted any more."""
        for signal in (self.layer_changed, self.selection_changed, self.refused):
            signal.disconnect()
        self.set_layer(None)

    def nucleus_at(self, point: Point) -> int:
        """The label under a point; 0 outside the canvas too."""
        row, col = (int(np.floor(p + 0.5)) for p in point)
        height, width = self.labels.shape
        return int(self.labels[row, col]) if 0 <= row < height and 0 <= col < width else 0

    def select(self, ids: Iterable[int]) -> None:
        """Select these nuclei; those that are not there are left out."""
        self._timer.stop()
        wanted = list(dict.fromkeys(ids))
        self._set_selected(_present(self.labels, wanted) if wanted and self.layer else [])

    def toggle(self, nucleus_id: int) -> None:
        """Add a nucleus to the selection, or take it out."""
        ids = self.ids
        self.select(
            [i for i in ids if i != nucleus_id] if nucleus_id in ids else [*ids, nucleus_id]
        )

    def edit(self, make: MakeEdit) -> Edit | None:
        """Change the layout; what cannot be done is reported, and nothing changes.

        Parameters
        ----------
        make : callable
            Makes the edit from the labels, as the functions of `nuclei.editing` do.

        Returns
        -------
        Edit or None
            None if it was refused.
        """
        if self.layer is None or not self._is_editable():
            return None
        try:
            edit = make(self.labels)
        except NudiffError as error:
            self.refused.emit(str(error))
            return None
        self._apply(edit)
        return edit

    def edit_together(self, edits: Iterable[MakeEdit]) -> None:
        """Make several edits, one after the other, in one step of the undo."""
        if self.layer is not None:
            with self.layer.block_history():
                for make in edits:
                    self.edit(make)

    def _is_editable(self) -> bool:
        assert self.layer is not None
        if not self.layer.editable:
            self.refused.emit(
                f"“{self.layer.name}” is locked. Nothing was changed; unlock it in the layer list."
            )
        return bool(self.layer.editable)

    def _apply(self, edit: Edit) -> None:
        if not edit.is_empty:
            highest = int(self.labels.max(initial=0))
            apply_edit(self.layer, edit)
            if int(edit.after.max(initial=0)) > highest:
                self._free_the_brush()
            self.select(self.ids)

    def _free_the_brush(self) -> None:
        """After a new nucleus: the brush would go on with a number that is taken."""
        assert self.layer is not None
        taken = self.layer.selected_label
        next_free = int(self.labels.max()) + 1
        if taken and next_free <= np.iinfo(self.labels.dtype).max and (self.labels == taken).any():
            self.layer.selected_label = next_free

    def _set_selected(self, nuclei: list[Nucleus]) -> None:
        if nuclei or self._selected:
            self._selected = nuclei
            self.selection_changed.emit()

    def _follow(self, follow: bool) -> None:
        """Notice the brush, undo, and other data."""
        self._timer.stop()
        if self.layer is not None:
            events = self.layer.events
            for event in (events.labels_update, events.set_data, events.data):
                (event.connect if follow else event.disconnect)(self._on_changed)

    def _on_changed(self, _: object = None) -> None:
        if self._selected:
            self._timer.start()

    def _on_settled(self) -> None:
        self.select(self.ids)


def apply_edit(layer: Any, edit: Edit) -> None:
    """Change a Labels layer in one step of its own undo."""
    layer.data_setitem(edit.indices, edit.after)


def _present(labels: NDArray[Any], ids: list[int]) -> list[Nucleus]:
    """The nuclei that are there."""
    try:
        return find_nuclei(labels, ids, None)
    except LayoutError:  # one was deleted, or a deletion undone: rare, so look for each
        there = set(np.unique(labels[np.isin(labels, ids)]).tolist()) - {0}
        found = [i for i in ids if i in there]
        return find_nuclei(labels, found, None) if found else []
