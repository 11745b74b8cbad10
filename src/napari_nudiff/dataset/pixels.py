"""Pixels of image files, as viewers show them: one place for modes, orientation and alpha.

What a file says of its pixels is honoured, or the file is refused by the name of what it says:
palettes, CMYK, white as 0, orientation, alpha, 16 bits, a second file. Every image and every label
image of the project is read here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageOps

from napari_nudiff.errors import DatasetError

TIFF_SUFFIXES = (".tif", ".tiff")

_ORIENTATION = 274
_ASSOCIATED_ALPHA = 1
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SHOWN_AS_RGB = {"CMYK", "YCbCr", "LAB", "HSV", "P", "PA"}


def read_image(path: Path) -> NDArray[Any]:
    """Read an image: RGB or RGBA where the file has colours in any mode.

    Returns
    -------
    ndarray, (H, W), (H, W, C) or (C, H, W)
        As deep as it is in the file; `napari_nudiff.dataset.masks.as_rgb` makes bytes of it.

    Raises
    ------
    DatasetError
        The file is damaged, or of a kind that is not read.
    """
    return _read(path, is_image=True)


def read_labels(path: Path) -> NDArray[Any]:
    """Read a label image: of a palette the indices, which are the ids.

    Returns
    -------
    ndarray
        `napari_nudiff.dataset.masks.number_nuclei` makes ids of it.

    Raises
    ------
    DatasetError
        The file is damaged, or of a kind that is not read.
    """
    return _read(path, is_image=False)


def _read(path: Path, *, is_image: bool) -> NDArray[Any]:
    path = Path(path)
    if not path.is_file():
        raise DatasetError(f"{path} does not exist or is no file. Check the path.")
    try:
        if path.suffix.lower() in TIFF_SUFFIXES:
            return _read_tiff(path, is_image)
        if path.suffix.lower() == ".npy":
            return np.asarray(np.load(path, allow_pickle=False))
        if (deep := _deep_png(path)) is not None:
            return deep
        with Image.open(path) as file:
            return _of_pillow(file, is_image)
    except DatasetError:
        raise
    except Image.DecompressionBombError as error:
        raise DatasetError(
            f"{path.name} is too large for a {path.suffix[1:].upper()} ({error}). Cut it into "
            "tiles, or save it as TIFF."
        ) from error
    except Exception as error:  # the readers raise many types for damaged files
        raise DatasetError(
            f"Cannot read {path.name}, which is damaged or of an unknown format: {error}"
        ) from error


def _of_pillow(file: Image.Image, is_image: bool) -> NDArray[Any]:
    upright = ImageOps.exif_transpose(file)
    has_colours = upright.mode in _SHOWN_AS_RGB
    if upright.mode == "P" and not is_image:
        indices = np.asarray(upright)
        has_colours = bool(indices.all())  # no index is background: a picture
        if not has_colours:
            return indices.copy()
    if has_colours:
        is_transparent = "transparency" in upright.info or upright.mode == "PA"
        upright = upright.convert("RGBA" if is_transparent else "RGB")
    return np.array(upright)  # a copy: what Pillow shares may not be written to


def _deep_png(path: Path) -> NDArray[Any] | None:
    """A colour PNG of 16 bits, of which Pillow would keep 8; None for all else."""
    with path.open("rb") as file:
        head = file.read(26)
        if not head.startswith(_PNG_SIGNATURE) or head[24] != 16 or head[25] not in (2, 6):
            return None
        return np.asarray(imagecodecs.png_decode(head + file.read()))


def _read_tiff(path: Path, is_image: bool) -> NDArray[Any]:
    with tifffile.TiffFile(path) as tiff:
        _require_own_pixels(tiff)
        page = tiff.pages.first
        pixels = _in_colours(np.asarray(tiff.asarray()), page, path, is_image)
        return _upright(pixels, _orientation_of(page))


def is_plain(path: Path) -> bool:
    """Whether the numbers of a TIFF are the labels as they are, so that parts can be read alone.

    Raises
    ------
    DatasetError
        The file is damaged, or its pixels are in another one.
    """
    try:
        with tifffile.TiffFile(path) as tiff:
            _require_own_pixels(tiff)
            page = tiff.pages.first
            is_inverted = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
            return _orientation_of(page) == 1 and not is_inverted
    except DatasetError:
        raise
    except Exception as error:  # tifffile raises many types for damaged files
        raise DatasetError(f"Cannot read {path} as labels: {error}") from error


def _require_own_pixels(tiff: tifffile.TiffFile) -> None:
    pages = (page for page in tiff.series[0].pages if page is not None)
    others = {str(page.parent.filename) for page in pages} - {tiff.filename}
    if others:
        raise DatasetError(
            f"{tiff.filename} takes its pixels from another file, {sorted(others)[0]}. Give that "
            "one, or write all into one file."
        )


def _orientation_of(page: tifffile.TiffPage) -> int:
    tag = page.tags.get(_ORIENTATION)
    return 1 if tag is None else int(tag.value)


def _in_colours(
    pixels: NDArray[Any], page: tifffile.TiffPage, path: Path, is_image: bool
) -> NDArray[Any]:
    """Pixels of a TIFF after what it says of their meaning."""
    kind = tifffile.PHOTOMETRIC
    meaning = kind(page.photometric)
    if meaning == kind.PALETTE and is_image and page.colormap is not None:
        return np.asarray(np.moveaxis(page.colormap, 0, -1)[pixels])
    if meaning == kind.MINISWHITE and pixels.dtype.kind in "bu":
        return ~pixels if pixels.dtype == np.bool_ else np.iinfo(pixels.dtype).max - pixels
    if meaning == kind.SEPARATED and pixels.dtype == np.uint8 and pixels.shape[-1] == 4:
        return np.asarray(Image.fromarray(pixels, "CMYK").convert("RGB"))
    # JPEG is decoded to RGB; YCbCr without it is not.
    is_decoded = meaning == kind.YCBCR and page.compression in _JPEGS
    if meaning in (kind.SEPARATED, kind.CIELAB, kind.ICCLAB, kind.ITULAB, kind.YCBCR) and (
        not is_decoded
    ):
        raise DatasetError(
            f"{path.name} is a TIFF in {meaning.name}, which is not read. Convert it to RGB."
        )
    if is_image and page.extrasamples[:1] == (_ASSOCIATED_ALPHA,) and pixels.shape[-1] == 4:
        return _unmultiplied(pixels)
    return pixels


_JPEGS = {
    tifffile.COMPRESSION.JPEG,
    tifffile.COMPRESSION.OJPEG,
    tifffile.COMPRESSION.APERIO_JP2000_YCBC,
}


def _unmultiplied(pixels: NDArray[Any]) -> NDArray[Any]:
    """Colours that were multiplied by their alpha, as they were before."""
    alpha = pixels[..., 3:].astype(np.float64) / np.iinfo(pixels.dtype).max
    colours = pixels[..., :3] / np.maximum(alpha, 1e-6)
    colours = np.clip(np.rint(colours), 0, np.iinfo(pixels.dtype).max)
    return np.concatenate([colours.astype(pixels.dtype), pixels[..., 3:]], axis=-1)


def _upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Rows and columns as they are to be shown, from the TIFF tag: 1 = as they are."""
    if orientation == 1 or pixels.ndim not in (2, 3):
        return pixels
    planes_first = pixels.ndim == 3 and pixels.shape[2] > 4 >= pixels.shape[0]
    axes = (1, 2) if planes_first else (0, 1)
    if orientation in (5, 6, 7, 8):
        pixels = np.swapaxes(pixels, *axes)
    flipped = {2: (1,), 3: (0, 1), 4: (0,), 6: (1,), 7: (0, 1), 8: (0,)}.get(orientation, ())
    return np.ascontiguousarray(np.flip(pixels, tuple(axes[i] for i in flipped)))
