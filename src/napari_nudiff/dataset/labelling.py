"""From points to labels, with what a segmenter sees."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.dataset.readers.labelled import Loaded
from napari_nudiff.nuclei.layout import relabel_contiguous
from napari_nudiff.nuclei.points import nuclei_from_points

Foreground = Callable[[NDArray[np.uint8], float], NDArray[np.floating]]
"""From an image (H, W, 3) and its um per px to the probability of nucleus, (H, W)."""


def label_points(
    loaded: Loaded,
    foreground: NDArray[np.floating],
    factor: float,
    reach_px: float,
    *,
    keep: bool,
    keep_unmarked: bool,
) -> tuple[Loaded, list[tuple[str, str]]]:
    """Find the nuclei of points.

    Parameters
    ----------
    loaded : Loaded
        With points.
    foreground : ndarray, (H, W), float
        Probability of nucleus.
    factor : float
        How much larger it is than the image in the files.
    reach_px : float
        In its pixels.
    keep : bool
        Whether points where it shows no nucleus get a disc.
    keep_unmarked : bool
        Whether what it shows and no point marks becomes a nucleus, without a class.

    Returns
    -------
    loaded : Loaded
        With labels and the type of each pixel, of the foreground's size.
    complaints : list of (str, str)
        Kinds of problems, and the places (row, column; px of the image in the files).
    """
    assert loaded.points is not None
    told = loaded.points
    points = (told + 0.5) * factor - 0.5
    pixels = np.floor(points + 0.5)
    inside = ((pixels >= 0) & (pixels < foreground.shape)).all(axis=1)
    _, first = np.unique(pixels, axis=0, return_index=True)
    single = np.isin(np.arange(len(points)), first)
    used = np.flatnonzero(inside & single)
    found = nuclei_from_points(
        pixels[used],
        foreground,
        reach_px=reach_px,
        keep_disagreeing=keep,
        keep_unmarked=keep_unmarked,
    )
    names = dict(enumerate(sorted(set(loaded.point_classes) - {""}), 1))
    numbers = {name: number for number, name in names.items()}
    of_id = np.zeros(int(found.labels.max(initial=0)) + len(used) + 1, dtype=np.int64)
    of_id[1 : len(used) + 1] = [numbers.get(loaded.point_classes[i], 0) for i in used]
    unseen = "where the segmenter sees none, " + ("drawn as discs" if keep else "left out")
    extra = "that the segmenter sees, " + ("added without a class" if keep_unmarked else "left out")
    listed = [
        ("points outside", "left out", told[~inside]),
        ("points doubled", "of one pixel, left out", told[inside & ~single]),
        ("points without nucleus", unseen, told[used][found.disagreeing]),
        ("nuclei without point", extra, (found.unmarked + 0.5) / factor - 0.5),
    ]
    complaints = [
        (what, f"{len(places)} ({len(told)} points), {how}: {_list(places)}")
        for what, how, places in listed
        if len(places)
    ]
    labels = relabel_contiguous(found.labels)  # what was left out leaves gaps
    types = of_id[found.labels]
    return loaded._replace(labels=labels, types=types, type_names=names), complaints


def _list(places: NDArray[np.float64]) -> str:
    return " ".join(f"({row:.0f}, {column:.0f})" for row, column in places)
