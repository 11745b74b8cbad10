"""What labs have: one module a format family, each finding labelled images in a source.

A reader lists what is there without reading pixels. What is wrong with one image is said when that
image is read, so that all complaints come at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from napari_nudiff.dataset.problems import Problem
from napari_nudiff.dataset.readers.aperio import find_aperio
from napari_nudiff.dataset.readers.coco import find_coco
from napari_nudiff.dataset.readers.files import Tree
from napari_nudiff.dataset.readers.hovernet import find_hovernet
from napari_nudiff.dataset.readers.labelled import LabelledImage, Loaded
from napari_nudiff.dataset.readers.layouts import find_layouts
from napari_nudiff.dataset.readers.pairs import find_pairs
from napari_nudiff.dataset.readers.pannuke import find_pannuke
from napari_nudiff.dataset.readers.points import find_points
from napari_nudiff.dataset.readers.prepared import find_prepared
from napari_nudiff.dataset.readers.qupath import find_qupath
from napari_nudiff.errors import DatasetError, RequestError

__all__ = ["LAYOUTS", "READERS", "LabelledImage", "Loaded", "Reader", "find_images"]

Reader = Callable[[Tree], list[LabelledImage]]

LAYOUTS = "layouts"

READERS: dict[str, Reader] = {
    "prepared": find_prepared,
    "pannuke": find_pannuke,
    "coco": find_coco,
    "qupath": find_qupath,
    "hovernet": find_hovernet,
    "aperio": find_aperio,
    "pairs": find_pairs,
    "points": find_points,
    LAYOUTS: find_layouts,
}
"""Of several kinds in one source that with most images counts; of equals the first here.

Layouts are read only where they are asked for.
"""


_SAYS_EACH = {"prepared", "pannuke", "pairs", LAYOUTS}  # these miss no image, or say so for each
_LISTED = 5


def find_images(source: Path, kind: str | None = None) -> tuple[list[LabelledImage], list[Problem]]:
    """List the labelled images of a source.

    Parameters
    ----------
    source : Path
        A folder, or one file of annotations.
    kind : str, optional
        One of `READERS`; found out by default.

    Returns
    -------
    images : list of LabelledImage
    problems : list of Problem
        Of the source as a whole, such as labels of another kind that were not read.

    Raises
    ------
    RequestError
        There is no such kind.
    DatasetError
        The source does not exist, is damaged, or holds nothing that is known.
    """
    if kind is not None and kind not in READERS:
        raise RequestError(f"There is no kind {kind}; known are {', '.join(READERS)}.")
    tree = Tree.of(source)
    found: dict[str, list[LabelledImage]] = {}
    damaged: list[DatasetError] = []
    for name in [kind] if kind else [k for k in READERS if k != LAYOUTS]:
        try:
            found[name] = READERS[name](tree)
        except DatasetError as error:
            if name == "prepared":  # read otherwise, its images would lose their split
                raise
            damaged.append(error)
    chosen = max(found, key=lambda name: len(found[name]), default="")
    if not found.get(chosen):
        raise damaged[0] if damaged else DatasetError(_nothing(tree, source, kind))
    name = Path(source).resolve().name
    problems = [Problem("warning", name, "damaged", str(error)) for error in damaged]
    others = [k for k, images in found.items() if images and k != chosen != "prepared"]
    if others:
        problems.append(Problem("note", name, "other kinds", _others(chosen, others)))
    if chosen not in _SAYS_EACH and not tree.only and (left := _left_out(tree, found[chosen])):
        problems.append(Problem("warning", name, "no annotations", left))
    return found[chosen], problems


def _left_out(tree: Tree, found: list[LabelledImage]) -> str:
    """Images beside those that were found."""
    used = {image.source for image in found}
    folders = {source.rpartition("/")[0] for source in used}
    sources = sorted(map(tree.source_of, tree.images()))
    left = [s for s in sources if s not in used and s.rpartition("/")[0] in folders]
    more = ", ..." if len(left) > _LISTED else ""
    return f"{len(left)} images have none: {', '.join(left[:_LISTED])}{more}" if left else ""


def _nothing(tree: Tree, source: Path, kind: str | None) -> str:
    kinds = Counter(path.suffix.lower() or "without suffix" for path in tree.files)
    seen = ", ".join(f"{count} {suffix}" for suffix, count in kinds.most_common(_LISTED))
    wanted = f"labelled images of kind {kind}" if kind else "labelled images"
    return (
        f"No {wanted} in {Path(source).resolve()} (seen: {seen or 'no files'}). Known are images/ "
        "with labels/ or masks/ of the same stems, X.tif with X_masks.tif, HoVer-Net .mat, "
        "ImageScope and ASAP .xml, QuPath .geojson, COCO .json, PanNuke images.npy with "
        "masks.npy, X.tif with points in X.csv, and labels without images (--kind "
        f"{LAYOUTS}); see docs/data.md."
    )


def _others(chosen: str, others: list[str]) -> str:
    return f"read as {chosen}; also there: {', '.join(others)} (--kind chooses)"
