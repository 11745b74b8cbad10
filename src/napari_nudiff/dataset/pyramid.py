"""Images too large for memory: an image and its labels as one multiscale OME-Zarr.

The layout on disk is NGFF 0.5: ``0``, ``1``, ... are the levels of the image (c, y, x), and
``labels/nuclei/0``, ... those of its instance labels (y, x). The attributes say that the image is
synthetic and hold its provenance.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray

from napari_nudiff.dataset.images import read_layout
from napari_nudiff.dataset.ngff import image_metadata, labels_metadata, names_of_labels
from napari_nudiff.dataset.pixels import is_plain
from napari_nudiff.dataset.readers.files import plausible_um_per_px, read_um_per_px
from napari_nudiff.errors import DatasetError, LayoutError
from napari_nudiff.nuclei.structure import validate_layout

CHUNK_PX = 512
"""Side of a chunk: who writes whole rows of chunks writes each chunk once."""
LABELS = "labels/nuclei"
"""Where the labels lie in the group."""
_SMALLEST_PX = 512  # longest side of the last level
_KEY = "nudiff"


class LayoutArray(Protocol):
    """Labels that need not be in memory: an array, a memory map, a zarr array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Height and width in pixels."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """An integer type."""
        ...

    def __getitem__(self, at: Any, /) -> Any:
        """Part of the labels, as an array in memory."""
        ...


class RgbLevel:
    """One level of an image on disk, with the channels last as napari shows RGB.

    Parameters
    ----------
    array : zarr.Array, (3, H, W), uint8
    """

    ndim = 3

    def __init__(self, array: zarr.Array[Any]) -> None:
        self._array = array
        self.dtype = np.dtype(array.dtype)
        self.shape = (*array.shape[1:], array.shape[0])  # (H, W, 3)
        self.size = math.prod(self.shape)

    def __getitem__(self, at: Any) -> NDArray[np.uint8]:
        """Part of the level, as an array in memory."""
        rows, cols, channels = _all_three(at)
        part = np.asarray(self._array[:, rows, cols])
        return np.moveaxis(part, 0, -1)[..., channels]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[...], dtype)


class Pyramid(NamedTuple):
    """An image on disk with its labels, each in levels of half the size of the one before.

    Attributes
    ----------
    image : list of RgbLevel, (H, W, 3), uint8
    labels : list of zarr.Array, (H, W), int32
    provenance : dict
        As of a `Pair`.
    path : Path
        The folder that they are read from.
    classes : mapping of int to str
        Of nuclei by their ids.
    """

    image: list[RgbLevel]
    labels: list[zarr.Array[Any]]
    provenance: dict[str, Any]
    path: Path
    classes: Mapping[int, str] = MappingProxyType({})


def open_pyramid(path: Path) -> Pyramid:
    """Open what `PyramidWriter` wrote; pixels are read when they are asked for.

    Raises
    ------
    DatasetError
        There is no such folder, or it holds something else.
    """
    try:
        group = zarr.open_group(Path(path), mode="r")
        provenance = group.attrs[_KEY]
        image = [RgbLevel(array) for array in _levels(group)]
        labels = _levels(group[LABELS])
        about: Any = group[LABELS].attrs.get("ome", {})
        named = about.get("image-label", {}).get("properties", ())
        classes = {int(one["label-value"]): str(one["class"]) for one in named}
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise DatasetError(
            f"{path} is no large image of napari-nudiff ({error}). Give the .zarr folder that a "
            "large render wrote."
        ) from error
    return Pyramid(image, labels, dict(provenance), Path(path), classes)  # type: ignore[arg-type]


def open_layout(path: Path) -> LayoutArray:
    """Open instance labels without reading them where the format allows it.

    Parameters
    ----------
    path : Path
        TIFF, ``.npy``, or a ``.zarr``: one that `PyramidWriter` wrote, or an array; any other
        format that `read_layout` reads is read whole.

    Raises
    ------
    DatasetError
        The file cannot be read.
    LayoutError
        It holds something else than instance labels.
    """
    path = Path(path)
    opener = _OPENERS.get(path.suffix.lower())
    if opener is None or not path.exists():
        return read_layout(path)
    if opener is _open_tiff and not is_plain(path):
        return read_layout(path)
    try:
        labels: LayoutArray = opener(path)
    except Exception as error:  # the readers raise many types for damaged files
        raise DatasetError(f"Cannot read {path} as labels: {error}") from error
    try:
        validate_layout(labels[:1])
    except (LayoutError, IndexError) as error:
        raise LayoutError(f"{path}: {error}") from error
    except Exception as error:  # pixels are read only now
        raise DatasetError(f"Cannot read {path} as labels: {error}") from error
    return labels


def um_per_px_of(path: Path) -> float | None:
    """Side of a pixel (um) of labels that `open_layout` opens; None where nothing says so."""
    path = Path(path)
    if path.suffix.lower() != ".zarr":
        return read_um_per_px(path)
    try:
        return plausible_um_per_px(open_pyramid(path).provenance.get("um_per_px"))
    except DatasetError:  # an array
        return None


class PyramidWriter:
    """Write an image and its labels band by band, then their smaller levels.

    Parameters
    ----------
    path : Path
        Folder to make.
    shape : (int, int)
        Height and width in pixels.
    um_per_px : float or None
        None where nobody knows.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], um_per_px: float | None) -> None:
        self.um_per_px = um_per_px
        self._group = zarr.open_group(path, mode="w-", zarr_format=3)
        self._labels_group = self._group.create_group(LABELS)
        self.image = _new_level(self._group, "0", (3, *shape), np.uint8)
        self.labels = _new_level(self._labels_group, "0", shape, np.int32)

    def write_image(self, top: int, rows: NDArray[np.uint8]) -> None:
        """Write rows (h, W, 3) of the image."""
        self.image[:, top : top + len(rows)] = np.moveaxis(rows, -1, 0)

    def write_labels(self, top: int, rows: NDArray[np.int32]) -> None:
        """Write rows (h, W) of the labels."""
        self.labels[top : top + len(rows)] = rows

    def write_levels(self) -> Iterator[None]:
        """Write the smaller levels of all that was written; yields after each band."""
        yield from _write_smaller(self._group, self.image, mean_of_four)
        yield from _write_smaller(self._labels_group, self.labels, _one_of_four)

    def finish(self, provenance: dict[str, Any], classes: Mapping[int, str] | None = None) -> None:
        """Write what describes the image. Before this the folder is no image.

        Parameters
        ----------
        provenance : dict
            As of a `Pair`.
        classes : mapping of int to str, optional
            Class of a nucleus by its id.
        """
        levels = len(level_shapes(self.labels.shape))
        folder, name = LABELS.split("/")
        self._labels_group.attrs["ome"] = labels_metadata(levels, self.um_per_px, classes)
        self._group[folder].attrs["ome"] = names_of_labels(name)
        attributes: dict[str, Any] = {
            "ome": image_metadata(levels, self.um_per_px),
            "synthetic": bool(provenance.get("synthetic", True)),
            _KEY: provenance,
        }
        self._group.attrs.update(attributes)


# Levels


def level_shapes(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Height and width of every level; each is half of the one before, rounded up."""
    shapes = [tuple(int(side) for side in shape)]
    while max(shapes[-1]) > _SMALLEST_PX:
        shapes.append(tuple(math.ceil(side / 2) for side in shapes[-1]))
    return shapes


def bands_over(height: int, band_px: int = CHUNK_PX) -> Iterator[slice]:
    """Rows of a canvas from the top down, ``band_px`` at a time."""
    for top in range(0, height, band_px):
        yield slice(top, min(top + band_px, height))


def _new_level(
    group: zarr.Group, name: str, shape: tuple[int, ...], dtype: type
) -> zarr.Array[Any]:
    chunks = (*shape[:-2], *(min(CHUNK_PX, side) for side in shape[-2:]))
    axes = "cyx"[-len(shape) :]
    return group.create_array(
        name, shape=shape, chunks=chunks, dtype=dtype, dimension_names=list(axes)
    )


def _write_smaller(
    group: zarr.Group,
    level: zarr.Array[Any],
    halved: Callable[[NDArray[Any]], NDArray[Any]],
) -> Iterator[None]:
    for number, shape in enumerate(level_shapes(level.shape[-2:])[1:], start=1):
        smaller = _new_level(group, str(number), (*level.shape[:-2], *shape), level.dtype.type)
        for rows in bands_over(shape[0]):
            band = np.asarray(level[..., 2 * rows.start : 2 * rows.stop, :])
            smaller[..., rows, :] = halved(band)
            yield
        level = smaller


def mean_of_four(band: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Half the size (c, y, x); an odd last row or column counts twice."""
    *_, height, width = band.shape
    even = np.pad(band, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    total = np.zeros((even.shape[0], even.shape[1] // 2, even.shape[2] // 2), dtype=np.uint16)
    for row, col in np.ndindex(2, 2):
        total += even[:, row::2, col::2]
    return ((total + 2) // 4).astype(np.uint8)


def _one_of_four(band: NDArray[np.int32]) -> NDArray[np.int32]:
    return band[::2, ::2]


def _levels(group: Any) -> list[zarr.Array[Any]]:
    (multiscale,) = group.attrs["ome"]["multiscales"]
    return [group[dataset["path"]] for dataset in multiscale["datasets"]]


# Opening


def _open_tiff(path: Path) -> Any:
    store = tifffile.imread(path, aszarr=True)
    opened = zarr.open(store, mode="r")
    array = opened if isinstance(opened, zarr.Array) else opened["0"]
    weakref.finalize(array, store.close)
    return array


def _open_zarr(path: Path) -> Any:
    opened = zarr.open(path, mode="r")
    return opened if isinstance(opened, zarr.Array) else open_pyramid(path).labels[0]


def _open_npy(path: Path) -> Any:
    return np.load(path, mmap_mode="r", allow_pickle=False)


_OPENERS: dict[str, Callable[[Path], Any]] = {
    ".tif": _open_tiff,
    ".tiff": _open_tiff,
    ".npy": _open_npy,
    ".zarr": _open_zarr,
}


def _all_three(at: Any) -> tuple[Any, Any, Any]:
    """An index into (H, W, 3) as one for each axis."""
    given = list(at) if isinstance(at, tuple) else [at]
    here = next((i for i, item in enumerate(given) if item is Ellipsis), len(given))
    before, after = given[:here], given[here + 1 :]
    between = [slice(None)] * (3 - len(before) - len(after))
    index = (*before, *between, *after)
    return index[0], index[1], index[2]
