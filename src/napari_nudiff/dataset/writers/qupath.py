"""QuPath: detections as GeoJSON, drawn over the image by drag and drop."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.dataset.outlines import outlines_of
from napari_nudiff.dataset.polygons import Polygon
from napari_nudiff.dataset.readers.files import Tree
from napari_nudiff.dataset.readers.labelled import LabelledImage
from napari_nudiff.dataset.readers.qupath import find_qupath
from napari_nudiff.dataset.writers.marked import write_marked_tiff
from napari_nudiff.dataset.writers.member import Shard, splits_in


def labels_to_geojson(
    labels: NDArray[np.integer],
    *,
    class_names: Mapping[int, str] | None = None,
    properties: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Nuclei as a FeatureCollection of QuPath's detections, in pixels from the image's corner.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
    class_names : mapping of int to str, optional
        Class of a nucleus by its id.
    properties : mapping, optional
        JSON values about the whole image.

    Returns
    -------
    dict
        JSON values; our reader draws the same labels from them.
    """
    features = [
        {
            "type": "Feature",
            "geometry": _geometry(polygons),
            "properties": {"objectType": "detection", "name": str(nucleus)}
            | _classification(nucleus, class_names or {}),
        }
        for nucleus, polygons in outlines_of(labels)
    ]
    about = {"properties": dict(properties)} if properties else {}
    return {"type": "FeatureCollection", **about, "features": features}


def write_qupath(folder: Path, shard: Shard) -> None:
    """Write ``SPLIT/NAME.tif`` and ``SPLIT/NAME.geojson``."""
    target = folder / shard.split
    target.mkdir(parents=True, exist_ok=True)
    for member in shard.members:
        write_marked_tiff(target / f"{member.name}.tif", member)
        about = {"synthetic": member.synthetic}
        content = labels_to_geojson(
            member.labels, class_names=shard.classes_of(member), properties=about
        )
        text = json.dumps(content, separators=(",", ":"))
        (target / f"{member.name}.geojson").write_text(text + "\n", encoding="utf-8")


def read_qupath(folder: Path) -> Iterator[LabelledImage]:
    """List what was written."""
    for split, inside in splits_in(folder):
        for found in find_qupath(Tree.of(inside)):
            yield replace(found, group=split)


def _classification(nucleus: int, class_names: Mapping[int, str]) -> dict[str, Any]:
    name = class_names.get(nucleus)
    return {} if name is None else {"classification": {"name": name}}


def _geometry(polygons: list[Polygon]) -> dict[str, Any]:
    parts = [[ring.tolist() for ring in (part.outline, *part.holes)] for part in polygons]
    if len(parts) == 1:
        return {"type": "Polygon", "coordinates": parts[0]}
    return {"type": "MultiPolygon", "coordinates": parts}
