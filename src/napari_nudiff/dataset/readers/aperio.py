"""MoNuSeg, Kumar and others: XML of Aperio ImageScope, and of ASAP."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np

from napari_nudiff.dataset.pixels import read_image
from napari_nudiff.dataset.polygons import (
    Polygon,
    Ring,
    as_ring,
    draw_nuclei,
    lost_note,
    region_note,
    regions_among,
)
from napari_nudiff.dataset.readers.files import (
    Tree,
    plausible_um_per_px,
    read_um_per_px,
)
from napari_nudiff.dataset.readers.labelled import LabelledImage, Loaded, of_same_stem
from napari_nudiff.errors import DatasetError

_SNIFFED_BYTES = 4096
_LEAST_VERTICES = 3
_ELLIPSE_VERTICES = 64
# ImageScope's types of regions that are stored as two corners.
_RECTANGLE, _ELLIPSE = "1", "2"


def find_aperio(tree: Tree) -> list[LabelledImage]:
    """Every ``.xml`` of ImageScope or ASAP with the image of its stem."""
    return [
        of_same_stem(tree, path, _load) for path in filter(_is_aperio, tree.annotations(".xml"))
    ]


def _is_aperio(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(_SNIFFED_BYTES).replace(b"\0", b"")  # of UTF-16, the ASCII
    return any(mark in start for mark in (b"<Annotations", b"<ASAP_Annotations", b"<!DOCTYPE"))


def _load(image_path: Path, path: Path) -> Loaded:
    image = read_image(image_path)
    found = _read_regions(path)
    areal = [i for i, ring in enumerate(found.rings) if len(ring) >= _LEAST_VERTICES]
    nuclei = [[Polygon(found.rings[i])] for i in areal]
    classes = [found.classes[i] for i in areal]
    regions = regions_among(nuclei)
    notes = region_note([f"outline {i + 1}" for i in regions])
    for place in reversed(regions):
        del nuclei[place], classes[place]
    labels, lost = draw_nuclei(nuclei, image.shape[:2])
    notes += lost_note(lost)
    if found.negative:
        notes += (f"{found.negative} negative regions (not nuclei) left out",)
    if flat := len(found.rings) - len(areal):
        notes += (f"{flat} regions with fewer than {_LEAST_VERTICES} vertices left out",)
    loaded = Loaded(image, labels, found.um_per_px or read_um_per_px(image_path), notes)
    return loaded.with_classes({i: name for i, name in enumerate(classes, start=1) if name})


class _Regions:
    """Collects the outlines while expat reads; later regions come later."""

    def __init__(self) -> None:
        self.um_per_px: float | None = None
        self.rings: list[Ring] = []
        self.classes: list[str] = []  # of each ring; only ASAP has them
        self.negative = 0
        self._ring: list[tuple[float, float]] = []
        self._kind = self._class = ""
        self._is_negative = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "Annotations":
            self.um_per_px = plausible_um_per_px(float(attributes.get("MicronsPerPixel") or 0))
        elif tag in ("Region", "Coordinates"):  # of ImageScope, of ASAP
            self._ring, self._kind = [], attributes.get("Type", "")
            self._is_negative = attributes.get("NegativeROA") == "1"
        elif tag == "Annotation":
            group = attributes.get("PartOfGroup", "")
            self._class = "" if group == "None" else group
        elif tag in ("Vertex", "Coordinate"):
            self._ring.append((float(attributes["X"]), float(attributes["Y"])))

    def end(self, tag: str) -> None:
        if tag not in ("Region", "Coordinates"):
            return
        if self._is_negative:
            self.negative += 1
        else:
            ring = as_ring(self._ring) if self._ring else np.zeros((0, 2))
            self.rings.append(_outline(ring, self._kind))
            self.classes.append(self._class)


def _outline(ring: Ring, kind: str) -> Ring:
    """The outline of a region, those included that are stored as two corners."""
    if len(ring) != 2 or kind not in (_RECTANGLE, _ELLIPSE):
        return ring
    (left, top), (right, bottom) = ring
    if kind == _RECTANGLE:
        return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    angles = np.linspace(0, 2 * np.pi, _ELLIPSE_VERTICES, endpoint=False)
    unit = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.asarray(ring.mean(axis=0) + unit * np.abs(ring[1] - ring[0]) / 2)


def _read_regions(path: Path) -> _Regions:
    regions = _Regions()
    parser = expat.ParserCreate()
    parser.StartElementHandler = regions.start
    parser.EndElementHandler = regions.end
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(path.read_bytes(), True)
    except (expat.ExpatError, KeyError, ValueError, OSError) as error:
        raise DatasetError(f"Cannot read {path.name}: {error!s}") from error
    except DatasetError as error:
        raise DatasetError(f"{path.name} {error}") from error
    return regions


def _refuse_doctype(*_: Any) -> None:
    # Entities that expand without end need one; ImageScope never writes one.
    raise DatasetError("declares a DOCTYPE, which no ImageScope file does; it is not read.")
