"""Work that takes a while: a generator that yields how far it is and returns what it made.

Everything long is one: training a judge, rendering, reading, exporting and fetching. None of it
knows who watches; `run` does it to its end, and closing the generator cancels it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

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
    steps = _Steps(work)
    with closing(work):  # what it holds is released before an error goes on its way
        for progress in steps:
            if show is not None:
                show(progress)
    return steps.made


def part_of(whole: Progress, work: Work[T]) -> Work[T]:
    """Work as a part of a larger one: of its progress only the notes are passed on.

    Parameters
    ----------
    whole : Progress
        How far the larger one is meanwhile.
    work : generator
    """
    steps = _Steps(work)
    with closing(work):
        for progress in steps:
            yield replace(whole, note=progress.note)
    return steps.made


class _Steps(Generic[T]):
    """The progress of some work, to loop over; after the last, what it made."""

    made: T

    def __init__(self, work: Work[T]) -> None:
        self._work = work

    def __iter__(self) -> Iterator[Progress]:
        self.made = yield from self._work
