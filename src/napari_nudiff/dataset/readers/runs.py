"""COCO's run lengths: lengths of background and foreground in turns, column by column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.errors import DatasetError

_MOST_BITS = 60


def decode_runs(
    counts: str | Sequence[int], size: Sequence[int], shape: tuple[int, int]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The pixels that run lengths describe; the work is that of the runs and pixels, not the image.

    Parameters
    ----------
    counts : str or sequence of int
        Compressed, as pycocotools writes them, or plain.
    size : sequence of int
        Height and width that they are for.
    shape : (int, int)
        Those of the image.

    Returns
    -------
    rows, columns : ndarray, (n,)

    Raises
    ------
    DatasetError
        They are for another size, or do not add up to it.
    """
    lengths = _expand(counts) if isinstance(counts, str) else list(counts)
    if tuple(size) != shape:
        raise DatasetError(f"run lengths are for {tuple(size)} pixels, the image is {shape}.")
    if min(lengths, default=0) < 0 or sum(lengths) != shape[0] * shape[1]:
        raise DatasetError(
            f"run lengths add up to {sum(lengths)}; the image has {shape[0] * shape[1]} pixels."
        )
    stops = np.cumsum(lengths)[1::2]
    sides = np.asarray(lengths[1::2], dtype=np.intp)
    firsts = np.repeat(stops - np.cumsum(sides), sides)
    cols, rows = np.divmod(firsts + np.arange(sides.sum()), shape[0])
    return rows, cols


def _expand(text: str) -> list[int]:
    """Numbers of a compressed string: 5 bits a character, lowest first.

    From the fourth on they are differences to the number before the last.
    """
    lengths: list[int] = []
    value = shift = 0
    for character in text.encode("ascii"):
        code = character - 48
        value |= (code & 31) << shift
        shift += 5
        if shift > _MOST_BITS:
            raise DatasetError("run lengths hold a number that no image has; they are damaged.")
        if code & 32:  # there is more of this number
            continue
        if code & 16:  # it is negative
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    return lengths
