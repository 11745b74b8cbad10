"""Many pairs of one size as two stacks, read from the disk as they are looked at."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Planes = tuple[NDArray[np.uint8], NDArray[np.integer]]
"""Image (H, W, 3) and labels (H, W)."""

_REMEMBERED = 8  # pairs: image and labels of one are asked for one after the other


class PairStack:
    """Pairs of one size, the last of which are remembered.

    Parameters
    ----------
    loads : sequence of callables
        Each reads one pair.
    size : (int, int)
        Height and width in pixels of all of them.
    """

    def __init__(self, loads: Sequence[Callable[[], Planes]], size: tuple[int, int]) -> None:
        self._loads = list(loads)
        self.size = size
        self.pair = lru_cache(_REMEMBERED)(self._load)

    def __len__(self) -> int:
        return len(self._loads)

    @property
    def images(self) -> StackPart:
        """The images, (N, H, W, 3), uint8."""
        return StackPart(self, 0, (len(self), *self.size, 3), np.dtype(np.uint8))

    @property
    def labels(self) -> StackPart:
        """The labels, (N, H, W), int32."""
        return StackPart(self, 1, (len(self), *self.size), np.dtype(np.int32))

    def _load(self, number: int) -> Planes:
        image, labels = self._loads[number]()
        return image, np.asarray(labels, np.int32)


class StackPart:
    """The images, or the labels, of a stack, as far as napari needs an array to be one.

    Parameters
    ----------
    stack : PairStack
    plane : int
        0 = images, 1 = labels.
    shape : tuple of int
    dtype : dtype
    """

    def __init__(
        self, stack: PairStack, plane: int, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self._stack, self._plane = stack, plane
        self.shape, self.dtype = shape, dtype
        self.ndim, self.size = len(shape), math.prod(shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, at: Any) -> NDArray[Any]:
        """Part of the stack, as an array in memory."""
        first, *rest = at if isinstance(at, tuple) else (at,)
        if first is Ellipsis:
            missing = self.ndim - len(rest)
            first, rest = slice(None), [*[slice(None)] * (missing - 1), *rest]
        if isinstance(first, slice) or np.ndim(first):
            numbers = np.arange(len(self))[first]
            planes = [self._plane_of(int(number)) for number in numbers]
            block = np.stack(planes) if planes else np.zeros((0, *self.shape[1:]), self.dtype)
            return block[(slice(None), *rest)]
        part: NDArray[Any] = self._plane_of(int(first))[tuple(rest)]
        return part

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype)

    def _plane_of(self, number: int) -> NDArray[Any]:
        plane: NDArray[Any] = self._stack.pair(number % len(self))[self._plane]
        return plane
