"""Appearances: drawn from a model's bank, or taken from an image."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from napari_nudiff.checkpoints import load_model
from napari_nudiff.dataset.masks import resample_image
from napari_nudiff.diffusion.appearance import APPEARANCE_UM_PER_PX, appearance_of, drawn_code
from napari_nudiff.diffusion.weights import Model
from napari_nudiff.errors import RequestError
from napari_nudiff.nuclei.descriptors import UM_PER_PX
from napari_nudiff.synthesis.request import RenderRequest

Appearance = tuple[float, ...]


def drawn_appearance(model: Model, request: RenderRequest) -> Appearance:
    """The appearance of a request, drawn by its seed if it has none; () where there is no bank."""
    if request.appearance is not None:
        return request.appearance
    if model.bank is None:
        return ()
    return _rounded(drawn_code(model.bank, request.seed, request.appearance_spread))


def appearance_of_image(
    checkpoint: str, image: NDArray[np.uint8], um_per_px: float | None = None
) -> Appearance:
    """Appearance of an image, as a model sees it.

    Parameters
    ----------
    checkpoint : str
        Name of an image model.
    image : ndarray, (H, W, 3), uint8
        Any tissue; no labels are needed.
    um_per_px : float, optional
        Side of a pixel; None = 0.25.

    Returns
    -------
    tuple of float
        For `RenderRequest.appearance` with this model.

    Raises
    ------
    CheckpointError
        There is no such model.
    RequestError
        The model knows no appearances, or the image is too small.
    """
    return appearance_with(load_model(checkpoint), checkpoint, image, um_per_px)


def appearance_with(
    model: Model, name: str, image: NDArray[np.uint8], um_per_px: float | None
) -> Appearance:
    """`appearance_of_image` with a model that is loaded."""
    if not model.header.network.has("appearance"):
        raise RequestError(
            f"{name} takes no appearance. Choose a model that does (nudiff models list), or leave "
            "the reference out."
        )
    factor = (um_per_px or UM_PER_PX) / APPEARANCE_UM_PER_PX
    if min(image.shape[:2]) * min(factor, 1) < _LEAST_PX:
        raise RequestError(
            f"The reference image is {image.shape[0]} x {image.shape[1]} px; at least "
            f"{_LEAST_PX / min(factor, 1):.0f} px a side are needed to see its appearance."
        )
    if factor < 0.9:
        image = resample_image(image, factor)
    return _rounded(appearance_of(model.unet.appearance, image))


_LEAST_PX = 16


def _rounded(code: torch.Tensor) -> Appearance:
    """Few digits: the same numbers in a JSON file and in memory."""
    return tuple(round(float(value), 4) for value in code)
