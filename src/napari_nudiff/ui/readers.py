"""What napari opens through us: pairs, sessions, sets, large renders, and nuclei of other tools."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from packaging.version import Version

from napari_nudiff.dataset.pair import Pair
from napari_nudiff.dataset.pair_file import EXTENSION, read_pair
from napari_nudiff.errors import DatasetError
from napari_nudiff.files import parse_json
from napari_nudiff.sample_data import LayerData
from napari_nudiff.ui.class_features import features_of

if TYPE_CHECKING:
    from napari_nudiff.dataset.polygons import Polygon

ReadFunction = Callable[[str | Sequence[str]], list[Any]]
Read = Callable[[Path], list[LayerData]]

_SPATIAL = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
_MAX_PX = 16384 * 16384


def get_reader(path: str | Sequence[str]) -> ReadFunction | None:
    """What reads a file or folder; None where it is not ours, by a look at its contents.

    Parameters
    ----------
    path : str or sequence of str
        Of several files each becomes layers of its own: they are not stacked.

    Returns
    -------
    callable or None
        Given the path it returns layers. It raises DatasetError where a file is damaged.
    """
    readers = [_reader_of(one) for one in _paths(path)]
    if not readers or None in readers:
        return None
    return _read_all


def _read_all(path: str | Sequence[str]) -> list[Any]:
    made: list[Any] = []
    for one in _paths(path):
        read = _reader_of(one)
        made += _outlined(read(one)) if read else []
    return made


def _outlined(layers: list[LayerData]) -> list[Any]:
    """The same, with labels that lie on an image as outlines.

    The data of a layer cannot say so, and napari before 0.9 takes no whole layers from readers.
    """
    on_image = any(kind == "image" for _, _, kind in layers)
    if not on_image or Version(version("napari")) < Version("0.9"):
        return layers
    return [_outline_layer(*layer[:2]) if layer[2] == "labels" else layer for layer in layers]


def _outline_layer(data: Any, attributes: dict[str, Any]) -> Any:
    from napari.layers import Labels

    layer = Labels(data, **attributes)
    layer.contour = 1
    return layer


def _paths(path: str | Sequence[str]) -> list[Path]:
    return [Path(path)] if isinstance(path, str) else [Path(one) for one in path]


def _reader_of(path: Path) -> Read | None:
    """The reader of a file, after a cheap look: several plugins claim these endings."""
    is_ours, read = _READERS.get((path.suffix.lower(), path.is_dir()), (None, None))
    if is_ours is not None and is_ours(path):
        return read
    return _reader_of_folder(path) if path.is_dir() else None


def _reader_of_folder(path: Path) -> Read | None:
    """The reader of a folder of many pairs, whatever it is called."""
    from napari_nudiff.ui import set_reader

    if set_reader.is_set(path):
        return set_reader.read_set
    return set_reader.read_generated if set_reader.is_generated(path) else None


# Pairs


def pair_layers(pair: Pair) -> list[LayerData]:
    """A pair as an Image with Labels on it; without an image as a layout."""
    classes = features_of(pair.classes)
    place = {key: pair.spatial[key] for key in _SPATIAL if key in pair.spatial}
    if pair.image is None:
        return [(pair.labels, _attributes(pair, pair.name) | place | classes, "labels")]
    image_name, labels_name = _names(pair)
    return [
        (pair.image, _attributes(pair, image_name) | place | {"rgb": True}, "image"),
        (pair.labels, _attributes(pair, labels_name) | place | classes, "labels"),
    ]


def _attributes(pair: Pair, name: str) -> dict[str, Any]:
    provenance = pair.provenance
    return {"name": name, "metadata": {"nudiff": copy.deepcopy(provenance)} if provenance else {}}


def _names(pair: Pair) -> tuple[str, str]:
    """Names as a render gets them in the viewer; a real image goes by its own."""
    seed = pair.provenance.get("request", {}).get("seed")
    if seed is None:
        return pair.name, f"{pair.name} labels"
    return f"render {pair.name} s{seed}", f"labels {pair.name} s{seed}"


def _read_pair(path: Path) -> list[LayerData]:
    return pair_layers(_named(read_pair(path), path.stem))


def _named(pair: Pair, name: str) -> Pair:
    return pair if pair.name else replace(pair, name=name)


def _read_session(folder: Path) -> list[LayerData]:
    """The results that were starred or applied, all if there are none, else the layouts."""
    results = _results(folder) or sorted((folder / "layouts").glob(f"*{EXTENSION}"))
    made: list[LayerData] = []
    damaged: list[str] = []
    for path in results:
        try:
            made += _read_pair(path)
        except DatasetError as error:
            damaged.append(str(error))
    if not made:
        raise DatasetError(" ".join(damaged) or f"The session {folder} holds no results.")
    if damaged:
        warnings.warn(f"Not all of {folder} was opened. {' '.join(damaged)}", stacklevel=2)
    return made


def _results(folder: Path) -> list[Path]:
    about = _json_object(folder / "session.json")
    listed, starred, applied = (_names_in(about, key) for key in ("order", "starred", "applied"))
    order = {name: place for place, name in enumerate(listed)}
    kept = {*starred, *applied}
    files = sorted(
        (folder / "results").glob(f"*{EXTENSION}"),
        key=lambda path: (order.get(path.stem, len(order)), path.name),
    )
    return [path for path in files if path.stem in kept] or files


def _names_in(about: dict[str, Any], key: str) -> list[str]:
    names = about.get(key)
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _is_session(folder: Path) -> bool:
    return (folder / "session.json").is_file()


# What the command line writes


def _is_request(path: Path) -> bool:
    """Whether a JSON file lies beside the labels that it describes, and is napari-nudiff's."""
    from napari_nudiff.dataset.readers.json_file import mentions
    from napari_nudiff.dataset.sample import labels_beside

    return labels_beside(path) is not None and mentions(path, '"layout_sha256"')


def _read_request(path: Path) -> list[LayerData]:
    from napari_nudiff.dataset.sample import read_sample

    pair = read_sample(path)
    return pair_layers(replace(pair, spatial=_in_um(pair.um_per_px)))


def _is_large(folder: Path) -> bool:
    """Whether a zarr group has our provenance."""
    try:
        return "nudiff" in _json_object(folder / "zarr.json").get("attributes", {})
    except DatasetError:
        return False


def _read_large(folder: Path) -> list[LayerData]:
    """A large render as two multiscale layers, read from the disk as they are looked at."""
    from napari_nudiff.dataset.pyramid import open_pyramid

    pyramid = open_pyramid(folder)
    metadata = {"nudiff": pyramid.provenance}
    shared = {"multiscale": True, **_in_um(pyramid.provenance.get("um_per_px"))}
    name = folder.stem
    image = {"name": name, "metadata": metadata, "rgb": True, "contrast_limits": (0, 255)}
    labels = {"name": f"{name} labels", "metadata": copy.deepcopy(metadata)}
    labels |= features_of(pyramid.classes)
    return [
        (pyramid.image, image | shared, "image"),  # type: ignore[list-item]  # levels
        (pyramid.labels, labels | shared, "labels"),  # type: ignore[list-item]
    ]


def _in_um(um_per_px: object) -> dict[str, Any]:
    """Where an image of that resolution lies; nowhere in particular if it is unknown."""
    if not isinstance(um_per_px, float | int) or not um_per_px > 0:
        return {}
    scale = [float(um_per_px)] * 2
    return {"scale": scale, "units": ["um", "um"], "axis_labels": ["y", "x"]}


# Nuclei of other tools


def _is_geojson(path: Path) -> bool:
    from napari_nudiff.dataset.readers.json_file import mentions

    return mentions(path, '"Polygon"', '"MultiPolygon"')


def _read_geojson(path: Path) -> list[LayerData]:
    """Outlines of QuPath, drawn on a canvas that reaches as far as they do."""
    from napari_nudiff.dataset.polygons import draw_nuclei
    from napari_nudiff.dataset.readers.qupath import read_outlines

    nuclei, notes, names = read_outlines(path)
    if not nuclei:
        raise DatasetError(f"{path} has no outlines of nuclei. {' '.join(notes)}".rstrip())
    labels, _ = draw_nuclei(nuclei, _extent(path, nuclei))
    return [_layout_of(path, labels, {i: name for i, name in enumerate(names, 1) if name})]


def _extent(path: Path, nuclei: Iterable[Sequence[Polygon]]) -> tuple[int, int]:
    """Height and width in pixels that hold all outlines."""
    corners = [polygon.outline.max(axis=0) for polygons in nuclei for polygon in polygons]
    width, height = (max(1, int(np.ceil(side))) for side in np.max(corners, axis=0))
    if width * height > _MAX_PX:
        raise DatasetError(
            f"The outlines in {path} reach to x = {width}, y = {height} px: too far for one layer. "
            "Export the objects of a smaller region, with its corner as the origin."
        )
    return height, width


def _is_hovernet(path: Path) -> bool:
    from scipy.io import whosmat

    try:
        return any(name == "inst_map" for name, *_ in whosmat(path))
    except Exception:  # the reader raises many types for files of another kind
        return False


def _read_hovernet(path: Path) -> list[LayerData]:
    from napari_nudiff.dataset.readers.hovernet import read_classes, read_instances
    from napari_nudiff.nuclei.structure import validate_layout

    numbers = read_instances(path)
    labels = np.asarray(numbers, np.int32)  # MATLAB writes whole numbers as floats
    if not np.array_equal(labels, numbers):
        raise DatasetError(f"{path} has an inst_map of other than whole numbers.")
    return [_layout_of(path, validate_layout(labels), read_classes(path, labels))]


def _layout_of(path: Path, labels: Any, classes: Mapping[int, str]) -> LayerData:
    return labels, {"name": path.name.partition(".")[0]} | features_of(classes), "labels"


# Of all kinds


def _always(path: Path) -> bool:
    return True


def _json_object(path: Path) -> dict[str, Any]:
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"Cannot read {path}: {error}") from error
    if not isinstance(content, dict):
        raise DatasetError(f"{path} is damaged: an object was expected in it.")
    return content


_READERS: dict[tuple[str, bool], tuple[Callable[[Path], bool], Read]] = {
    (EXTENSION, False): (_always, _read_pair),
    (EXTENSION, True): (_is_session, _read_session),
    (".json", False): (_is_request, _read_request),
    (".zarr", True): (_is_large, _read_large),
    (".geojson", False): (_is_geojson, _read_geojson),
    (".mat", False): (_is_hovernet, _read_hovernet),
}
"""By ending and whether it is a folder: whether it is ours, and what reads it."""
