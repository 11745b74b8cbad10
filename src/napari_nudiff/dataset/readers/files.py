"""The files of a source, and what they hold."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import tifffile

from napari_nudiff.dataset.pixels import TIFF_SUFFIXES
from napari_nudiff.errors import DatasetError

IMAGE_SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp")
"""In the order in which they are preferred where an image is there twice."""

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "tissue images", "img_dir")
"""What folders of images are called, in small letters."""

_PLAUSIBLE_UM_PER_PX = (0.05, 5.0)  # outside it is a resolution for printing, such as 72 dpi
_DRAWN = {"overlay", "overlays", "thumb", "thumbnails", "preview", "previews"}
_ASIDE = {"annotations", "annotation", "labels", "points"}  # folders whose images are beside them
_UNIT_UM = {"µm": 1.0, "um": 1.0, "micron": 1.0, "microns": 1.0, "mm": 1e3, "cm": 1e4, "nm": 1e-3}


@dataclass(frozen=True)
class Tree:
    """Files of a source.

    Attributes
    ----------
    root : Path
        The source, or the folder of the file that is the source.
    files : tuple of Path
        All below the root, sorted, without hidden ones.
    only : Path or None
        The one file of annotations to read; None for all.
    """

    root: Path
    files: tuple[Path, ...]
    only: Path | None = None

    @classmethod
    def of(cls, source: Path) -> Tree:
        """List the files of a source.

        Raises
        ------
        DatasetError
            The source does not exist.
        """
        source = Path(source).resolve()
        if source.is_dir():
            return cls(source, tuple(_walk(source)))
        if not source.is_file():
            raise DatasetError(f"{source} does not exist. Check the path.")
        folder = source.parent
        root = folder.parent if folder.name.lower() in _ASIDE else folder
        return cls(root, tuple(_walk(root)), source)

    def annotations(self, *suffixes: str) -> list[Path]:
        """Files that end so and may hold annotations."""
        files = (self.only,) if self.only else self.files
        return [path for path in files if path.suffix.lower() in suffixes]

    def images(self) -> list[Path]:
        """Files that are images by their names."""
        return [image for images in self._images_by_stem.values() for image in images]

    def images_named(self, name: str) -> list[Path]:
        """Images whose files have that name."""
        found = self._images_by_stem.get(stem_of(Path(name)), ())
        return [image for image in found if _composed(image.name) == _composed(name)]

    def image_of(self, path: Path) -> Path | None:
        """The image that shares the stem of a file of annotations; the closest of several.

        Raises
        ------
        DatasetError
            Several are equally close.
        """
        stem = stem_of(path)
        # X.tif.geojson belongs to X.tif, but only where there is no other X.tif.
        found = self._images_by_stem.get(stem) or self._images_by_stem.get(Path(stem).stem, [])
        return closest(found, lambda image: _closeness(image, path), path.name)

    def source_of(self, path: Path) -> str:
        """Where a file lies, from the name of the root on."""
        return (Path(self.root.name) / path.relative_to(self.root)).as_posix()

    @cached_property
    def _images_by_stem(self) -> dict[str, list[Path]]:
        images: dict[str, list[Path]] = defaultdict(list)
        for path in self.files:
            if path.suffix.lower() in IMAGE_SUFFIXES:
                images[stem_of(path)].append(path)
        return images


def stem_of(path: Path) -> str:
    """The name of a file without its suffix (``.ome.tif`` is one), its letters composed.

    macOS stores an umlaut as two characters, other systems as one.
    """
    return _composed(path.stem).removesuffix(".ome")


def closest(
    found: Sequence[Path], rank: Callable[[Path], tuple[object, ...]], wanted: str
) -> Path | None:
    """The image of the highest rank; None where there is none.

    Raises
    ------
    DatasetError
        Several have it: one of them would be taken by chance.
    """
    if not found:
        return None
    ranks = [rank(image) for image in found]
    best = [i for i, r in zip(found, ranks, strict=True) if r == max(ranks)]
    if len(best) > 1:
        raise DatasetError(
            f"{wanted} may belong to {best[0]} or to {best[1]}: both are equally close. Keep one, "
            "or give them names of their own."
        )
    return best[0]


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def read_um_per_px(path: Path) -> float | None:
    """Side of a pixel in um, from OME, Aperio, ImageJ or resolution tags; None if not told."""
    try:
        if path.suffix.lower() in TIFF_SUFFIXES:
            with tifffile.TiffFile(path) as tiff:
                found = _tiff_um_per_px(tiff)
        else:
            dpi = iio.immeta(path, plugin="pillow").get("dpi")
            found = 25400 / float(dpi[0]) if dpi else None
    except Exception:  # damaged metadata tell as much as none; pixels are read elsewhere
        return None
    return plausible_um_per_px(found)


def plausible_um_per_px(told: float | None) -> float | None:
    """What a file tells, or None where it cannot be the side of a pixel of a micrograph."""
    low, high = _PLAUSIBLE_UM_PER_PX
    return round(told, 6) if told and low <= told <= high else None


def _tiff_um_per_px(tiff: tifffile.TiffFile) -> float | None:
    tags = tiff.pages.first.tags
    text = str(tags["ImageDescription"].value) if "ImageDescription" in tags else ""
    if size := re.search(r'PhysicalSizeX="([^"]+)"', text):
        unit = re.search(r'PhysicalSizeXUnit="([^"]+)"', text)
        return float(size[1]) * _UNIT_UM.get(unit[1] if unit else "µm", np.nan)
    if aperio := re.search(r"\bMPP\s*=\s*([\d.]+)", text):
        return float(aperio[1])
    if "XResolution" not in tags:
        return None
    over, under = tags["XResolution"].value
    return float(_unit_um(tiff, tags) * under / over)


def _unit_um(tiff: tifffile.TiffFile, tags: tifffile.TiffTags) -> float:
    imagej = str((tiff.imagej_metadata or {}).get("unit", "")).replace("\\u00B5", "µ")
    if imagej:
        return _UNIT_UM.get(imagej, np.nan)
    unit = int(tags["ResolutionUnit"].value) if "ResolutionUnit" in tags else 2
    return {2: 25400.0, 3: 10000.0}.get(unit, np.nan)


def _walk(root: Path) -> Iterator[Path]:
    """All files, those of linked folders too, each folder once."""
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        if (real := os.path.realpath(folder)) in seen:
            folders[:] = []
            continue
        seen.add(real)
        folders[:] = sorted(f for f in folders if not f.startswith((".", "__MACOSX")))
        yield from (Path(folder) / name for name in sorted(names) if not name.startswith("."))


def _closeness(image: Path, path: Path) -> tuple[bool, int, bool, int]:
    """Whether it is no picture made of an image, how near it lies, how its folder suits."""
    is_original = image.parent.name.lower() not in _DRAWN
    shared = len(os.path.commonpath([image.parent, path.parent]).split(os.sep))
    suits = image.parent.name.lower() in IMAGE_FOLDERS
    return is_original, shared, suits, -IMAGE_SUFFIXES.index(image.suffix.lower())
