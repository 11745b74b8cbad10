"""Edits of layouts by hand: pure functions from a layout to the change of it, an `Edit`.

An edit knows the changed pixels only, so that a large layout is changed, and changed back, in
place. No function changes the layout that it is given. One pass over the layout looks for the
nuclei that are named (4 ms for one at 4000 x 4000 px); with `bounds` only that part is searched.
Another (2 ms) looks for the highest id where a new one is needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from napari_nudiff.errors import LayoutError
from napari_nudiff.nuclei import layout
from napari_nudiff.nuclei.edit import Bounds, Edit, Labels, as_edit, require, together
from napari_nudiff.nuclei.partition import (
    MAX_GAP_PX,
    merge,
    split,
    split_at_necks,
    split_disconnected,
)
from napari_nudiff.nuclei.placement import (
    SLIVER_PX,
    Mask,
    Nucleus,
    Point,
    bounds_at,
    connected_parts,
    exchange,
    find_nuclei,
    from_mask,
    new_ids,
    require_layout,
    widened,
    write_nuclei,
)

__all__ = [
    "MAX_GAP_PX",
    "SLIVER_PX",
    "Bounds",
    "Edit",
    "Ellipse",
    "Point",
    "add_ellipse",
    "as_edit",
    "bounds_at",
    "delete",
    "duplicate",
    "ellipse_between",
    "extend_canvas",
    "fill_holes",
    "merge",
    "move",
    "relabel_contiguous",
    "remove_specks",
    "rotate",
    "scale",
    "scatter_in",
    "shapes_of",
    "smooth_outlines",
    "split",
    "split_at_necks",
    "split_disconnected",
    "stamp",
]

_MAX_SCALE = 20.0
_LATTICE_TOLERANCE = 1e-6


# New nuclei


class Ellipse(NamedTuple):
    """Where an ellipse lies, as `add_ellipse` takes it.

    Attributes
    ----------
    centre : (float, float)
        Row and column.
    radii : (float, float)
        Along the rows' direction (down) and the columns' (across), in pixels, before it is turned.
    angle : float
        Degrees, counter-clockwise on the screen.
    """

    centre: Point
    radii: tuple[float, float]
    angle: float = 0.0


def ellipse_between(corner: Point, opposite: Point, *, circle: bool = False) -> Ellipse:
    """The ellipse that a drag with the mouse draws: it fills the box between two corners.

    Parameters
    ----------
    corner, opposite : (float, float)
        Row and column where the drag began and where it is.
    circle : bool
        As with Shift held: a circle as wide as the longer side, from the same corner.

    Returns
    -------
    Ellipse
    """
    sides = np.subtract(opposite, corner)
    if circle:
        sides = np.copysign(np.abs(sides).max(), sides)
    row, col = np.add(corner, sides / 2)
    down, across = np.abs(sides) / 2
    return Ellipse((float(row), float(col)), (float(down), float(across)))


def add_ellipse(
    labels: Labels,
    centre: Point,
    radii: tuple[float, float],
    angle: float = 0.0,
    *,
    on_overlap: str = "under",
) -> Edit:
    """Add an elliptic nucleus.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
    centre : (float, float)
        Row and column.
    radii : (float, float)
        Down and across, in pixels, before it is turned.
    angle : float
        Degrees, counter-clockwise on the screen.
    on_overlap : {"under", "over", "refuse"}
        Whether nuclei that are there stay in front, are covered, or must not be touched. What a
        cut leaves of a nucleus in pieces below `SLIVER_PX` disappears.

    Returns
    -------
    Edit
        The new nucleus has the highest id + 1. What lies outside the canvas is cut off.

    Raises
    ------
    LayoutError
        If nothing of it would be seen, it must not overlap but does, or the type has no id left.
    RequestError
        If a radius is not above 0, or longer than the canvas.
    """
    require_layout(labels)
    fits = min(radii) > 0 and max(radii) <= max(labels.shape)
    require(fits, "radii", radii, "above 0 and no longer than the canvas")
    (new_id,) = new_ids(labels)
    nucleus = from_mask(new_id, *_draw_ellipse(centre, radii, angle))
    return exchange(labels, [], [nucleus], on_overlap)


def _draw_ellipse(
    centre: Point, radii: tuple[float, float], angle: float
) -> tuple[Mask, tuple[int, int]]:
    """An ellipse in a box, and the box's first row and column."""
    reach = max(radii)
    top, left = (math.floor(c - reach) for c in centre)
    side = math.ceil(2 * reach) + 2
    to_box = np.subtract((top, left), centre)
    offsets = np.indices((side, side)).reshape(2, -1) + to_box[:, None]
    upright = _rotation(-angle) @ offsets / np.reshape(radii, (2, 1))
    return (np.square(upright).sum(axis=0) <= 1).reshape(side, side), (top, left)


def stamp(
    labels: Labels,
    shape_mask: Mask,
    centre: Point,
    angle: float = 0.0,
    scale: float = 1.0,
    flip: bool = False,
    *,
    on_overlap: str = "under",
) -> Edit:
    """Add a nucleus of a given shape.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
    shape_mask : ndarray, (h, w), bool
        The shape, as from `shapes_of`.
    centre : (float, float)
        Row and column where its centre of mass goes; rounded if it is only turned by quarters.
    angle : float
        Degrees, counter-clockwise on the screen.
    scale : float
        Of its lengths.
    flip : bool
        Mirror it left to right, before it is turned.
    on_overlap : {"under", "over", "refuse"}
        As in `add_ellipse`.

    Returns
    -------
    Edit
        The new nucleus has the highest id + 1. What lies outside the canvas is cut off.

    Raises
    ------
    LayoutError
        If the shape is empty, and as `add_ellipse` does.
    RequestError
        If the scale is out of range.
    """
    require_layout(labels)
    _require_scale(scale)
    (new_id,) = new_ids(labels)
    shape = from_mask(new_id, np.asarray(shape_mask, dtype=np.bool_), (0, 0))
    if not len(shape.rows):
        raise LayoutError("This shape has no pixel. Nothing was changed; choose another one.")
    matrix = scale * _rotation(angle) @ np.diag([1, -1 if flip else 1])
    return exchange(labels, [], [_transform(shape, matrix, shape.centre, centre)], on_overlap)


def shapes_of(labels: Labels, min_area_px: int, *, keep_cut: bool = False) -> list[Mask]:
    """The shapes of a layout's nuclei, to stamp.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
    min_area_px : int
        Smaller ones are left out.
    keep_cut : bool
        Whether to take nuclei that the border cuts, too.

    Returns
    -------
    list of ndarray, (h, w), bool
        In the order of their ids; of a nucleus in several parts, the largest.
    """
    numbered = layout.relabel_contiguous(labels)
    boxes = enumerate(ndimage.find_objects(numbered), start=1)
    whole = (
        _largest_part(numbered[box] == i)
        for i, box in boxes
        if keep_cut or not _at_border(box, labels.shape)
    )
    return [shape for shape in whole if np.count_nonzero(shape) >= min_area_px]


def _at_border(box: Bounds, shape: tuple[int, ...]) -> bool:
    return any(side.start == 0 or side.stop == n for side, n in zip(box, shape, strict=True))


def _largest_part(mask: Mask) -> Mask:
    part, area = connected_parts(mask)
    if len(area) < 3:
        return mask
    nucleus = from_mask(1, part == 1 + area[1:].argmax(), (0, 0))
    return nucleus.mask()


# Nuclei moved and turned


def move(
    labels: Labels,
    ids: int | Sequence[int],
    offset: tuple[float, float],
    *,
    on_overlap: str = "under",
    bounds: Bounds | None = None,
) -> Edit:
    """Move nuclei.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
    ids : int or sequence of int
    offset : (float, float)
        Rows and columns to move by; rounded to whole pixels.
    on_overlap : {"under", "over", "refuse"}
        As in `add_ellipse`. Of the moved nuclei, the first named is in front of the others, or
        behind them with "over".
    bounds : (slice, slice), optional
        All of the nuclei lies in here.

    Returns
    -------
    Edit
        What comes to lie outside the canvas is cut off.

    Raises
    ------
    LayoutError
        If a nucleus is not there, would vanish, or must not overlap but does.
    """
    old = find_nuclei(labels, ids, bounds)
    return exchange(labels, old, [_offset(nucleus, offset) for nucleus in old], on_overlap)


def duplicate(
    labels: Labels,
    ids: int | Sequence[int],
    offset: tuple[float, float],
    *,
    on_overlap: str = "under",
    bounds: Bounds | None = None,
) -> Edit:
    """Add copies of nuclei at a distance; they have new ids. Otherwise as `move`.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
    ids : int or sequence of int
    offset : (float, float)
        Rows and columns; rounded to whole pixels.
    on_overlap : {"under", "over", "refuse"}
    bounds : (slice, slice), optional

    Returns
    -------
    Edit
        The copies have the ids above the highest, in the order of `ids`.

    Raises
    ------
    LayoutError
        As `move` does, or if the type has not enough ids left.
    """
    old = find_nuclei(labels, ids, bounds)
    fresh = new_ids(labels, len(old))
    new = [_offset(n, offset)._replace(id=i) for n, i in zip(old, fresh, strict=True)]
    return exchange(labels, [], new, on_overlap)


def _offset(nucleus: Nucleus, offset: tuple[float, float]) -> Nucleus:
    rows, cols = (math.floor(distance + 0.5) for distance in offset)
    return nucleus.moved(rows, cols)


def delete(labels: Labels, ids: int | Sequence[int], *, bounds: Bounds | None = None) -> Edit:
    """Remove nuclei.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
    ids : int or sequence of int
    bounds : (slice, slice), optional
        All of the nuclei lies in here.

    Returns
    -------
    Edit

    Raises
    ------
    LayoutError
        If a nucleus is not there.
    """
    return write_nuclei(labels, [n._replace(id=0) for n in find_nuclei(labels, ids, bounds)])


def rotate(
    labels: Labels,
    ids: int | Sequence[int],
    degrees: float,
    about: str = "own centre",
    *,
    on_overlap: str = "under",
    bounds: Bounds | None = None,
) -> Edit:
    """Turn nuclei.

    Quarter turns are exact: four of them change nothing. Other turns redraw the outline, so that
    one by the whole angle is better than several by a part of it.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
    ids : int or sequence of int
    degrees : float
        Counter-clockwise on the screen, as `numpy.rot90`.
    about : {"own centre", "common centre"}
        Each about its centre of mass, or all about that of all their pixels.
    on_overlap : {"under", "over", "refuse"}
        As in `move`.
    bounds : (slice, slice), optional
        All of the nuclei lies in here.

    Returns
    -------
    Edit
        What comes to lie outside the canvas is cut off.

    Raises
    ------
    LayoutError
        If a nucleus is not there, would vanish, or must not overlap but does.
    RequestError
        If `about` is neither.
    """
    require(math.isfinite(degrees), "degrees", degrees, "a number")
    return _transform_all(labels, ids, _rotation(degrees), about, on_overlap, bounds)


def scale(
    labels: Labels,
    ids: int | Sequence[int],
    factor: float,
    about: str = "own centre",
    *,
    on_overlap: str = "under",
    bounds: Bounds | None = None,
) -> Edit:
    """Enlarge or shrink nuclei.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
    ids : int or sequence of int
    factor : float
        Of their lengths: the area grows with its square.
    about : {"own centre", "common centre"}
        Each about its centre of mass, or all about that of all their pixels.
    on_overlap : {"under", "over", "refuse"}
        As in `move`.
    bounds : (slice, slice), optional
        All of the nuclei lies in here.

    Returns
    -------
    Edit
        What comes to lie outside the canvas is cut off.

    Raises
    ------
    LayoutError
        If a nucleus is not there, would vanish, or must not overlap but does.
    RequestError
        If the factor is out of range, or `about` is neither.
    """
    _require_scale(factor)
    return _transform_all(labels, ids, factor * np.eye(2), about, on_overlap, bounds)


def _require_scale(factor: float) -> None:
    expected = f"above 0 and at most {_MAX_SCALE:g}"
    require(0 < factor <= _MAX_SCALE, "The scale factor", factor, expected)


def _rotation(degrees: float) -> NDArray[np.float64]:
    """Turns (row, column) vectors counter-clockwise on the screen, where rows count downwards."""
    angle = math.radians(degrees)
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def _transform_all(
    labels: Labels,
    ids: int | Sequence[int],
    matrix: NDArray[np.float64],
    about: str,
    on_overlap: str,
    bounds: Bounds | None,
) -> Edit:
    old = find_nuclei(labels, ids, bounds)
    require(about in _CENTRES, "about", repr(about), f"one of {', '.join(_CENTRES)}")
    centres = _CENTRES[about](old)
    new = [_transform(n, matrix, c, c) for n, c in zip(old, centres, strict=True)]
    return exchange(labels, old, new, on_overlap)


def _common_centre(nuclei: list[Nucleus]) -> list[NDArray[np.float64]]:
    centres = [nucleus.centre for nucleus in nuclei]
    mean = np.average(centres, axis=0, weights=[len(nucleus.rows) for nucleus in nuclei])
    return [mean] * len(nuclei)


_CENTRES: dict[str, Callable[[list[Nucleus]], list[NDArray[np.float64]]]] = {
    "own centre": lambda nuclei: [nucleus.centre for nucleus in nuclei],
    "common centre": _common_centre,
}


def _transform(
    nucleus: Nucleus, matrix: NDArray[np.float64], start: ArrayLike, end: ArrayLike
) -> Nucleus:
    """A nucleus after a linear map that takes one point of it to another."""
    whole = np.round(matrix)
    shift = np.asarray(end) - matrix @ np.asarray(start)
    if np.abs(matrix - whole).max() < _LATTICE_TOLERANCE and abs(np.linalg.det(whole)) == 1:
        return _transform_exactly(nucleus, whole.astype(int), shift)
    mask, (top, left) = nucleus.mask(), nucleus.corner
    corners = np.array([(r, c) for r in (-1, mask.shape[0]) for c in (-1, mask.shape[1])])
    reached = np.add(corners, (top, left)) @ matrix.T + shift
    first = np.floor(reached.min(axis=0)).astype(int)
    inverse = np.linalg.inv(matrix)
    value = ndimage.affine_transform(
        mask.astype(np.float32),
        inverse,
        offset=inverse @ (first - shift) - (top, left),
        output_shape=tuple(np.ceil(reached.max(axis=0)).astype(int) - first + 1),
        order=1,
        mode="grid-constant",
    )
    return from_mask(nucleus.id, value >= 0.5, (int(first[0]), int(first[1])))


def _transform_exactly(
    nucleus: Nucleus, matrix: NDArray[np.int_], shift: NDArray[np.float64]
) -> Nucleus:
    """Quarter turns and reflections take pixels to pixels."""
    rows, cols = matrix @ [nucleus.rows, nucleus.cols]
    down, across = _round_shift(shift, is_quarter_turn=matrix[0, 0] == 0)
    return Nucleus(nucleus.id, rows + down, cols + across)


def _round_shift(shift: NDArray[np.float64], *, is_quarter_turn: bool) -> NDArray[np.int_]:
    """Whole pixels, chosen so that turning on leads back to the start.

    A turn is then about the nearest centre or corner of a pixel. Where two are equally near, all
    turns must decide for the same one: quarter turns for a centre (the sum of the shift is even),
    for one of even coordinates if there are two; half turns for the even shift.
    """
    exact = np.round(shift, 6)
    whole = np.round(exact)  # half to even
    tied = np.abs(exact - whole) == 0.5
    if is_quarter_turn and tied.sum() == 1 and whole.sum() % 2:
        whole[tied] = 2 * exact[tied] - whole[tied]
    rounded: NDArray[np.int_] = whole.astype(int)
    return rounded


# Repairs


def fill_holes(
    labels: Labels, ids: int | Sequence[int] | None = None, *, bounds: Bounds | None = None
) -> Edit:
    """Fill the gaps of background that lie within one nucleus.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
    ids : int or sequence of int, optional
        Default: all.
    bounds : (slice, slice), optional
        All of the nuclei lies in here.

    Returns
    -------
    Edit

    Raises
    ------
    LayoutError
        If a nucleus is not there.
    """
    if ids is None:
        return as_edit(labels, layout.fill_holes(labels))
    return together(
        labels, [_filled(labels, nucleus) for nucleus in find_nuclei(labels, ids, bounds)]
    )


def _filled(labels: Labels, nucleus: Nucleus) -> Edit:
    top, left = nucleus.corner
    window = labels[top : nucleus.rows.max() + 1, left : nucleus.cols.max() + 1]
    filled = layout.fill_holes(window)
    return as_edit(window, np.where(filled == nucleus.id, filled, window), nucleus.corner)


def remove_specks(labels: Labels, min_area_px: int, *, keep_cut: bool = False) -> Edit:
    """Clear the nuclei that have fewer than `min_area_px` pixels.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
    min_area_px : int
        Counted over all parts of a nucleus.
    keep_cut : bool
        Keep nuclei at the border, most of which may lie outside.

    Returns
    -------
    Edit
    """
    return as_edit(labels, layout.remove_specks(labels, min_area_px, keep_cut=keep_cut))


def smooth_outlines(
    labels: Labels,
    scale_px: float,
    ids: int | Sequence[int] | None = None,
    *,
    bounds: Bounds | None = None,
) -> Edit:
    """Smooth the outlines of nuclei and keep their areas.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
    scale_px : float
        Deviation of the Gaussian blur; 0 = nothing changes.
    ids : int or sequence of int, optional
        Default: all. Nuclei that are not named keep every pixel.
    bounds : (slice, slice), optional
        All of the nuclei lies in here.

    Returns
    -------
    Edit

    Raises
    ------
    LayoutError
        If a nucleus is not there.
    RequestError
        If the scale is not between 0 and 50 px.
    """
    if ids is None:
        return as_edit(labels, layout.smooth_outlines(labels, scale_px))
    require(0 <= scale_px <= 50, "scale_px", scale_px, "0 to 50")
    old = find_nuclei(labels, ids, bounds)
    return exchange(labels, old, [_smoothed(nucleus, scale_px) for nucleus in old])


def _smoothed(nucleus: Nucleus, scale_px: float) -> Nucleus:
    margin = math.ceil(3 * scale_px)
    mask = layout.smooth_mask(nucleus.mask(margin), scale_px)
    top, left = nucleus.corner
    return from_mask(nucleus.id, mask, (top - margin, left - margin))


def relabel_contiguous(labels: Labels) -> Edit:
    """Renumber the nuclei 1..N in the order of their ids.

    Parameters
    ----------
    labels : ndarray, (H, W), integer

    Returns
    -------
    Edit
    """
    return as_edit(labels, layout.relabel_contiguous(labels))


# Regions and the canvas


def scatter_in(
    labels: Labels,
    mask: Mask,
    *,
    density: float = 0.25,
    mean_area_px: float = 300.0,
    eccentricity: float = 0.6,
    min_gap_px: float = 1.0,
    spacing: str = "random",
    seed: int = 0,
) -> Edit:
    """Scatter nuclei in a region, clear of what is there; none reaches out of the region.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
    mask : ndarray, (H, W), bool
        The region.
    density : float
        Fraction of the region that is covered afterwards, by what is there too.
    mean_area_px, eccentricity, min_gap_px, spacing, seed
        As in `napari_nudiff.nuclei.layout.scatter_nuclei`. The gap is also kept to what is there.

    Returns
    -------
    Edit
        The new nuclei have the ids above the highest. Empty if the region is dense enough.

    Raises
    ------
    LayoutError
        If the region has another shape than the layout or no pixel, or the type has not enough
        ids left.
    RequestError
        If a value is out of its range.
    """
    require_layout(labels)
    _require_region(mask, labels.shape)
    require(0 <= density <= 1, "density", density, "a fraction from 0 to 1")
    window = widened(_bounds_of_mask(mask), 1, labels.shape)
    inside, there = mask[window], labels[window] > 0
    wanted_px = density * np.count_nonzero(inside) - np.count_nonzero(inside & there)
    drawn = layout.scatter_around(
        ~inside | _near(labels, window, min_gap_px),
        density=max(wanted_px, 0) / inside.size,
        mean_area_px=mean_area_px,
        eccentricity=eccentricity,
        min_gap_px=min_gap_px,
        spacing=spacing,
        seed=seed,
    )
    ids = np.array([0, *new_ids(labels, int(drawn.max()))], dtype=labels.dtype)
    after = np.where(drawn > 0, ids[drawn], labels[window])
    return as_edit(labels[window], after, (window[0].start, window[1].start))


def _require_region(mask: Mask, shape: tuple[int, ...]) -> None:
    if mask.shape != shape:
        raise LayoutError(
            f"This region has shape {mask.shape}, but the layout has {shape}. Nothing was changed; "
            "draw the region on the layout."
        )
    if not mask.any():
        raise LayoutError(
            "This region has no pixel on the canvas. Nothing was changed; draw a larger one."
        )


def _bounds_of_mask(mask: Mask) -> Bounds:
    rows, cols = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)


def _near(labels: Labels, window: Bounds, distance_px: float) -> Mask:
    """Pixels of a window that are nucleus, or no further from one than a distance."""
    margin = math.ceil(max(0.0, distance_px))
    wide = widened(window, margin, labels.shape)
    there = labels[wide] > 0
    if there.any():
        there = ndimage.distance_transform_edt(~there) <= distance_px
    rows, cols = (
        slice(w.start - v.start, w.stop - v.start) for w, v in zip(window, wide, strict=True)
    )
    near: Mask = there[rows, cols]
    return near


def extend_canvas(
    labels: Labels, top: int = 0, right: int = 0, bottom: int = 0, left: int = 0
) -> Labels:
    """Add background around a layout.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
    top, right, bottom, left : int
        Rows or columns to add on each side.

    Returns
    -------
    ndarray, (H + top + bottom, W + left + right), of the same type
        A new array: the shape of an array cannot change by an `Edit`.

    Raises
    ------
    RequestError
        If a number is below 0.
    """
    require_layout(labels)
    sides = {"top": top, "right": right, "bottom": bottom, "left": left}
    for name, size in sides.items():
        require(size >= 0, name, size, "0 or more")
    return np.pad(labels, ((top, bottom), (left, right)))
