"""QuPath: one GeoJSON file an image, with outlines or with points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_nudiff.dataset.pixels import read_image
from napari_nudiff.dataset.polygons import (
    Polygon,
    as_ring,
    draw_nuclei,
    lost_note,
    region_note,
    regions_among,
)
from napari_nudiff.dataset.readers.files import Tree, read_um_per_px
from napari_nudiff.dataset.readers.json_file import mentions, read_json
from napari_nudiff.dataset.readers.labelled import LabelledImage, Loaded, of_same_stem
from napari_nudiff.errors import DatasetError

_NUCLEI = {"detection", "cell"}
_NO_NUCLEI = {"tile", "tma_core", "root"}
_LEGACY = {
    "PathDetectionObject": "detection",
    "PathCellObject": "cell",
    "PathAnnotationObject": "annotation",
    "PathTileObject": "tile",
    "PathRootObject": "root",
    "TMACoreObject": "tma_core",
}

Feature = dict[str, Any]


def find_qupath(tree: Tree) -> list[LabelledImage]:
    """Every GeoJSON file with the image of its stem."""
    paths = filter(_is_geojson, tree.annotations(".geojson", ".json"))
    return [of_same_stem(tree, path, _load, named_by_image=True) for path in paths]


def _is_geojson(path: Path) -> bool:
    return path.suffix.lower() == ".geojson" or mentions(path, '"Feature"', '"FeatureCollection"')


def _load(image_path: Path, path: Path) -> Loaded:
    image = read_image(image_path)
    if (points := _points(path)) is not None:
        empty = np.zeros(image.shape[:2], dtype=np.int32)
        return points._replace(image=image, labels=empty, um_per_px=read_um_per_px(image_path))
    nuclei, notes, classes = read_outlines(path)
    labels, lost = draw_nuclei(nuclei, image.shape[:2])
    loaded = Loaded(image, labels, read_um_per_px(image_path), (*notes, *lost_note(lost)))
    return loaded.with_classes({i: name for i, name in enumerate(classes, start=1) if name})


def read_outlines(path: Path) -> tuple[list[list[Polygon]], list[str], list[str]]:
    """The polygons of each nucleus of a GeoJSON file, and what else was in it.

    The third list holds the class of each nucleus, "" where it has none.

    Raises
    ------
    DatasetError
        The file cannot be read, or is damaged.
    """
    features = _features(path)
    try:
        chosen, notes = _choose(features)
        pieces = [(f, parts) for f in chosen for parts in _nuclei_of(f)]
        nuclei = [feature for feature, _ in pieces]
        shapes = [parts for _, parts in pieces]
        classes = [_class_of(feature) for feature in nuclei]
    except (DatasetError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{path.name} holds a damaged object: {error}") from error
    if others := shapes.count([]):
        notes.append(f"{others} objects that are no areas (points, lines) left out")
    if len(nuclei) > len(chosen):
        notes.append(f"objects of several parts were taken apart: {len(nuclei)} of {len(chosen)}")
    regions: set[int] = set()
    if not _is_nucleus(chosen):
        regions = set(regions_among(shapes))
        notes += region_note([_name_of(nuclei[i]) for i in sorted(regions)])
    areas = [i for i, shape in enumerate(shapes) if shape and i not in regions]
    return [shapes[i] for i in areas], notes, [classes[i] for i in areas]


def _nuclei_of(feature: Feature) -> list[list[Polygon]]:
    """The nuclei of an object: annotations may hold all nuclei of a class."""
    parts = _polygons(_geometry(feature))
    return [parts] if _is_nucleus([feature]) or len(parts) < 2 else [[part] for part in parts]


def _is_nucleus(features: list[Feature]) -> bool:
    return any(_object_type(feature) in _NUCLEI for feature in features)


def _name_of(feature: Feature) -> str:
    return str((feature.get("properties") or {}).get("name") or _class_of(feature) or "no name")


def _points(path: Path) -> Loaded | None:
    """Points, where they are what was annotated: there are more of them than of areas."""
    places: list[object] = []
    classes: list[str] = []
    areas = 0
    try:
        for feature in _features(path):
            geometry, kind = _geometry(feature), _object_type(feature)
            here = [] if kind in _NO_NUCLEI else _places(geometry)
            places += here
            classes += [_class_of(feature)] * len(here)
            areas += kind not in _NO_NUCLEI and "Polygon" in geometry["type"]
        if not places or len(places) <= areas:
            return None
        xy = as_ring(places)
    except (DatasetError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{path.name} holds a damaged object: {error}") from error
    notes = (f"{areas} areas beside {len(places)} points left out",) if areas else ()
    none = np.zeros((0, 0), dtype=np.int32)
    points = xy[:, ::-1] - 0.5  # from the corner of the first pixel to its centre
    return Loaded(None, none, None, notes, points=points, point_classes=tuple(classes))


def _places(geometry: dict[str, Any]) -> list[object]:
    if geometry["type"] == "Point":
        return [geometry["coordinates"]]
    return list(geometry["coordinates"]) if geometry["type"] == "MultiPoint" else []


def _class_of(feature: Feature) -> str:
    """A class, or one derived of others, such as Tumor: Positive."""
    told = (feature.get("properties") or {}).get("classification") or {}
    if not isinstance(told, dict):
        return ""
    return str(told.get("name") or ": ".join(map(str, told.get("names") or ())))


def _features(path: Path) -> list[Feature]:
    content = read_json(path)
    if isinstance(content, dict):
        content = content.get("features", [content])
    if not isinstance(content, list) or not all(isinstance(f, dict) for f in content):
        raise DatasetError(f"{path.name} is no GeoJSON: a list of features was expected.")
    return content


def _choose(features: list[Feature]) -> tuple[list[Feature], list[str]]:
    """The features that are nuclei: detections and cells, or annotations where there are none."""
    kept = [f for f in features if _object_type(f) in _NUCLEI]
    kept = kept or [f for f in features if _object_type(f) not in _NO_NUCLEI]
    left = len(features) - len(kept)
    return kept, [f"{left} objects that are no nuclei (regions, tiles) left out"] if left else []


def _object_type(feature: Feature) -> str:
    properties = feature.get("properties") or {}
    known = properties.get("objectType", properties.get("object_type"))
    if known is None:  # QuPath 0.2: PathDetectionObject and the like, where the id is now
        known = _LEGACY.get(str(feature.get("id")), "")
    return str(known).lower()


def _geometry(feature: Feature) -> dict[str, Any]:
    """Of a cell its nucleus, not its membrane."""
    return feature.get("nucleusGeometry") or feature.get("geometry") or {"type": ""}


def _polygons(geometry: dict[str, Any]) -> list[Polygon]:
    if geometry["type"] == "Polygon":
        parts = [geometry["coordinates"]]
    elif geometry["type"] == "MultiPolygon":
        parts = geometry["coordinates"]
    else:
        return []
    rings = [[as_ring(ring) for ring in part] for part in parts if part]
    return [Polygon(outline, tuple(holes)) for outline, *holes in rings]
