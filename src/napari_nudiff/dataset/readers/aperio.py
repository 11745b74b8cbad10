"""MoNuSeg, Kumar and others: Aperio ImageScope XML."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.parsers import expat

from napari_nudiff.dataset.pixels import read_image
from napari_nudiff.dataset.polygons import Polygon, as_ring, draw_nuclei, lost_note
from napari_nudiff.dataset.readers.files import (
    Tree,
    plausible_um_per_px,
    read_um_per_px,
)
from napari_nudiff.dataset.readers.labelled import LabelledImage, Loaded, of_same_stem
from napari_nudiff.errors import DatasetError

_SNIFFED_BYTES = 4096
_LEAST_VERTICES = 3


def find_aperio(tree: Tree) -> list[LabelledImage]:
    """Every ``.xml`` of ImageScope with the image of its stem."""
    return [
        of_same_stem(tree, path, _load) for path in filter(_is_aperio, tree.annotations(".xml"))
    ]


def _is_aperio(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(_SNIFFED_BYTES).replace(b"\0", b"")  # of UTF-16, the ASCII
    return b"<Annotations" in start or b"<!DOCTYPE" in start


def _load(image_path: Path, path: Path) -> Loaded:
    image = read_image(image_path)
    regions = _read_regions(path)
    nuclei = ([Polygon(as_ring(ring))] for ring in regions.rings)
    labels, lost = draw_nuclei(nuclei, image.shape[:2])
    notes = lost_note(lost)
    if regions.negative:
        notes += (f"{regions.negative} negative regions (not nuclei) left out",)
    return Loaded(image, labels, regions.um_per_px or read_um_per_px(image_path), notes)


class _Regions:
    """Collects the outlines while expat reads; later regions come later."""

    def __init__(self) -> None:
        self.um_per_px: float | None = None
        self.rings: list[list[tuple[float, float]]] = []
        self.negative = 0
        self._ring: list[tuple[float, float]] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "Annotations":
            self.um_per_px = plausible_um_per_px(float(attributes.get("MicronsPerPixel") or 0))
        elif tag == "Region":
            self._ring = []
            if attributes.get("NegativeROA") == "1":
                self.negative += 1
            else:
                self.rings.append(self._ring)
        elif tag == "Vertex":
            self._ring.append((float(attributes["X"]), float(attributes["Y"])))


def _read_regions(path: Path) -> _Regions:
    regions = _Regions()
    parser = expat.ParserCreate()
    parser.StartElementHandler = regions.start
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(path.read_bytes(), True)
    except (expat.ExpatError, KeyError, ValueError, OSError) as error:
        raise DatasetError(f"Cannot read {path.name}: {error!s}") from error
    except DatasetError as error:
        raise DatasetError(f"{path.name} {error}") from error
    regions.rings = [ring for ring in regions.rings if len(ring) >= _LEAST_VERTICES]
    return regions


def _refuse_doctype(*_: Any) -> None:
    # Entities that expand without end need one; ImageScope never writes one.
    raise DatasetError("declares a DOCTYPE, which no ImageScope file does; it is not read.")
