"""Arrays as labs store them, made into RGB images and numbered nuclei."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label
from skimage.transform import resize

from napari_nudiff.errors import DatasetError

_COLOUR_CHANNELS = (3, 4)


def as_rgb(image: NDArray[Any]) -> tuple[NDArray[np.uint8], list[str]]:
    """An image as (H, W, 3) uint8, and what had to be done for it.

    Planes that come first are moved last, what is transparent is laid on white, 16 bits become 8
    (of fewer that are used, all), and floats are taken where they are on 0..255.

    Raises
    ------
    DatasetError
        It is no colour image.
    """
    notes = []
    if image.ndim == 3 and image.shape[0] in _COLOUR_CHANNELS and image.shape[2] > 4:
        image = np.moveaxis(image, 0, -1)
    if image.ndim != 3 or image.shape[2] not in _COLOUR_CHANNELS or 0 in image.shape:
        raise DatasetError(
            f"The image has shape {image.shape}; an RGB image (height, width, 3) is needed."
        )
    if image.dtype == np.uint16:
        image, note = _from_16_bits(image)
        notes.append(note)
    elif image.dtype != np.uint8:
        image = _bytes(image)
    if image.shape[2] == 4:
        alpha = image[..., 3:].astype(np.uint16)
        image = image[..., :3]
        if alpha.min() < 255:
            notes.append("transparent pixels were laid on white")
            image = (image * alpha + 255 * (255 - alpha) + 127) // 255
    return np.ascontiguousarray(image, dtype=np.uint8), notes


def number_nuclei(labels: NDArray[Any]) -> tuple[NDArray[np.int64], list[str]]:
    """Ids of nuclei from whatever a label file holds, and how it was understood.

    Whole numbers are ids, in floats too. A mask of one value is a binary mask: its connected parts
    become nuclei. In a colour image every colour is a nucleus.

    Returns
    -------
    ids : ndarray, (H, W), int64
        0 = background.
    notes : list of str

    Raises
    ------
    DatasetError
        There are fractions, negative numbers, or more than one plane.
    """
    plane = _plane(labels)
    if plane.ndim == 3:
        return _number_colours(plane)
    ids = whole_numbers(plane)
    value = _only_value(ids)
    if value == 255 or plane.dtype == np.bool_ or value == 1:
        parts, count = label(ids, background=0, connectivity=1, return_num=True)
        if value != 1 or count > 1:
            note = f"binary mask: its {count} connected parts were made nuclei"
            return parts.astype(np.int64), [note]
    return ids, []


def whole_numbers(values: NDArray[Any]) -> NDArray[np.int64]:
    """Ids as integers.

    Raises
    ------
    DatasetError
        Something is no number, no whole number, negative or too large.
    """
    if values.dtype.kind not in "biuf":
        raise DatasetError(f"The labels are of type {values.dtype}; whole numbers are needed.")
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            odd = values[~(np.isfinite(values) & (values == np.floor(values)))]
        if odd.size:
            raise DatasetError(
                f"The labels hold {odd.flat[0]:g} (and {odd.size - 1} more that are no whole "
                "numbers); each nucleus needs a whole number. Were they resized with smoothing?"
            )
    lowest, highest = values.min(initial=0), values.max(initial=0)
    if lowest < 0 or highest > np.iinfo(np.int64).max // 2:
        raise DatasetError(
            f"The labels run from {lowest} to {highest}; 0 is background and ids are positive "
            "numbers. Set others to 0."
        )
    return values.astype(np.int64)


def resample_image(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """Scale an image (H, W, 3), smoothed before it shrinks."""
    shape = _scaled(image.shape[:2], factor)
    scaled = resize(image, shape, order=1, anti_aliasing=factor < 1, preserve_range=True)
    return np.asarray(np.clip(np.rint(scaled), 0, 255), dtype=np.uint8)


def resample_labels(labels: NDArray[np.integer], factor: float) -> NDArray[np.integer]:
    """Scale labels (H, W): each pixel takes the nearest id."""
    places = [
        np.minimum(((np.arange(n) + 0.5) * side / n).astype(np.intp), side - 1)
        for n, side in zip(_scaled(labels.shape, factor), labels.shape, strict=True)
    ]
    return labels[np.ix_(*places)]


def _scaled(shape: tuple[int, ...], factor: float) -> tuple[int, ...]:
    return tuple(max(1, round(side * factor)) for side in shape)


def _from_16_bits(image: NDArray[np.uint16]) -> tuple[NDArray[np.uint8], str]:
    """Bytes of an image of which cameras and programs may use 8, 10 or 12 bits only."""
    highest = int(image[..., :3].max())
    bits = next(n for n in (8, 10, 12, 16) if highest < 1 << n)
    full = (1 << bits) - 1
    found = np.minimum((image.astype(np.uint32) * 255 + full // 2) // full, 255)
    used = "" if bits == 16 else f"; its values are below {1 << bits}, so {bits} of them count"
    if image.shape[2] == 4:  # alpha may use all of them
        found[..., 3] = found[..., 3] if int(image[..., 3].max()) <= full else image[..., 3] // 257
    return found.astype(np.uint8), f"16-bit image brought to 8 bits{used}"


def _bytes(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Floats and wide integers on 0..255 as bytes."""
    if image.dtype.kind in "iuf" and np.isfinite(image).all():
        low, high = image.min(), image.max()
        if low >= 0 and 1 < high <= 255:
            return np.asarray(np.rint(image), dtype=np.uint8)
    raise DatasetError(
        f"The image is {image.dtype} and not on 0..255; 8 bits a channel are needed. Convert it."
    )


def _plane(labels: NDArray[Any]) -> NDArray[Any]:
    """One plane (H, W), or a colour image (H, W, 3)."""
    if labels.ndim == 3 and labels.shape[2] in _COLOUR_CHANNELS:
        labels = labels[..., :3]
        if (labels == labels[..., :1]).all():
            labels = labels[..., 0]
    elif labels.ndim == 3 and 1 in (labels.shape[0], labels.shape[2]):
        labels = labels.squeeze(0 if labels.shape[0] == 1 else 2)
    if labels.size == 0 or labels.ndim not in (2, 3) or labels.shape[2:] not in ((), (3,)):
        raise DatasetError(
            f"The labels have shape {labels.shape}; one plane (height, width) is needed."
        )
    return labels


def _number_colours(colours: NDArray[Any]) -> tuple[NDArray[np.int64], list[str]]:
    if colours.dtype not in (np.uint8, np.uint16):
        raise DatasetError(
            f"The labels are a colour image of type {colours.dtype}; colours must have 8 or 16 "
            "bits a channel."
        )
    codes = colours.astype(np.int64) @ np.array([1 << 32, 1 << 16, 1])
    found, ids, counts = np.unique(codes, return_inverse=True, return_counts=True)
    background = "black"
    if found[0]:  # there is no black
        background = "the most frequent colour"
        order = np.argsort(-counts, kind="stable")
        ids = np.argsort(order)[ids]
    note = f"colour mask: each of its {len(found) - 1} colours is a nucleus, {background} is none"
    return ids.reshape(codes.shape).astype(np.int64), [note]


def _only_value(ids: NDArray[np.int64]) -> int:
    """The one value beside 0; 0 where there are none or several."""
    present = ids[ids != 0]
    if not present.size or present.min() != present.max():
        return 0
    return int(present[0])
