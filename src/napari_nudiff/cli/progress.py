"""Progress in the terminal: a bar for each stage of some work, and its notes above them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

from tqdm import tqdm

from napari_nudiff.work import run

if TYPE_CHECKING:
    from napari_nudiff.work import Progress, Work

T = TypeVar("T")

NOTE = "note: "
"""What a line with a note begins with."""


def watched(
    work: Work[T], *, quiet: bool, name: str = "", unit: str = "step", leave: bool = True
) -> T:
    """Do work to its end and return what it made.

    Parameters
    ----------
    work : generator
    quiet : bool
        No bars; notes are shown all the same.
    name : str
        Of the bars; "" = that of the stage.
    unit : str
        What is counted.
    leave : bool
        Whether finished bars stay.
    """
    bars = _Bars(quiet, name, unit, leave)
    try:
        made = run(work, bars.show)
        bars.complete()
    finally:
        bars.close()
    return made


class _Bars:
    """One bar after another; what was done before the first look is no measure of the speed."""

    def __init__(self, quiet: bool, name: str, unit: str, leave: bool) -> None:
        self._how = {"disable": quiet, "unit": unit, "leave": leave}
        self._name, self._stage = name, ""
        self._bar: Any = None
        self._noted = set[str]()

    def show(self, progress: Progress) -> None:
        if self._bar is None or progress.stage != self._stage:
            self.complete()
            self.close()
            self._stage = progress.stage
            desc = self._name or progress.stage
            self._bar = tqdm(None, desc, initial=progress.done, **self._how)
        self._bar.total = progress.total or None
        self._bar.set_postfix_str(progress.detail, refresh=False)
        self._bar.update(progress.done - self._bar.n)
        if progress.note and progress.note not in self._noted:  # each pair may have the same
            self._noted.add(progress.note)
            self._bar.write(NOTE + progress.note, file=sys.stderr)

    def complete(self) -> None:
        if self._bar is not None and self._bar.total:
            self._bar.update(self._bar.total - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
