"""QuPath: detections as GeoJSON, drawn over the image by drag and drop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.dataset.outlines import outlines_of
from napari_nudiff.dataset.polygons import Polygon


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


def _classification(nucleus: int, class_names: Mapping[int, str]) -> dict[str, Any]:
    name = class_names.get(nucleus)
    return {} if name is None else {"classification": {"name": name}}


def _geometry(polygons: list[Polygon]) -> dict[str, Any]:
    parts = [[ring.tolist() for ring in (part.outline, *part.holes)] for part in polygons]
    if len(parts) == 1:
        return {"type": "Polygon", "coordinates": parts[0]}
    return {"type": "MultiPolygon", "coordinates": parts}
