"""Size, place and form of every nucleus of a layout."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import regionprops_table

from napari_nudiff.nuclei.structure import validate_layout

Table = dict[str, NDArray[Any]]


def measure_nuclei(labels: NDArray[np.integer], um2_per_px: float | None = None) -> Table:
    """Measure the nuclei of a layout.

    Parameters
    ----------
    labels : ndarray, (H, W), any integer type
    um2_per_px : float, optional
        Area of a pixel; without it there are no micrometres in the table.

    Returns
    -------
    dict of str to ndarray, (N,)
        ``label``, ``area_px``, ``area_um2``, ``row_px`` and ``col_px`` of the centre of mass,
        ``eccentricity`` (0 for a circle, 1 for a line) and ``solidity`` (1 without dents). A row a
        nucleus, in the order of the ids.

    Raises
    ------
    LayoutError
        If ``labels`` is no layout.
    """
    properties = ("label", "area", "centroid", "eccentricity", "solidity")
    measured = regionprops_table(validate_layout(labels), properties=properties)
    area_px = measured["area"].astype(np.int64)
    um = {} if um2_per_px is None else {"area_um2": area_px * um2_per_px}
    return {
        "label": measured["label"],
        "area_px": area_px,
        **um,
        "row_px": measured["centroid-0"],
        "col_px": measured["centroid-1"],
        "eccentricity": measured["eccentricity"],
        "solidity": measured["solidity"],
    }
