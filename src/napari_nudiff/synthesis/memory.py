"""How much memory a render takes: a few numbers of each network; without torch.

The peak is the network's weights, what it computes with while it denoises one window, and the
scales and shifts of its SPADE norms, which are kept for the windows of a canvas (twice with
guidance). All but the weights grow with the number of pixels, so two numbers of bytes a pixel tell
all of it; `footprint.measure_footprint` counts them. Estimates of the compact networks lay between
1 % below and 13 % above what the resident memory grew by on a CPU (torch 2.13; 256 and 512 px in
one window, float32 and bf16, with and without guidance).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass

from napari_nudiff.checkpoints import Checkpoint
from napari_nudiff.checkpoints.cache import read_json, write_json
from napari_nudiff.errors import CheckpointError

_STORE = "footprints.json"
_OVERHEAD = 1.1  # what the allocator and the convolutions take beside the tensors
_CANVAS_BYTES_PER_PX = 64  # x, x0 and noise of a sampler, 3 channels of float32 each

WHOLE_CANVAS_PX = 512
"""Canvases up to this side are denoised in one piece."""
WINDOW_PX, OVERLAP_PX = 384, 128
"""Of the windows of larger ones."""
KEPT_CONDITIONINGS = 16
"""Up to so many windows, what depends on neither noise nor step is kept for each."""


@dataclass(frozen=True)
class Footprint:
    """What a network takes in float32; bf16 takes half of all but the weights.

    Attributes
    ----------
    weights_bytes : int
    active_bytes_per_px : float
        While it denoises a window, a pixel of the window.
    kept_bytes_per_px : float
        Scales and shifts of its SPADE norms, a pixel of a window and a branch of guidance.
    """

    weights_bytes: int
    active_bytes_per_px: float
    kept_bytes_per_px: float


# (active, kept) of the compact networks, and of the authors' at their published width of 256.
_USUAL = {
    ("image", "v"): (679.0, 515.0),
    ("structure", "v"): (264.0, 0.0),
    ("image", "eps"): (15_800.0, 31_100.0),
    ("structure", "eps"): (14_800.0, 0.0),
}


def footprint_of(checkpoint: Checkpoint) -> Footprint:
    """What is known of a checkpoint's network: measured once it was used, until then the usual."""
    with suppress(CheckpointError, TypeError):
        measured = read_json(_STORE, dict).get(checkpoint.sha256)
        if measured:
            return Footprint(**measured)
    kind = checkpoint.parametrisation or "v"
    active, kept = _USUAL[checkpoint.role, kind]
    stored_as_float16 = kind == "v"
    return Footprint(checkpoint.size_bytes * (1 + stored_as_float16), active, kept)


def is_measured(checkpoint: Checkpoint) -> bool:
    """Whether the numbers of `footprint_of` are those of this very network."""
    try:
        return checkpoint.sha256 in read_json(_STORE, dict)
    except CheckpointError:
        return False


def remember_footprint(checkpoint: Checkpoint, footprint: Footprint) -> None:
    """Keep what was measured, in the cache folder; where that fails, the usual numbers stay."""
    with suppress(CheckpointError):
        write_json(_STORE, read_json(_STORE, dict) | {checkpoint.sha256: asdict(footprint)})


def estimate_bytes(
    checkpoint: Checkpoint,
    height_px: int,
    width_px: int,
    *,
    guided: bool = True,
    bf16: bool = False,
    window_px: int | None = None,
) -> int:
    """Peak memory of the device during a render, weights included.

    Parameters
    ----------
    checkpoint : Checkpoint
    height_px, width_px : int
        Size of the canvas.
    guided : bool
        Whether guidance is on.
    bf16 : bool
        Whether the network computes in bf16.
    window_px : int, optional
        As in the request.
    """
    footprint = footprint_of(checkpoint)
    rows, tall = _windows_along(height_px, window_px)
    cols, wide = _windows_along(width_px, window_px)
    kept_windows = rows * cols if window_px is None and rows * cols <= KEPT_CONDITIONINGS else 1
    branches = 2 if guided else 1
    per_window = footprint.active_bytes_per_px + (
        kept_windows * branches * footprint.kept_bytes_per_px
    )
    computing = tall * wide * per_window * (0.5 if bf16 else 1.0)
    canvas = height_px * width_px * _CANVAS_BYTES_PER_PX
    return round((footprint.weights_bytes + computing + canvas) * _OVERHEAD)


def window_side_px(side_px: int, window_px: int | None = None) -> int:
    """Side of the windows that a side of a canvas is denoised in."""
    return _windows_along(side_px, window_px)[1]


def window_count(height_px: int, width_px: int, window_px: int | None = None) -> int:
    """How many windows a canvas is denoised in."""
    rows, _ = _windows_along(height_px, window_px)
    cols, _ = _windows_along(width_px, window_px)
    return rows * cols


def overlap_px(window_px: int, multiple_px: int = 1) -> int:
    """Overlap of windows of a chosen side: a third, and no holes after rounding."""
    return max(window_px // 3, multiple_px)


def _windows_along(side_px: int, window_px: int | None) -> tuple[int, int]:
    """How many windows there are along a side, and how long they are."""
    whole = WHOLE_CANVAS_PX if window_px is None else window_px
    if side_px <= whole:
        return 1, side_px
    window = WINDOW_PX if window_px is None else window_px
    overlap = OVERLAP_PX if window_px is None else overlap_px(window_px)
    return -(-(side_px - overlap) // (window - overlap)), window
