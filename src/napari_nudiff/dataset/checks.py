"""Checks of one labelled image, and the repairs that are safe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.dataset.labelling import Foreground, label_points
from napari_nudiff.dataset.masks import as_rgb, number_nuclei, resample_image, resample_labels
from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.dataset.problems import Problem, is_error
from napari_nudiff.dataset.readers.labelled import LabelledImage, Loaded
from napari_nudiff.errors import DatasetError
from napari_nudiff.nuclei.descriptors import UM_PER_PX
from napari_nudiff.nuclei.layout import relabel_contiguous, split_disconnected

SMALLEST_SIDE_PX = 128
"""A training crop."""

SPECK_PX = 10
"""Nuclei with fewer pixels are specks."""

LARGEST_FRACTION = 0.25
"""A nucleus that covers more of its image is hardly one."""

KEEP, DROP = "keep", "drop"
"""What becomes of points where the segmenter sees no nucleus."""

NO_SEGMENTER = "no segmenter"
_NO_SEGMENTER = (
    "has points and no outlines; a segmenter finds them. Give one with --segmenter FILE; "
    "`nudiff data segmenter --data SET --out FILE` trains it on a prepared set with outlines"
)
_SAME_SCALE = 0.05  # sizes of pixels that differ by less are equal
_MOST_16_BIT = np.iinfo(np.uint16).max

Array = TypeVar("Array")


@dataclass(frozen=True)
class Rules:
    """How images are checked and mended.

    Attributes
    ----------
    um_per_px : float or None
        Side of a pixel where the files do not tell.
    target_um_per_px : float or None
        What to resample to; None leaves every image as it is.
    keep_disconnected : bool
        Whether parts that share an id stay one nucleus.
    point_reach_um : float
        Of points: how far a nucleus reaches from its point.
    disagreeing : str
        Of points where the segmenter sees no nucleus: "keep" draws a disc, "drop" leaves them out.
    unmarked : str
        Of nuclei that the segmenter sees and no point marks: "drop" leaves them out, "keep" adds
        them.
    class_names : tuple of (str, str)
        Names of classes in the files, and what to call them.
    """

    um_per_px: float | None = None
    target_um_per_px: float | None = None
    keep_disconnected: bool = False
    point_reach_um: float = 7.0
    disagreeing: str = "keep"
    unmarked: str = "drop"
    class_names: tuple[tuple[str, str], ...] = ()


def check_image(
    found: LabelledImage, rules: Rules, foreground: Foreground | None = None
) -> tuple[Pair | None, list[Problem]]:
    """Read, check and mend one labelled image.

    Parameters
    ----------
    found : LabelledImage
    rules : Rules
    foreground : callable, optional
        Finds out where nuclei are; points need it.

    Returns
    -------
    pair : Pair or None
        With nuclei 1..N; None where a problem is an error.
    problems : list of Problem
    """
    told = _Told(found.name)
    loaded = told.attempt("unreadable", found.load)
    if loaded is None:
        return None, told.problems
    for note in loaded.notes:
        told.note("reading", note)
    pixels, raw = loaded.image, loaded.labels
    image = None
    if pixels is not None:
        image = told.attempt("image type", lambda: told.heard("image type", as_rgb(pixels)))
    ids = told.attempt("label type", lambda: told.heard("label type", number_nuclei(raw)))
    if image is not None and ids is not None and image.shape[:2] != ids.shape:
        told.error("sizes differ", f"image {image.shape[:2]}, labels {ids.shape}")
    um_per_px, factor = _scale(loaded, rules, told)
    if ids is None or any(map(is_error, told.problems)):
        return None, told.problems
    before = image
    if image is not None:
        _look_at_image(image, told)
        image = resample_image(image, factor) if factor != 1 else image
    if image is not None and loaded.points is not None:
        if foreground is None:
            told.error(NO_SEGMENTER, _NO_SEGMENTER)
            return None, told.problems
        assert um_per_px is not None  # else an error was told
        reach_px = max(rules.point_reach_um / um_per_px, 1.0)
        shown = foreground(image, um_per_px)
        loaded, complaints = label_points(
            loaded,
            shown,
            factor,
            reach_px,
            keep=rules.disagreeing == KEEP,
            keep_unmarked=rules.unmarked == KEEP,
        )
        for what, detail in complaints:
            told.warn(what, detail)
        ids, factor = loaded.labels.astype(np.int64), 1
    labels = _mend(ids, rules, told)
    _look_at_nuclei(labels, told)
    unscaled = None
    if factor != 1:
        unscaled = Pair(Layout(labels), before)
        labels = relabel_contiguous(resample_labels(labels, factor))
    elif before is not None and before is not image:  # of points, which were labelled afterwards
        unscaled = Pair(Layout(np.zeros(before.shape[:2], np.int32)), before)
    classes = {i: dict(rules.class_names).get(c, c) for i, c in _classes(loaded, labels).items()}
    layout = Layout(labels, classes, um_per_px)
    roots = frozenset(loaded.roots) | Layout(ids).keys() | layout.keys()
    pair = Pair(layout, image, found.name, found.group, source=found.source)
    return replace(pair, roots=roots, unscaled=unscaled), told.problems


def _classes(loaded: Loaded, labels: NDArray[np.int32]) -> dict[int, str]:
    """The class of most pixels of each nucleus, however nuclei were numbered since."""
    if loaded.types is None or not len(loaded.type_names):
        return {}
    types = np.asarray(loaded.types)
    rows, cols = (
        (np.arange(new) * old) // new for new, old in zip(labels.shape, types.shape, strict=True)
    )
    types = types[rows[:, None], cols]
    known = sorted(loaded.type_names)
    votes = [np.bincount(labels[types == k], minlength=int(labels.max()) + 1) for k in known]
    most, count = np.argmax(votes, axis=0), np.max(votes, axis=0)
    return {
        nucleus: loaded.type_names[known[most[nucleus]]]
        for nucleus in range(1, len(most))
        if count[nucleus]
    }


class _Told:
    """Problems of one image, as they are found."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.problems: list[Problem] = []

    def error(self, what: str, detail: str) -> None:
        self.problems.append(Problem("error", self.name, what, detail))

    def warn(self, what: str, detail: str) -> None:
        self.problems.append(Problem("warning", self.name, what, detail))

    def note(self, what: str, detail: str) -> None:
        self.problems.append(Problem("note", self.name, what, detail))

    def heard(self, what: str, answer: tuple[Array, list[str]]) -> Array:
        """The first of an answer, its notes being told."""
        for note in answer[1]:
            self.note(what, note)
        return answer[0]

    def attempt(self, what: str, action: Callable[[], Array]) -> Array | None:
        """The result, or None and an error told."""
        try:
            return action()
        except DatasetError as error:
            self.error(what, str(error))
            return None


def _scale(loaded: Loaded, rules: Rules, told: _Told) -> tuple[float | None, float]:
    """Um per px of the result, and how much an image is to be scaled for it."""
    here, target = loaded.um_per_px or rules.um_per_px, rules.target_um_per_px
    if loaded.um_per_px and rules.um_per_px and not _close(loaded.um_per_px, rules.um_per_px):
        detail = f"the file says {here:g}, which counts, and --um-per-px {rules.um_per_px:g}"
        told.warn("um per px contradicted", detail)
    if here is None:
        tell = told.error if target or loaded.points is not None else told.warn
        tell("um per px missing", "the files do not tell it; --um-per-px does")
        return None, 1
    if target and not _close(here, target):
        told.note("resampled", f"from {here:g} to {target:g} um per px")
        return target, here / target
    if not target and not _close(here, UM_PER_PX):
        detail = f"{here:g}; the shipped models expect {UM_PER_PX:g} (--target-um-per-px)"
        told.warn("um per px unusual", detail)
    return here, 1


def _look_at_image(image: NDArray[np.uint8], told: _Told) -> None:
    if (image == image[0, 0]).all():
        told.warn("one colour", f"every pixel of the image is {tuple(map(int, image[0, 0]))}")
    if min(image.shape[:2]) < SMALLEST_SIDE_PX:
        detail = f"{image.shape[0]} x {image.shape[1]} px; a training crop has {SMALLEST_SIDE_PX}"
        told.warn("small image", detail)


def _mend(ids: NDArray[np.int64], rules: Rules, told: _Told) -> NDArray[np.int32]:
    """Nuclei 1..N, each connected."""
    highest = int(ids.max(initial=0))
    labels = relabel_contiguous(ids)
    count = int(labels.max(initial=0))
    if highest > _MOST_16_BIT:
        told.note("huge ids", f"the highest is {highest}; {count} nuclei were renumbered")
    elif highest != count:
        told.note("gaps in ids", f"{count} nuclei with ids up to {highest} were renumbered")
    parts = relabel_contiguous(split_disconnected(labels))
    extra = int(parts.max(initial=0)) - count
    if extra and rules.keep_disconnected:
        told.warn("disconnected ids", f"{extra} parts lie apart from the nucleus of their id")
    elif extra:
        told.note("disconnected ids", f"{extra} parts lay apart and were made nuclei")
    return labels if rules.keep_disconnected else parts


def _look_at_nuclei(labels: NDArray[np.int32], told: _Told) -> None:
    areas = np.bincount(labels.ravel())[1:]
    if not len(areas):
        told.warn("no nuclei", "the labels are empty")
    elif specks := int((areas < SPECK_PX).sum()):
        told.warn("specks", f"{specks} of {len(areas)} nuclei have fewer than {SPECK_PX} px")
    if huge := int((areas > LARGEST_FRACTION * labels.size).sum()):
        share = areas.max() / labels.size
        told.warn("huge nuclei", f"{huge}; the largest covers {share:.0%} of the image")


def _close(a: float, b: float) -> bool:
    return abs(a / b - 1) <= _SAME_SCALE
