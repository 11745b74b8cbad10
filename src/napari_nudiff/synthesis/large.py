"""Canvases of any size: rendered by bands, in memory that grows with their width only.

What comes out is what `pipeline.render` makes in memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from napari_nudiff.dataset.pyramid import (
    LayoutArray,
    Pyramid,
    PyramidWriter,
    bands_over,
    open_pyramid,
)
from napari_nudiff.diffusion.samplers import RULES
from napari_nudiff.errors import RequestError
from napari_nudiff.nuclei.structure import validate_layout
from napari_nudiff.synthesis.banded import BandedRun
from napari_nudiff.synthesis.layout import LayoutScan, WindowedLayout
from napari_nudiff.synthesis.pipeline import (
    CanvasRun,
    image_conditions,
    origin_of,
    prepared,
    require_sides,
)
from napari_nudiff.synthesis.request import RenderRequest, stored_request
from napari_nudiff.synthesis.stain import StainMap
from napari_nudiff.synthesis.store import SamplerState, staged_folder
from napari_nudiff.work import Progress, Work

LARGE_PX = 2048 * 2048
"""Layouts of a larger area are rendered here, smaller ones in memory."""


def is_large(shape: tuple[int, ...]) -> bool:
    """Whether a layout (H, W) should be rendered by `render_large` and not in memory."""
    return shape[0] * shape[1] > LARGE_PX


def render_large(labels: LayoutArray, request: RenderRequest, out: Path) -> Work[Pyramid]:
    """Render an image of any size into a multiscale OME-Zarr.

    Memory grows with the width of the canvas, not with its area. The image is the one that
    `render` makes from the same request.

    Parameters
    ----------
    labels : array-like, (H, W), integer
        Instance labels: an array, a memory map or a zarr array. It is read once, by bands, before
        the first step; what becomes of it later does not matter. Nuclei may be up to 1024 px long.
    request : RenderRequest
        Any sampler but Heun's.
    out : Path
        Folder to make, by convention called ``*.zarr``. Until it is complete all lies in
        ``<out>.unfinished-...`` beside it, which goes away when the job ends, fails or is closed.

    Yields
    ------
    Progress
        After each window, of all windows of all steps; a preview, not larger than 1024 px, with
        the last window of each step.

    Returns
    -------
    Pyramid
        Image, labels and provenance, opened from ``out``.

    Raises
    ------
    LayoutError, RequestError, CheckpointError
        As `render`.
    DatasetError
        ``out`` is there already, or there is too little room on its disk.
    """
    out = Path(out)
    _require_usable(labels, request)
    yield Progress("load", 0, 0)
    checkpoint, model, request = prepared(request, "image")
    canvas = CanvasRun(model, request, labels.shape)
    stain = StainMap.into_range(request.style, request.stain_range)
    globals_ = image_conditions(model, request, stain.style)
    with staged_folder(out, _needed_bytes(canvas)) as folder:
        writer = PyramidWriter(folder / out.name, canvas.size, request.um_per_px)
        scan = LayoutScan(canvas.size)
        yield from _copied(labels, scan, writer)
        layout = WindowedLayout(writer.labels, scan.boxes())
        with SamplerState(folder, canvas.full, canvas.channels) as state:
            run = BandedRun(canvas, layout, state, globals_, stain)
            yield from run.start()
            yield from run.steps()
            yield from _finishing(run, _written(run, writer))
        yield from _finishing(run, writer.write_levels())
        origin = origin_of("render", request, checkpoint, scan.sha256())
        writer.finish(origin | {"layout": scan.stored()})
    return open_pyramid(out)


def rerender_large(stored: Path, out: Path) -> Work[Pyramid]:
    """Render again what `render_large` made, from the labels and the provenance stored in it.

    Parameters
    ----------
    stored : Path
        The OME-Zarr of a render.
    out : Path
        As for `render_large`.

    Yields
    ------
    Progress

    Returns
    -------
    Pyramid

    Raises
    ------
    NudiffError
        As `render_large`.
    DatasetError
        ``stored`` is no large render.
    RequestError
        Its labels are not those that it was rendered from.
    """
    pyramid = open_pyramid(stored)
    labels = pyramid.labels[0]
    scan = LayoutScan(labels.shape)
    for rows in bands_over(labels.shape[0]):
        scan.add(np.asarray(labels[rows]))
        yield Progress("load", 0, 0)
    if scan.sha256() != pyramid.provenance["layout_sha256"]:
        raise RequestError(
            f"The labels in {stored} are not those that its image was rendered from: their "
            "fingerprint differs. Nothing was rendered. To render them as they are now, give them "
            "as a layout."
        )
    request = stored_request(RenderRequest, pyramid.provenance)
    return (yield from render_large(labels, request, out))


def _require_usable(labels: LayoutArray, request: RenderRequest) -> None:
    """Refuse what can be refused without reading the layout."""
    validate_layout(np.asarray(labels[:1]))
    require_sides(labels.shape)
    if request.sampler not in RULES:
        raise RequestError(
            f"sampler is {request.sampler!r}; expected one of {', '.join(RULES)} on a large "
            "canvas: Heun's method goes over the canvas twice a step, which is not done there. "
            "Nothing was rendered; choose dpmpp_2m."
        )


def _needed_bytes(canvas: CanvasRun) -> int:
    """Disk that a render takes at most: x and x0, then image and labels with all their levels."""
    state = 2 * 4 * canvas.channels * math.prod(canvas.full)
    return state + (3 + 4) * math.prod(canvas.size) * 4 // 3


def _copied(labels: LayoutArray, scan: LayoutScan, writer: PyramidWriter) -> Work[None]:
    """Look through a layout and write it, band by band."""
    for rows in bands_over(labels.shape[0]):
        writer.write_labels(rows.start, scan.add(np.asarray(labels[rows])))
        yield Progress("load", 0, 0)


def _finishing(run: BandedRun, bands: Iterator[None]) -> Work[None]:
    """Write bands; all windows are done."""
    for _ in bands:
        yield Progress("render", run.total, run.total)


def _written(run: BandedRun, writer: PyramidWriter) -> Iterator[None]:
    """Write the image, by whole rows of chunks."""
    for rows in bands_over(writer.labels.shape[0]):
        writer.write_image(rows.start, run.pixels(rows))
        yield
