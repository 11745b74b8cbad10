"""Work that takes a while: a generator that yields how far it is and returns what it made.

Everything long is one: training a judge, rendering, reading, exporting and fetching. None of it
knows who watches; `run` does it to its end, and closing the generator cancels it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """How far a piece of work is.

    Attributes
    ----------
    stage : str
        What is being done, such as "fetch", "load", "sample" or "render".
    done, total : int
        Steps done, of how many (of a fetch: bytes); a total of 0 = not known.
    preview : callable, optional
        Computes the forming result, (H, W, 3) uint8; costs nothing until it is called.
    detail : str
        What else is worth a look now, such as the loss.
    note : str
        Something to tell the user once; "" = nothing.
    """

    stage: str
    done: int = 0
    total: int = 0
    preview: Callable[[], NDArray[np.uint8]] | None = None
    detail: str = ""
    note: str = ""


Work: TypeAlias = Generator[Progress, None, T]
"""Yields its progress and returns a ``T``."""


def run(work: Work[T], show: Callable[[Progress], object] | None = None) -> T:
    """Do work to its end and return what it made.

    Parameters
    ----------
    work : generator
        As `synthesis.pipeline.render` returns it.
    show : callable, optional
        Called with each `Progress`.
    """
    with closing(work):  # what it holds is let go of before an error goes on its way
        while True:
            try:
                progress = next(work)
            except StopIteration as stop:
                made: T = stop.value
                return made
            if show is not None:
                show(progress)


def part_of(whole: Progress, work: Work[T]) -> Work[T]:
    """Work as a part of a larger one: of its progress only the notes are passed on.

    Parameters
    ----------
    whole : Progress
        How far the larger one is meanwhile.
    work : generator
    """
    with closing(work):
        while True:
            try:
                progress = next(work)
            except StopIteration as stop:
                made: T = stop.value
                return made
            yield replace(whole, note=progress.note)
