"""Local edits: render again what changed, sample nuclei in a region, extend the canvas."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_nudiff.dataset.pair import Layout, Pair, pixels_sha256
from napari_nudiff.dataset.sample import pack_layout
from napari_nudiff.diffusion.denoiser import Conditioning, Guided, to_signed
from napari_nudiff.diffusion.weights import Model
from napari_nudiff.errors import LayoutError, RequestError
from napari_nudiff.nuclei.descriptors import stain_style
from napari_nudiff.nuclei.editing import extend_canvas
from napari_nudiff.nuclei.layout import (
    relabel_contiguous,
    remove_specks,
    smooth_outlines,
    split_disconnected,
)
from napari_nudiff.nuclei.structure import encode_structure
from napari_nudiff.synthesis.appearance import appearance_with
from napari_nudiff.synthesis.masked import Picture, step_count
from napari_nudiff.synthesis.pipeline import (
    CanvasRun,
    Estimates,
    checked_layout,
    decoded,
    image_conditions,
    image_of,
    layout_conditions,
    prepared,
    provenance_of,
    render_conditioning,
    structure_preview,
)
from napari_nudiff.synthesis.region import (
    Mask,
    Patch,
    Region,
    bounds_of,
    changed_nuclei,
    pixels_of,
    region_around,
)
from napari_nudiff.synthesis.request import EditRequest, LayoutRequest
from napari_nudiff.synthesis.stain import UNCHANGED, StainMap
from napari_nudiff.work import Progress, Work

Image = NDArray[np.uint8]  # (H, W, 3)
Labels = NDArray[np.int32]  # (H, W)

_LOOK_AROUND_PX = 192
_LAYOUT_CONTEXT_PX = 48  # two nuclei deep
_OVERHANG_PX = 12  # nuclei with their centre in a region may reach out of it this far


class Sides(NamedTuple):
    """Pixels to add to a canvas on each side."""

    top: int = 0
    right: int = 0
    bottom: int = 0
    left: int = 0


# Images


def rerender(
    image: Image,
    before: NDArray[np.integer],
    after: NDArray[np.integer],
    request: EditRequest,
    *,
    region: Mask | None = None,
    parent: dict[str, Any] | None = None,
) -> Work[Pair]:
    """Render the changed nuclei of an image and their surroundings again, and nothing else.

    Parameters
    ----------
    image : ndarray, (H, W, 3), uint8
        A render, or a real image.
    before, after : ndarray, (H, W), integer
        Its layout, and the layout to render; each side at least 64 px.
    request : EditRequest
    region : ndarray, (H, W), bool, optional
        Pixels to render again even where the layout is as it was.
    parent : dict, optional
        Provenance of the image.

    Yields
    ------
    Progress
        After each step; the preview is the whole image.

    Returns
    -------
    Pair
        Outside the region (see `changed_region`) its image is the given one, bit for bit. From its
        provenance `replay.request_of` makes it again: if the given image was not made here, from
        that image too.

    Raises
    ------
    LayoutError, RequestError, CheckpointError
    """
    before, after = checked_layout(before), checked_layout(after)
    changed = changed_nuclei(before, after)
    image = _checked_image(image, after.shape)
    if region is not None:
        changed |= _checked_mask(region, after.shape)
    around = region_around(changed, request.margin_px, request.blend_px)
    yield Progress("load", 0, 0 if around.is_empty else request.steps)
    checkpoint, model, request = prepared(request, "image")
    if request.appearance is None:
        request = replace(
            request, appearance=_appearance_around(image, around, model, request, parent)
        )
    provenance = {
        **provenance_of("edit", request, checkpoint, after),
        "before": _packed_difference(before, after),
        "region": None if region is None else pack_layout(region.astype(np.int32)),
        "image_sha256": pixels_sha256(image),
        "parent": _without_layout(parent, before),
    }
    if not (parent or {}).get("synthetic"):
        provenance["digital_source_type"] = "compositeWithTrainedAlgorithmicMedia"
    edited = yield from _rerendered(image, after, around, model, request)
    return Pair(Layout(after), edited, provenance=provenance)


def extend_image(
    image: Image,
    before: NDArray[np.integer],
    after: NDArray[np.integer],
    sides: Sides,
    request: EditRequest,
    *,
    parent: dict[str, Any] | None = None,
) -> Work[Pair]:
    """Render what an extended layout adds to an image.

    Parameters
    ----------
    image : ndarray, (H, W, 3), uint8
    before : ndarray, (H, W), integer
        Its layout.
    after : ndarray, (H + top + bottom, W + left + right), integer
        The layout of the larger canvas, as `extend_layout` makes it.
    sides : Sides
    request : EditRequest
    parent : dict, optional
        Provenance of the image.

    Yields
    ------
    Progress

    Returns
    -------
    Pair
        As from `rerender`: of the given image only what lies within the request's margin of the
        new part, or of a nucleus that grew, is rendered again.

    Raises
    ------
    LayoutError, RequestError, CheckpointError
    """
    image = _checked_image(image, before.shape)
    wide, old = mirrored(image, sides), extend_canvas(before, *sides)
    new_part = _new_part(old.shape, sides)
    parent = _without_layout(parent, before)
    sample = yield from rerender(wide, old, after, request, region=new_part, parent=parent)
    return replace(sample, provenance={**sample.provenance, "sides": list(sides)})


def _rerendered(
    image: Image, labels: Labels, region: Region, model: Model, request: EditRequest
) -> Work[Image]:
    """The image with its patches rendered one after another; each sees those before it."""
    edited = image.copy()  # never written to: a preview may be looked at later
    patches = region.patches(model.header.network.multiple_px)
    steps = step_count(request.steps, request.strength)
    for number, patch in enumerate(patches):
        stain = _stain_of(image[patch.at], request, model)
        for step, x0 in _painted_image(edited[patch.at], labels, patch, model, request, stain):
            preview = partial(_with_patch, edited, patch, x0, stain)
            yield Progress("render", number * steps + step + 1, len(patches) * steps, preview)
        edited = _with_patch(edited, patch, x0, stain)
    return edited


def _with_patch(image: Image, patch: Patch, x0: Tensor, stain: StainMap) -> Image:
    """A copy of an image with what was painted in a patch of it."""
    painted, edited = image_of(x0, stain), image.copy()
    edited[patch.at] = np.where(patch.weight[..., None] > 0, painted, image[patch.at])
    return edited


def _painted_image(
    known: Image,
    labels: Labels,
    patch: Patch,
    model: Model,
    request: EditRequest,
    stain: StainMap,
) -> Estimates:
    canvas = CanvasRun(model, request, patch.weight.shape)
    structure = canvas.padded(_structure(labels, patch))
    globals_ = image_conditions(model, request, stain.style)
    guided = Guided(canvas.denoiser, request.guidance, request.guidance_interval)
    condition = render_conditioning(canvas.denoiser, structure, request, globals_)
    shown = stain.carry(_to_signed_image(known))
    picture = Picture(shown, _weight(patch), request.strength)
    return picture.painted(canvas, guided, condition, patch.window)


def _stain_of(image: Image, request: EditRequest, model: Model) -> StainMap:
    """The stain of an image, as far as the model knows it, and the way there and back.

    A request that sets the look itself is left as it is.
    """
    if request.style is not None:
        return replace(UNCHANGED, style=request.style)
    if not model.header.network.has("style"):
        return UNCHANGED
    style = tuple(float(value) for value in stain_style(image))
    return StainMap.into_range(style, request.stain_range)


def _appearance_around(
    image: Image,
    region: Region,
    model: Model,
    request: EditRequest,
    parent: dict[str, Any] | None,
) -> tuple[float, ...]:
    """Appearance of the tissue that an edit lies in: what it was rendered with, or what is seen."""
    if not model.header.network.has("appearance"):
        return ()
    before = (parent or {}).get("request", {})
    if before.get("checkpoint_sha256") == request.checkpoint_sha256 and "appearance" in before:
        return tuple(before["appearance"])
    if region.is_empty:
        return ()
    rows, cols = (
        slice(max(part.start - _LOOK_AROUND_PX, 0), part.stop + _LOOK_AROUND_PX)
        for part in bounds_of(region.mask)
    )
    return appearance_with(model, request.checkpoint, image[rows, cols], request.um_per_px)


def _structure(labels: Labels, patch: Patch) -> Tensor:
    """Structure of a window, (1, 3, h, w); nuclei that its edge cuts are encoded whole."""
    whole = np.isin(labels, np.unique(labels[patch.at])) & (labels > 0)
    whole[patch.at] = True
    bounds = bounds_of(whole)
    structure = encode_structure(np.where(whole[bounds], labels[bounds], 0))
    rows, cols = (
        slice(inner.start - outer.start, inner.stop - outer.start)
        for inner, outer in zip(patch.at, bounds, strict=True)
    )
    return torch.from_numpy(structure[None, :, rows, cols].copy())


def _weight(patch: Patch) -> Tensor:
    return torch.from_numpy(patch.weight)[None, None]


def _to_signed_image(image: Image) -> Tensor:
    """(H, W, 3) uint8 as the core's (1, 3, H, W) on -1..1."""
    return torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float32)) / 127.5 - 1


# Layouts


def sample_layout_inside(
    labels: NDArray[np.integer], mask: Mask, request: LayoutRequest
) -> Work[Pair]:
    """Sample nuclei in a region of a layout, in keeping with those around it.

    A nucleus belongs to the region if its centre does: those that are there now are replaced, with
    what of them reaches out, and the new ones may reach out a little. All others stay.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
        Each side at least 64 px.
    mask : ndarray, (H, W), bool
        The region.
    request : LayoutRequest
        Its size is not used: that of the layout is. A density of None is that of the surroundings.

    Yields
    ------
    Progress
        After each step.

    Returns
    -------
    Pair
        Without an image. New nuclei have the ids above the highest; the others keep every pixel.
        From its provenance `replay.request_of` makes it again.

    Raises
    ------
    LayoutError, RequestError, CheckpointError
    """
    labels = checked_layout(labels)
    mask = _checked_mask(mask, labels.shape)
    return (yield from sampled_inside(labels, mask, request, []))


def extend_layout(labels: NDArray[np.integer], sides: Sides, request: LayoutRequest) -> Work[Pair]:
    """Extend the canvas of a layout and sample nuclei in the new part.

    Nuclei that the old border cut may grow into the new part; all others stay as they are.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
    sides : Sides
    request : LayoutRequest
        Its size is not used.

    Yields
    ------
    Progress

    Returns
    -------
    Pair
        As from `sample_layout_inside`, (H + top + bottom, W + left + right).

    Raises
    ------
    LayoutError, RequestError, CheckpointError
    """
    wide = checked_layout(extend_canvas(labels, *sides))
    new_part = _new_part(wide.shape, sides)
    edges = zip((labels[0], labels[:, -1], labels[-1], labels[:, 0]), sides, strict=True)
    cut = {int(nucleus) for edge, added_px in edges if added_px for nucleus in edge}
    return (yield from sampled_inside(wide, new_part, request, sorted(cut - {0})))


def sampled_inside(
    labels: Labels, mask: Mask, request: LayoutRequest, growing: list[int]
) -> Work[Pair]:
    """As `sample_layout_inside`; the nuclei ``growing`` may grow into the region."""
    if labels.max(initial=0) > np.iinfo(np.int32).max - labels.size:
        raise LayoutError(
            f"The highest id of the layout is {labels.max()}, which leaves no room for new nuclei. "
            "Nothing was changed; relabel the layout from 1."
        )
    height_px, width_px = labels.shape
    request = replace(request, height_px=height_px, width_px=width_px)
    yield Progress("load", 0, request.steps if mask.any() else 0)
    checkpoint, model, request = prepared(request, "structure")
    drawn = yield from _Redrawing(labels, mask, growing, model, request).run()
    provenance = {
        **provenance_of("layout_inside", request, checkpoint, drawn),
        "layout_before": pack_layout(labels),
        "region": pack_layout(mask.astype(np.int32)),
        "growing": growing,
    }
    return Pair(Layout(drawn), provenance=provenance)


class _Redrawing:
    """The nuclei of a region, drawn anew in one part of it after another."""

    def __init__(
        self,
        labels: Labels,
        mask: Mask,
        growing: list[int],
        model: Model,
        request: LayoutRequest,
    ) -> None:
        self.mask, self.growing, self.model, self.request = mask, growing, model, request
        replaced = np.isin(labels, _centred_in(mask, labels))
        self.highest = int(labels.max(initial=0))
        self.labels = np.where(replaced, np.int32(0), labels)
        self.free = (region_around(mask, _OVERHANG_PX, 0).mask | replaced) & (self.labels == 0)

    def run(self) -> Work[Labels]:
        """Yield progress, return the layout."""
        region = Region(self.free.astype(np.float32))
        patches = region.patches(self.model.header.network.multiple_px, _LAYOUT_CONTEXT_PX)
        steps = self.request.steps
        for number, patch in enumerate(patches):
            for step, x0 in self._painted(patch):
                preview = partial(self._preview, patch, x0)
                yield Progress("sample", number * steps + step + 1, len(patches) * steps, preview)
            self._add(patch, decoded(x0, self.model))
        return self.labels

    def _painted(self, patch: Patch) -> Estimates:
        canvas = CanvasRun(self.model, self.request, patch.weight.shape)
        globals_ = layout_conditions(self.model, self._as_dense_as_around(patch))
        # A nucleus that may grow stays nucleus, but where its centre lies is open.
        grows = torch.from_numpy(np.isin(self.labels[patch.at], self.growing))
        open_maps = grows & torch.tensor([False, True, True])[:, None, None]
        weight = torch.maximum(_weight(patch), open_maps.float())
        picture = Picture(to_signed(_structure(self.labels, patch)), weight)
        condition = Conditioning(globals_=globals_)
        return picture.painted(canvas, canvas.denoiser, lambda _: condition, patch.window)

    def _as_dense_as_around(self, patch: Patch) -> LayoutRequest:
        """The request, told of the nuclei that are there unless it says itself what shall come."""
        there, known = self.labels[patch.at], patch.weight == 0
        _, areas = np.unique(there[there > 0], return_counts=True)
        takes_density = self.model.header.network.has("density")
        if self.request.density is not None or not takes_density or not len(areas):
            return self.request
        density = min(areas.sum() / max(np.count_nonzero(known), 1), 0.9)
        return replace(
            self.request, density=float(density), mean_area_px=min(float(areas.mean()), 10_000.0)
        )

    def _preview(self, patch: Patch, structure: Tensor) -> Image:
        preview = np.where(self.labels[..., None] > 0, np.uint8(255), np.zeros(3, np.uint8))
        preview[patch.at] = structure_preview(structure)
        return preview

    def _add(self, patch: Patch, drawn: Labels) -> None:
        """Put what was drawn in a window into the layout, around what is there."""
        there, free = self.labels[patch.at], patch.weight > 0
        owner = _owners(drawn, there, self.growing)
        # The outline of a nucleus that grows stays as it is where there was a canvas before.
        room = free & self.mask[patch.at]
        grows = np.isin(owner, self.growing) & room
        grown = np.where(np.isin(there, self.growing), there, np.where(grows, owner, 0))
        _fill(there, np.where(room, smooth_outlines(grown, self.request.smoothing_px), 0))
        new = np.where((owner == 0) & free, drawn, 0)
        new = np.where(np.isin(new, _centred_in(self.mask[patch.at], new)), new, 0)
        new = relabel_contiguous(self._tidied(new, there == 0))
        _fill(there, np.where(new > 0, new + self.highest, 0))
        self.highest += int(new.max())

    def _tidied(self, new: NDArray[np.integer], room: Mask) -> NDArray[np.integer]:
        """Nuclei with smooth outlines and without fragments, where there is room."""
        smooth = np.where(room, smooth_outlines(new, self.request.smoothing_px), 0)
        parts, whole_px = split_disconnected(smooth), self.request.min_nucleus_px
        return remove_specks(remove_specks(parts, whole_px, keep_cut=True), whole_px // 3)


def _fill(there: Labels, nuclei: NDArray[np.integer]) -> None:
    there[...] = np.where(there == 0, nuclei, there)


def _centred_in(mask: Mask, labels: NDArray[np.integer]) -> NDArray[np.integer]:
    """Ids of the nuclei that have their centre, and some pixel, in a mask."""
    rows, cols = np.nonzero(pixels_of(labels, mask))
    ids, nucleus, area = np.unique(labels[rows, cols], return_inverse=True, return_counts=True)
    row, col = (
        np.rint(np.bincount(nucleus, at, len(ids)) / area).astype(int) for at in (rows, cols)
    )
    centred: NDArray[np.integer] = ids[mask[row, col]]
    return centred


def _owners(drawn: Labels, there: Labels, growing: list[int]) -> Labels:
    """Of each pixel's drawn nucleus, the nucleus that was there before: most of it, or 0.

    A nucleus that may grow owns what was drawn over most of it, however much larger that is.
    """
    both = (drawn > 0) & (there > 0)
    pairs, shared = np.unique(np.stack([drawn[both], there[both]]), axis=1, return_counts=True)
    owner = np.zeros(drawn.max() + 1, dtype=np.int32)
    for (nucleus, old), shared_px in zip(pairs.T, shared, strict=True):
        area_px = np.count_nonzero(drawn == nucleus)
        if old in growing:
            area_px = min(area_px, np.count_nonzero(there == old))
        if 2 * shared_px > area_px:
            owner[nucleus] = old
    return owner[drawn]


def _packed_difference(before: Labels, after: Labels) -> dict[str, Any] | None:
    """The part of a layout where another differs: to pack all of a large one takes seconds."""
    differs = before != after
    if not differs.any():
        return None
    rows, cols = bounds_of(differs)
    return {"top": rows.start, "left": cols.start, "layout": pack_layout(before[rows, cols])}


def _without_layout(
    parent: dict[str, Any] | None, before: NDArray[np.integer]
) -> dict[str, Any] | None:
    """An image's provenance without its layout where that can be had from the edit.

    Else a chain of edits would hold a whole layout for each of them.
    """
    if parent is None or Layout(before).sha256() != parent.get("layout_sha256"):
        return parent
    return {key: value for key, value in parent.items() if key != "layout"}


def _new_part(shape: tuple[int, ...], sides: Sides) -> Mask:
    """What is new of a canvas that was extended to this shape."""
    new = np.ones(shape, dtype=np.bool_)
    new[sides.top : shape[0] - sides.bottom, sides.left : shape[1] - sides.right] = False
    return new


def mirrored(image: Image, sides: Sides) -> Image:
    """An image on an extended canvas: a stand-in that has its colours."""
    top, right, bottom, left = sides
    return np.pad(image, ((top, bottom), (left, right), (0, 0)), mode="symmetric")


def _checked_image(image: Image, shape: tuple[int, ...]) -> Image:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise RequestError(
            f"The image is {image.dtype} of shape {image.shape}; an 8-bit RGB image, uint8 of "
            "shape (height, width, 3), is needed. Nothing was changed; convert it and try again."
        )
    if image.shape[:2] != shape:
        raise RequestError(
            f"The image has {image.shape[0]} x {image.shape[1]} px, its layout {shape[0]} x "
            f"{shape[1]}. Nothing was changed; choose the layout that belongs to the image."
        )
    return image


def _checked_mask(mask: Mask, shape: tuple[int, ...]) -> Mask:
    if mask.dtype != np.bool_ or mask.shape != shape:
        raise RequestError(
            f"The region is {mask.dtype} of shape {mask.shape}; a mask (bool) of shape {shape} is "
            "needed. Nothing was changed; draw the region on the layout."
        )
    return mask
