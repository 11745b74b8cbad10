"""Layers as files, for napari's Save: pairs and layouts, and nuclei for QuPath and HoVer-Net."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.dataset.pair_file import write_pair
from napari_nudiff.errors import DatasetError
from napari_nudiff.files import atomic_path
from napari_nudiff.nuclei.structure import validate_layout
from napari_nudiff.ui.class_features import classes_in

FullLayerData = tuple[Any, dict[str, Any], str]
"""What napari hands over of a layer: the data, the layer's attributes, the layer's type."""

_OF_A_RENDER = re.compile(r"^labels (.+) s\d+( \[\d+\])?$")
_NUMBERED = re.compile(r"type [1-9]\d*")
_NUMBERS = ("scale", "translate", "rotate", "shear", "affine")
_TEXTS = ("units", "axis_labels")


def write_nudiff(path: str, layers: Sequence[FullLayerData]) -> list[str]:
    """Write Labels, and an RGB Image where there is one, as a ``.nudiff`` file.

    Returns
    -------
    list of str
        The path.

    Raises
    ------
    DatasetError
        The image is not RGB or not of the labels' size and place, or the file cannot be written.
    LayoutError
        The labels are no layout.
    """
    by_type = {kind: (data, attributes) for data, attributes, kind in layers}
    data, about_labels = by_type["labels"]
    labels = _layout(data, about_labels)
    image, about_image = None, about_labels
    if "image" in by_type:
        data, about_image = by_type["image"]
        image = _rgb(data, about_image)
        _require_same_place(about_image, about_labels)
    whole = cast("NDArray[np.int32]", labels)  # write_pair checks that the ids fit
    pair = Pair(
        Layout(whole, classes_in(about_labels.get("features"))),
        image,
        _name(about_image, about_labels),
        provenance=_provenance(about_image, about_labels),
        spatial=_spatial(about_image),
    )
    write_pair(Path(path), pair)
    return [path]


def write_geojson(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write Labels as objects that QuPath imports: pixels, from the corner of the first pixel.

    Raises
    ------
    DatasetError
        The file cannot be written.
    LayoutError
        The labels are no layout.
    """
    from napari_nudiff.dataset.writers.qupath import labels_to_geojson

    provenance = _provenance(attributes)
    about = {"nudiff": provenance} if provenance else None
    labels, classes = _layout(data, attributes), classes_in(attributes.get("features"))
    objects = labels_to_geojson(labels, class_names=classes, properties=about)
    with atomic_path(Path(path)) as staged:
        staged.write_text(json.dumps(objects, default=str) + "\n", encoding="utf-8")
    return [path]


def write_mat(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write Labels as HoVer-Net keeps them: ``inst_map``, ``inst_centroid`` and more.

    Raises
    ------
    DatasetError
        The file cannot be written.
    LayoutError
        The labels are no layout.
    """
    import scipy.io

    from napari_nudiff.dataset.writers.hovernet import labels_to_mat

    labels, classes = _layout(data, attributes), classes_in(attributes.get("features"))
    variables = labels_to_mat(labels, _numbers(labels, classes))
    with atomic_path(Path(path)) as staged:
        scipy.io.savemat(staged, variables, do_compression=True, appendmat=False)
    return [path]


def _numbers(labels: NDArray[np.integer], classes: Mapping[int, str]) -> dict[int, int] | None:
    """The number of the class of each nucleus, 0 where it has none; None without classes.

    ``type 2`` is 2, as it was read; other names are numbered in the order of the alphabet.
    """
    if not classes:
        return None
    names = sorted(set(classes.values()))
    numbers = {name: number for number, name in enumerate(names, start=1)}
    if all(map(_NUMBERED.fullmatch, names)):
        numbers = {name: int(name.split()[1]) for name in names}
    return {int(i): numbers.get(classes.get(int(i), ""), 0) for i in np.unique(labels)}


# Pixels


def _layout(data: Any, attributes: Mapping[str, Any]) -> NDArray[np.integer]:
    """The labels of a layer as they are now."""
    return validate_layout(np.asarray(_finest(data, attributes)))


def _rgb(data: Any, attributes: Mapping[str, Any]) -> NDArray[np.uint8]:
    """The pixels of an RGB layer in 8 bits, as napari shows it."""
    if not attributes.get("rgb"):
        raise DatasetError(
            f"“{attributes['name']}” is no RGB image; a pair has one. Nothing was written. "
            "Merge its channels to RGB, or select the labels alone to save them as a layout."
        )
    pixels = np.asarray(_finest(data, attributes))[..., :3]
    if pixels.dtype == np.uint8:
        return pixels
    if np.issubdtype(pixels.dtype, np.floating):  # napari shows floats of 0 to 1
        scaled: NDArray[np.uint8] = (np.clip(pixels, 0, 1) * 255).round().astype(np.uint8)
        return scaled
    raise DatasetError(
        f"“{attributes['name']}” has {pixels.dtype} pixels; 8-bit RGB was expected. Nothing was "
        "written. Convert it to 8 bits."
    )


def _finest(data: Any, attributes: Mapping[str, Any]) -> Any:
    return data[0] if attributes.get("multiscale") else data


# What is known of them


def _name(about_image: Mapping[str, Any], about_labels: Mapping[str, Any]) -> str:
    """The name of the layout that was rendered, or of the image."""
    of_a_render = _OF_A_RENDER.match(str(about_labels.get("name", "")))
    return of_a_render[1] if of_a_render else str(about_image.get("name", ""))


def _provenance(*attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Where the pixels came from, as the first of the layers that tells has it."""
    told = (layer.get("metadata", {}).get("nudiff") for layer in attributes)
    return next((values for values in told if isinstance(values, dict)), {})


def _spatial(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Where a layer lies, as JSON values."""
    numbers = {key: np.asarray(attributes[key]).tolist() for key in _NUMBERS if key in attributes}
    texts = {key: [str(t) for t in attributes[key]] for key in _TEXTS if key in attributes}
    return numbers | texts


def _require_same_place(about_image: Mapping[str, Any], about_labels: Mapping[str, Any]) -> None:
    """Check that the image lies on its labels: a file has one place for both."""
    image, labels = _spatial(about_image), _spatial(about_labels)
    for key in (*_NUMBERS, "units"):
        if not _same(image.get(key), labels.get(key)):
            raise DatasetError(
                f"“{about_image['name']}” and “{about_labels['name']}” differ in {key}: "
                f"{image.get(key)} and {labels.get(key)}. Nothing was written. Right-click the one "
                "that lies well, Copy scale and transforms, and apply them to the other."
            )


def _same(one: Any, other: Any) -> bool:
    try:
        return np.shape(one) == np.shape(other) and bool(np.allclose(one, other))
    except TypeError:  # texts, or not told
        return bool(one == other)
