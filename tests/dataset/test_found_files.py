"""Which image belongs to which labels, and what counts as a nucleus, in folders of labs."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import tifffile
from PIL import Image
from skimage.measure import find_contours

from napari_nudiff.dataset.groups import group_of
from napari_nudiff.dataset.readers import Loaded, find_images
from napari_nudiff.errors import DatasetError

LABELS = np.zeros((64, 80), np.int32)
PLACES = [(12, 12), (12, 23), (40, 15), (40, 60), (20, 55)]
for number, (y, x) in enumerate(PLACES, 1):
    LABELS[y - 5 : y + 6, x - 5 : x + 6] = number
IMAGE = np.where(LABELS[..., None] > 0, 90, 220).astype(np.uint8).repeat(3, axis=2)
FLIPPED, IMAGE_B = LABELS[:, ::-1], IMAGE[:, ::-1] // 2


def put(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith(".tif"):
        tifffile.imwrite(path, pixels)
    else:
        Image.fromarray(pixels).save(path)
    return path


def text(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def ring(number: int, labels: np.ndarray = LABELS) -> list[list[float]]:
    outline = find_contours(np.pad(labels == number, 1).astype(float), 0.5)[0][:, ::-1] - 0.5
    return outline.tolist()


def loaded(source: Path, **options: Any) -> dict[str, Loaded]:
    return {found.name: found.load() for found in find_images(source, **options)[0]}


def same(found: np.ndarray, expected: np.ndarray = LABELS) -> bool:
    """Whether the nuclei are the same, whatever their numbers."""
    pairs = set(zip(found.ravel().tolist(), expected.ravel().tolist(), strict=True))
    return len(pairs) == len(np.unique(found)) == len(np.unique(expected))


# Which image


PAIRED = {
    "a split below": ("images/train/a.png", "labels/train/a.tif"),
    "a split above": ("train/images/a.png", "train/masks/a.png"),
    "mmsegmentation": ("img_dir/val/a.png", "ann_dir/val/a.png"),
    "NuInsSeg": ("human liver/tissue images/a.png", "human liver/label masks modify/a.tif"),
    "TNBC as published": ("Slide_03/a.png", "GT_03/a.png"),
    "OME": ("a.ome.tif", "a_labels.ome.tif"),
    "QuPath's tiles": ("s [x=0,y=9,w=80,h=64].png", "s [x=0,y=9,w=80,h=64]-labelled.png"),
}


@pytest.mark.parametrize("layout", PAIRED)
def test_folders_as_public_sets_have_them(tmp_path, layout) -> None:
    image, labels = PAIRED[layout]
    put(tmp_path / image, IMAGE)
    put(tmp_path / labels, LABELS.astype(np.uint8))
    (found,) = loaded(tmp_path).values()
    assert np.array_equal(found.labels, LABELS)
    assert np.array_equal(found.image, IMAGE)


def test_ids_are_preferred_to_binary_masks(tmp_path) -> None:
    put(tmp_path / "tissue images" / "a.png", IMAGE)
    put(tmp_path / "mask binary" / "a.png", (LABELS > 0).astype(np.uint8) * 255)
    put(tmp_path / "label masks" / "a.tif", LABELS.astype(np.float32))
    assert np.array_equal(loaded(tmp_path)["a"].labels, LABELS)


def test_a_slide_or_a_patient_is_one_group(tmp_path) -> None:
    for n in (1, 2):
        put(tmp_path / "Slide_07" / f"{n}.png", IMAGE)
        put(tmp_path / "GT_07" / f"{n}.png", LABELS.astype(np.uint8))
    assert {found.group for found in find_images(tmp_path)[0]} == {"Slide_07"}
    tiles = ["my slide [x=0,y=0,w=9,h=9]", "my slide [x=-9,y=4,w=9,h=9]", "my slide [d=2,x=0,y=1]"]
    assert {group_of(name) for name in tiles} == {"my slide"}


def test_composed_and_decomposed_letters_are_the_same(tmp_path) -> None:
    put(tmp_path / "images" / f"{unicodedata.normalize('NFD', 'Präparat')}.png", IMAGE)
    put(tmp_path / "masks" / f"{unicodedata.normalize('NFC', 'Präparat')}.tif", LABELS)
    assert len(loaded(tmp_path)) == 1


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_linked_folders_are_read_once(tmp_path) -> None:
    put(tmp_path / "disk" / "a.png", IMAGE)
    source = tmp_path / "set"
    put(source / "masks" / "a.tif", LABELS)
    (source / "images").symlink_to(tmp_path / "disk")
    (source / "loop").symlink_to(source)
    assert list(loaded(source)) == ["a"]


def test_labels_as_jpeg_are_refused_by_name(tmp_path) -> None:
    put(tmp_path / "images" / "a.png", IMAGE)
    put(tmp_path / "masks" / "a.jpg", LABELS.astype(np.uint8))
    with pytest.raises(DatasetError, match=r"a\.jpg is a JPEG"):
        loaded(tmp_path)


def test_what_was_seen_is_named(tmp_path) -> None:
    text(tmp_path / "a.czi", "x")
    with pytest.raises(DatasetError, match=r"seen: 1 \.czi"):
        find_images(tmp_path)


def detections(labels: np.ndarray, **more: Any) -> list[dict[str, Any]]:
    return [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [ring(n, labels)]},
            "properties": {"objectType": "detection"},
        }
        | more
        for n in np.unique(labels[labels > 0])
    ]


def test_dots_in_names_are_part_of_them(tmp_path) -> None:
    put(tmp_path / "case7.png", IMAGE)
    put(tmp_path / "case7.2.png", IMAGE_B)
    text(tmp_path / "case7.geojson", detections(LABELS))
    text(tmp_path / "case7.2.geojson", detections(FLIPPED))
    found = loaded(tmp_path)
    assert same(found["case7"].labels)
    assert same(found["case7.2"].labels, FLIPPED)


def test_the_suffix_of_the_image_may_be_in_the_name_of_the_outlines(tmp_path) -> None:
    put(tmp_path / "a.ome.tif", IMAGE)
    text(tmp_path / "a.geojson", detections(LABELS))
    put(tmp_path / "b.png", IMAGE_B)
    text(tmp_path / "b.png.geojson", detections(FLIPPED))
    assert sorted(loaded(tmp_path)) == ["a", "b"]


def test_an_overlay_is_no_image(tmp_path) -> None:
    put(tmp_path / "images" / "a.png", IMAGE)
    put(tmp_path / "pred" / "overlay" / "a.png", IMAGE_B)
    (tmp_path / "pred" / "mat").mkdir()
    scipy.io.savemat(tmp_path / "pred" / "mat" / "a.mat", {"inst_map": LABELS})
    (found,) = loaded(tmp_path, kind="hovernet").values()
    assert np.array_equal(found.image, IMAGE)


def test_of_two_images_that_suit_equally_none_is_taken(tmp_path) -> None:
    put(tmp_path / "one" / "a.png", IMAGE)
    put(tmp_path / "two" / "a.png", IMAGE_B)
    text(tmp_path / "outlines" / "a.geojson", detections(LABELS))
    with pytest.raises(DatasetError, match=r"one.a\.png or to .*two.a\.png"):
        loaded(tmp_path, kind="qupath")


# COCO


def coco(path: Path, name: str, annotations: list[dict[str, Any]]) -> Path:
    image = {"id": 1, "file_name": name, "height": 64, "width": 80}
    of_it = [{"id": i, "image_id": 1, "category_id": 1} | a for i, a in enumerate(annotations, 1)]
    categories = [{"id": 1, "name": "nucleus"}]
    return text(path, {"images": [image], "annotations": of_it, "categories": categories})


def polygons(labels: np.ndarray = LABELS) -> list[dict[str, Any]]:
    return [{"segmentation": [np.ravel(ring(n, labels)).tolist()]} for n in range(1, 6)]


def runs(mask: np.ndarray) -> dict[str, Any]:
    flat = np.concatenate([[0], mask.ravel(order="F"), [0]])
    changes = np.flatnonzero(np.diff(flat)).tolist()
    counts = np.diff([0, *changes, mask.size]).tolist()
    return {"counts": counts, "size": list(mask.shape)}


def test_equal_names_in_two_splits_are_told_by_the_json(tmp_path) -> None:
    for split, image, labels in (("train", IMAGE, LABELS), ("val", IMAGE_B, FLIPPED)):
        put(tmp_path / split / "1.png", image)
        coco(tmp_path / "annotations" / f"instances_{split}.json", "1.png", polygons(labels))
    images = [found.load() for found in find_images(tmp_path)[0]]
    assert [np.array_equal(i.image, IMAGE) for i in images] == [same(i.labels) for i in images]
    assert sum(same(i.labels) for i in images) == 1
    os.rename(tmp_path / "annotations" / "instances_val.json", tmp_path / "annotations" / "b.json")
    with pytest.raises(DatasetError, match=r"1\.png of b\.json"):
        loaded(tmp_path)


def test_crowds_count_where_there_is_nothing_else(tmp_path) -> None:
    put(tmp_path / "a.png", IMAGE)
    crowds = [{"segmentation": runs(n == LABELS), "iscrowd": 1} for n in range(1, 6)]
    coco(tmp_path / "a.json", "a.png", crowds)
    found = loaded(tmp_path)["a"]
    assert np.array_equal(found.labels, LABELS)
    assert "all 5" in found.notes[0]
    coco(tmp_path / "a.json", "a.png", [*polygons()[:4], crowds[4]])
    found = loaded(tmp_path)["a"]
    assert same(found.labels, np.where(LABELS == 5, 0, LABELS))
    assert "1 crowds" in found.notes[0]


@pytest.mark.parametrize("none", [{}, {"segmentation": []}, {"segmentation": None}])
def test_a_box_without_outline_costs_itself_only(tmp_path, none) -> None:
    put(tmp_path / "a.png", IMAGE)
    coco(tmp_path / "a.json", "a.png", [*polygons()[:4], {"bbox": [1, 2, 3, 4], **none}])
    found = loaded(tmp_path)["a"]
    assert len(np.unique(found.labels)) == 5
    assert found.notes == ("1 annotations with a box only left out: 5",)


def test_run_lengths_without_end_are_refused(tmp_path) -> None:
    put(tmp_path / "a.png", IMAGE)
    endless = {"segmentation": {"counts": "o" * 100_000, "size": [64, 80]}}
    coco(tmp_path / "a.json", "a.png", [endless])
    with pytest.raises(DatasetError, match="damaged"):
        loaded(tmp_path)


# QuPath


@pytest.mark.parametrize("name", ["PathDetectionObject", "PathCellObject"])
def test_objects_of_qupath_0_2_are_known_by_their_id(tmp_path, name) -> None:
    put(tmp_path / "a.png", IMAGE)
    whole = [[0, 0], [80, 0], [80, 64], [0, 64], [0, 0]]
    others = [
        {
            "type": "Feature",
            "id": other,
            "geometry": {"type": "Polygon", "coordinates": [whole]},
            "properties": {},
        }
        for other in ("PathAnnotationObject", "PathRootObject", "PathTileObject")
    ]
    nuclei = detections(LABELS, id=name, properties={"isLocked": False})
    text(tmp_path / "a.geojson", [*nuclei, *others])
    assert same(loaded(tmp_path)["a"].labels)


def test_a_region_among_annotations_is_left_out_by_name(tmp_path) -> None:
    put(tmp_path / "a.png", IMAGE)
    box = [[1, 1], [79, 1], [79, 63], [1, 63], [1, 1]]
    region = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [box]},
        "properties": {"objectType": "annotation", "name": "ROI 4"},
    }
    nuclei = detections(LABELS, properties={"objectType": "annotation"})
    text(tmp_path / "a.geojson", [*nuclei, region])
    found = loaded(tmp_path)["a"]
    assert same(found.labels)
    assert any("1 regions" in note and "ROI 4" in note for note in found.notes)


def test_an_annotation_of_a_class_may_hold_all_its_nuclei(tmp_path) -> None:
    put(tmp_path / "a.png", IMAGE)
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "MultiPolygon", "coordinates": [[ring(n)] for n in numbers]},
            "properties": {"objectType": "annotation", "classification": {"name": name}},
        }
        for name, numbers in {"Tumour": (1, 2, 3), "Stroma": (4, 5)}.items()
    ]
    text(tmp_path / "a.geojson", features)
    found = loaded(tmp_path)["a"]
    assert same(found.labels)
    names = {found.type_names[int(t)] for t in np.unique(found.types[LABELS == 2])}
    assert names == {"Tumour"}


# XML and .mat


def asap(number: int, kind: str = "Polygon", group: str = "None") -> str:
    points = "".join(
        f'<Coordinate Order="{i}" X="{x}" Y="{y}"/>' for i, (x, y) in enumerate(ring(number))
    )
    return (
        f'<Annotation Name="n" Type="{kind}" PartOfGroup="{group}">'
        f"<Coordinates>{points}</Coordinates></Annotation>"
    )


def test_asap_is_read_with_its_groups(tmp_path) -> None:
    put(tmp_path / "a.png", IMAGE)
    body = "".join(
        asap(n, "Spline" if n == 2 else "Polygon", "Tumor" if n < 3 else "None")
        for n in range(1, 6)
    )
    dot = '<Annotation Type="Dot"><Coordinates><Coordinate X="1" Y="1"/></Coordinates></Annotation>'
    text(
        tmp_path / "a.xml",
        f"<ASAP_Annotations><Annotations>{body}{dot}</Annotations></ASAP_Annotations>",
    )
    found = loaded(tmp_path)["a"]
    assert same(found.labels)
    assert found.type_names == {1: "Tumor"}
    assert set(np.unique(found.types[LABELS == 2])) == {1}
    assert set(np.unique(found.types[LABELS == 3])) == {0}
    assert any("1 regions with fewer than 3 vertices" in note for note in found.notes)


def test_ellipses_and_rectangles_are_two_corners(tmp_path) -> None:
    put(tmp_path / "a.png", IMAGE)
    corners = {1: (7, 7, 18, 18), 4: (55, 35, 66, 46)}
    regions = "".join(
        f'<Region Type="{kind}"><Vertices><Vertex X="{left}" Y="{top}"/>'
        f'<Vertex X="{right}" Y="{bottom}"/></Vertices></Region>'
        for kind, (left, top, right, bottom) in zip("12", corners.values(), strict=True)
    )
    layer = f"<Annotation><Regions>{regions}</Regions></Annotation>"
    text(tmp_path / "a.xml", f"<Annotations>{layer}</Annotations>")
    labels = loaded(tmp_path)["a"].labels
    assert np.array_equal(labels == 1, LABELS == 1)
    ellipse = np.count_nonzero(labels == 2)
    assert abs(ellipse - np.pi * 5.5**2) < 6


def test_classes_may_be_a_table_of_nuclei(tmp_path) -> None:
    put(tmp_path / "Images" / "a.png", IMAGE)
    (tmp_path / "Labels").mkdir()
    ids, classes = np.array([[5], [4], [3], [2], [1]]), np.array([[2], [2], [1], [1], [1]])
    path = tmp_path / "Labels" / "a.mat"
    for table in ({"id": ids, "class": classes}, {"inst_type": classes[::-1]}):
        scipy.io.savemat(path, {"inst_map": LABELS, **table})
        found = loaded(tmp_path)["a"]
        assert np.array_equal(found.types, np.array([0, 1, 1, 1, 2, 2])[LABELS])
    scipy.io.savemat(path, {"inst_map": LABELS, "id": ids[:3], "class": classes})
    with pytest.raises(DatasetError, match="5 classes for 3 nuclei"):
        loaded(tmp_path)
