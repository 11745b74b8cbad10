"""The checkpoints as this process sees them: who shows them hears when they change."""

from __future__ import annotations

from dataclasses import dataclass

from psygnal import Signal

from napari_nudiff.checkpoints import Checkpoint, State, is_removable, list_checkpoints, state_of


@dataclass(frozen=True)
class Entry:
    """A checkpoint and what became of it on this machine.

    Attributes
    ----------
    checkpoint : Checkpoint
    state : str
        See `checkpoints.state_of`.
    damaged : bool
        Its file was compared with its fingerprint, and differs.
    """

    checkpoint: Checkpoint
    state: State
    damaged: bool = False

    @property
    def here(self) -> bool:
        """Whether it can be used without the network."""
        return self.state in ("embedded", "fetched", "own file")

    @property
    def fetchable(self) -> bool:
        """Whether a download would help."""
        return self.state == "not fetched" or (self.state == "fetched" and self.damaged)

    @property
    def removable(self) -> bool:
        """Whether it may be deleted: it is the user's, or can be fetched again."""
        return is_removable(self.checkpoint)


class Catalogue:
    """Lists the checkpoints, and signals when one was fetched, added, removed or found damaged.

    `changed` may come from any thread.
    """

    changed = Signal()

    def __init__(self) -> None:
        self._damaged: set[str] = set()

    def entries(self) -> list[Entry]:
        """All checkpoints with a name.

        Raises
        ------
        CheckpointError
            A registry, or the list of own checkpoints, cannot be read.
        """
        return [Entry(c, state_of(c), c.name in self._damaged) for c in list_checkpoints()]

    def mark(self, name: str, *, damaged: bool) -> None:
        """Note what a comparison with the fingerprint found."""
        (self._damaged.add if damaged else self._damaged.discard)(name)
        self.refresh()

    def refresh(self) -> None:
        """Signal a change to every listener."""
        self.changed.emit()


catalogue = Catalogue()
"""The one of this process."""
