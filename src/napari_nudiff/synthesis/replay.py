"""Everything stored beside a sample makes the sample again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.dataset.pair import Pair, pixels_sha256
from napari_nudiff.dataset.sample import SCHEMA, pack_layout, unpack_layout
from napari_nudiff.errors import RequestError
from napari_nudiff.synthesis.local import (
    Image,
    Labels,
    Sides,
    mirrored,
    rerender,
    sampled_inside,
)
from napari_nudiff.synthesis.pipeline import render, sample_layout
from napari_nudiff.synthesis.request import (
    EditRequest,
    LayoutRequest,
    RenderRequest,
    stored_request,
)
from napari_nudiff.work import Work

Provenance = dict[str, Any]


def request_of(provenance: Provenance, image: Image | None = None) -> Work[Pair]:
    """The job that makes a stored sample again.

    Parameters
    ----------
    provenance : dict
        As stored beside a sample, by `Pair.provenance`.
    image : ndarray, (H, W, 3), uint8, optional
        The image that was edited. Needed if it was not made here; otherwise it is made again.

    Raises
    ------
    RequestError
        It was written by a newer version, is of an unknown kind, or of another image.
    """
    if provenance.get("schema") not in range(1, SCHEMA + 1):
        raise RequestError(
            f"The request has schema {provenance.get('schema')!r}; this version reads 1 to "
            f"{SCHEMA}. Update napari-nudiff."
        )
    kind = str(provenance.get("kind"))
    if kind not in _JOBS:
        raise RequestError(f"The request is of the unknown kind {provenance.get('kind')!r}.")
    missing = [key for key in _NEEDS[kind] if key not in provenance]
    if missing:
        raise RequestError(f"The stored {kind} is incomplete: {', '.join(missing)} is missing.")
    return _JOBS[kind](provenance, image)


def _layout(provenance: Provenance, image: Image | None) -> Work[Pair]:
    return sample_layout(stored_request(LayoutRequest, provenance))


def _layout_inside(provenance: Provenance, image: Image | None) -> Work[Pair]:
    labels = unpack_layout(provenance["layout_before"])
    mask = unpack_layout(provenance["region"]) > 0
    request = stored_request(LayoutRequest, provenance)
    return sampled_inside(labels, mask, request, provenance["growing"])


def _render(provenance: Provenance, image: Image | None) -> Work[Pair]:
    request = stored_request(RenderRequest, provenance)
    if "data" not in provenance["layout"] and "path" in provenance["layout"]:
        raise RequestError(
            "The layout of this large render lies in its .zarr, not in the request. Render it "
            "again from there: nudiff render --request X.zarr."
        )
    return render(unpack_layout(provenance.get("layout", {})), request)


def _edit(provenance: Provenance, image: Image | None) -> Work[Pair]:
    after, region = unpack_layout(provenance["layout"]), provenance["region"]
    before = _with_difference(after, provenance["before"])
    sides = Sides(*provenance.get("sides", ()))
    if image is None:
        image = yield from _edited_image(provenance["parent"], before, sides)
    wide = mirrored(image, sides)
    if pixels_sha256(wide) != provenance["image_sha256"]:
        raise RequestError(
            "This is not the image that was edited: its fingerprint differs. Look for the one with "
            f"sha256 {provenance['image_sha256'][:12]}..."
        )
    sample = yield from rerender(
        wide,
        before,
        after,
        stored_request(EditRequest, provenance),
        region=None if region is None else unpack_layout(region) > 0,
        parent=provenance["parent"],
    )
    extended = {"sides": list(sides)} if any(sides) else {}
    return replace(sample, provenance=sample.provenance | extended)


def _edited_image(parent: Provenance | None, before: Labels, sides: Sides) -> Work[Image]:
    """Make the edited image again, if it was made here."""
    if not (parent or {}).get("synthetic"):
        raise RequestError("An edit is made again from the image that was edited. Give it too.")
    assert parent is not None
    height, width = before.shape
    old = before[sides.top : height - sides.bottom, sides.left : width - sides.right]
    made = yield from request_of({"layout": pack_layout(old)} | parent)
    assert made.image is not None, "only images have edits"
    return made.image


_JOBS: dict[str, Callable[[Provenance, Image | None], Work[Pair]]] = {
    "layout": _layout,
    "layout_inside": _layout_inside,
    "render": _render,
    "edit": _edit,
}
_NEEDS = {
    "layout": ("request",),
    "layout_inside": ("request", "layout_before", "region", "growing"),
    "render": ("request", "layout"),
    "edit": ("request", "layout", "before", "region", "image_sha256", "parent"),
}


def _with_difference(after: Labels, packed: dict[str, Any] | None) -> NDArray[np.int32]:
    """The layout before an edit, from that after it and the part that differs."""
    before = after.copy()
    if packed is not None:
        part, top, left = unpack_layout(packed["layout"]), packed["top"], packed["left"]
        before[top : top + part.shape[0], left : left + part.shape[1]] = part
    return before
