"""Every format is written here by other libraries or by hand, from one real crop, and read back."""

import gzip
import json
import math

import imageio.v3 as iio
import numpy as np
import pytest
import scipy.io
import tifffile
from skimage.measure import find_contours

from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.dataset.polygons import Polygon, as_ring, draw_nuclei
from napari_nudiff.dataset.prepared import Item, write_set
from napari_nudiff.dataset.readers import READERS, find_images
from napari_nudiff.dataset.readers.files import read_um_per_px
from napari_nudiff.dataset.readers.runs import decode_runs
from napari_nudiff.errors import DatasetError, RequestError


def load_one(source, kind=None):
    (found,), _ = find_images(source, kind)
    return found, found.load()


def outlines(labels):
    """Outlines x, y of each nucleus, from the corner of the first pixel; one ring or several."""
    for number in range(1, labels.max() + 1):
        contours = find_contours(np.pad(labels == number, 1).astype(float), 0.5)
        yield [contour[:, ::-1] - 1 + 0.5 for contour in contours]


def same_nuclei(read, labels) -> bool:
    """Whether two label images show the same nuclei, whatever their ids."""
    pairs = np.unique(np.stack([read.ravel(), labels.ravel()]), axis=1)
    return (
        len(pairs[0]) == len(np.unique(read)) == len(np.unique(labels))
        and ((read == 0) == (labels == 0)).all()
    )


def write_image(path, image, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    iio.imwrite(path, image, **options)


# Pairs


@pytest.mark.parametrize("folder", ["labels", "masks", "Masks", "instance_labels"])
@pytest.mark.parametrize("suffix", ["tif", "npy", "png"])
def test_pairs_in_two_folders(tmp_path, crop, folder, suffix) -> None:
    image, labels = crop
    write_image(tmp_path / "images" / "a.png", image)
    (tmp_path / folder).mkdir()
    path = tmp_path / folder / f"a.{suffix}"
    if suffix == "npy":
        np.save(path, labels)
    else:
        iio.imwrite(path, labels.astype(np.uint16))
    found, loaded = load_one(tmp_path)
    assert (found.name, found.source) == ("a", f"{tmp_path.name}/images/a.png")
    assert np.array_equal(loaded.image, image)
    assert np.array_equal(loaded.labels, labels)


@pytest.mark.parametrize("ending", ["_masks", "_mask", "_label", "_labels", "_cp_masks"])
def test_pairs_in_one_folder_and_what_cellpose_writes_beside(tmp_path, crop, ending) -> None:
    image, labels = crop
    tifffile.imwrite(tmp_path / "x_1.tif", image)
    tifffile.imwrite(tmp_path / f"x_1{ending}.tif", labels.astype(np.uint16))
    tifffile.imwrite(tmp_path / "x_1_flows.tif", image)
    found, loaded = load_one(tmp_path)
    assert found.name == "x_1"
    assert np.array_equal(loaded.labels, labels)


def test_a_partner_that_is_missing_is_said_for_each_image(tmp_path, crop) -> None:
    image, labels = crop
    write_image(tmp_path / "images" / "a.png", image)
    write_image(tmp_path / "images" / "b.png", image)
    write_image(tmp_path / "labels" / "b.tif", labels.astype(np.uint16))
    write_image(tmp_path / "labels" / "c.tif", labels.astype(np.uint16))
    found = {f.name: f for f in find_images(tmp_path)[0]}
    assert sorted(found) == ["a", "b", "c"]
    assert np.array_equal(found["b"].load().labels, labels)
    with pytest.raises(DatasetError, match=r"a\.png has no label image"):
        found["a"].load()
    with pytest.raises(DatasetError, match=r"c\.tif has no image"):
        found["c"].load()


def test_hidden_files_and_folders_are_not_data(tmp_path, crop) -> None:
    image, labels = crop
    for folder in ("", ".cache", "__MACOSX"):
        write_image(tmp_path / folder / "images" / "a.png", image)
        write_image(tmp_path / folder / "labels" / "a.tif", labels.astype(np.uint16))
    (tmp_path / "images" / "._a.png").write_bytes(b"resource fork")
    assert len(find_images(tmp_path)[0]) == 1


# HoVer-Net


def test_hovernet_in_train_and_test(tmp_path, crop) -> None:
    image, labels = crop
    for part, shift in (("Train", 0), ("Test", 1)):
        write_image(tmp_path / part / "Images" / f"{part.lower()}_1.png", image)
        write_image(tmp_path / part / "A overlay" / f"{part.lower()}_1.png", image // 2)
        (tmp_path / part / "Labels").mkdir()
        content = {"inst_map": np.roll(labels, shift, 0).astype(np.float64), "type_map": labels}
        scipy.io.savemat(tmp_path / part / "Labels" / f"{part.lower()}_1.mat", content)
    found, _ = find_images(tmp_path)
    assert [f.name for f in found] == ["test_1", "train_1"]
    assert np.array_equal(found[0].load().labels, np.roll(labels, 1, 0))
    assert np.array_equal(found[1].load().labels, labels)
    assert np.array_equal(found[1].load().image, image)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"type_map": np.eye(3)}, r"holds type_map; a HoVer-Net file has inst_map"),
        (b"MATLAB 5.0 MAT-file, cut", r"Cannot read x\.mat"),
        (None, "no image of the same stem"),
    ],
)
def test_mat_files_without_what_is_needed(tmp_path, crop, content, complaint) -> None:
    if content is not None:
        write_image(tmp_path / "x.png", crop[0])
    if isinstance(content, bytes):
        (tmp_path / "x.mat").write_bytes(content)
    else:
        scipy.io.savemat(tmp_path / "x.mat", content or {"inst_map": crop[1]})
    with pytest.raises(DatasetError, match=complaint):
        load_one(tmp_path)


# Polygons


def test_outlines_of_a_mask_cover_exactly_that_mask(crop) -> None:
    _, labels = crop
    nuclei = [[Polygon(ring) for ring in rings] for rings in outlines(labels)]
    drawn, lost = draw_nuclei(nuclei, labels.shape)
    assert np.array_equal(drawn, labels)
    assert lost == 0


def test_a_pixel_belongs_to_a_polygon_when_its_centre_does() -> None:
    def covered(x0, y0, x1, y1):
        ring = as_ring([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
        labels, _ = draw_nuclei([[Polygon(ring)]], (6, 8))
        rows, cols = np.nonzero(labels)
        return (rows.min(), rows.max(), cols.min(), cols.max()) if len(rows) else None

    assert covered(2, 1, 5, 4) == (1, 3, 2, 4)  # along the sides of pixels
    assert covered(2.4, 1.4, 4.6, 3.6) == (1, 3, 2, 4)  # centres are at 2.5 .. 4.5
    assert covered(2.6, 1.6, 4.4, 3.4) == (2, 2, 3, 3)
    assert covered(2.6, 1.6, 3.4, 2.4) is None
    assert covered(-9, -9, 99, 99) == (0, 5, 0, 7)


def test_holes_parts_and_order() -> None:
    def square(low, high):
        return as_ring([(low, low), (high, low), (high, high), (low, high)])

    ring = Polygon(square(0, 6), (square(2, 4),))
    labels, lost = draw_nuclei([[ring, Polygon(square(8, 9))], [Polygon(square(5, 7))]], (10, 10))
    assert (labels == 1).sum() == 36 - 4 + 1 - 1
    assert (labels == 2).sum() == 4
    assert labels[3, 3] == 0
    assert lost == 0
    too_few = as_ring([(1, 1), (8, 8)]), np.zeros((0, 2))
    assert draw_nuclei([[Polygon(ring)] for ring in too_few], (10, 10))[1] == 2
    covered = draw_nuclei([[Polygon(square(2, 4))], [Polygon(square(1, 5))]], (10, 10))
    assert covered[1] == 1


@pytest.mark.parametrize("points", [[], [1, 2], [[1, "a"]], [[0, 0], [math.nan, 1]], [[1], [1, 2]]])
def test_rings_that_are_none(points) -> None:
    with pytest.raises(DatasetError, match="outline"):
        as_ring(points)


# Aperio


def aperio(rings, head="", attributes='MicronsPerPixel="0.252000"', region="") -> str:
    """What ImageScope writes, with one region a ring."""
    regions = "".join(
        f'<Region Id="{i}" NegativeROA="0" {region}><Vertices>'
        + "".join(f'<Vertex X="{x!r}" Y="{y!r}" Z="0"/>' for x, y in np.asarray(ring).tolist())
        + "</Vertices></Region>"
        for i, ring in enumerate(rings, 1)
    )
    return (
        f'{head}<Annotations {attributes}><Annotation Id="1"><Regions>{regions}</Regions>'
        "</Annotation></Annotations>"
    )


def test_monuseg_folders_and_pixel_size(tmp_path, crop) -> None:
    image, labels = crop
    (tmp_path / "Tissue Images").mkdir()
    (tmp_path / "Annotations").mkdir()
    tifffile.imwrite(tmp_path / "Tissue Images" / "TCGA-18-5592-01Z.tif", image)
    text = aperio(rings[0] for rings in outlines(labels))
    (tmp_path / "Annotations" / "TCGA-18-5592-01Z.xml").write_text(text)
    found, loaded = load_one(tmp_path)
    assert found.name == "TCGA-18-5592-01Z"
    assert np.array_equal(loaded.labels, labels)
    assert loaded.um_per_px == 0.252


def test_later_regions_lie_over_earlier_ones(tmp_path) -> None:
    write_image(tmp_path / "x.png", np.zeros((10, 10, 3), np.uint8))
    big, small = [(0, 0), (8, 0), (8, 8), (0, 8)], [(4, 4), (9, 4), (9, 9), (4, 9)]
    (tmp_path / "x.xml").write_text(aperio([big, small, [(1, 1), (2, 2)]]))
    labels = load_one(tmp_path)[1].labels
    assert labels[5, 5] == 2
    assert ((labels == 1).sum(), (labels == 2).sum()) == (64 - 16, 25)
    (tmp_path / "x.xml").write_text(aperio([small, big]))
    assert load_one(tmp_path)[1].labels[5, 5] == 2


def test_negative_regions_are_no_nuclei(tmp_path) -> None:
    write_image(tmp_path / "x.png", np.zeros((10, 10, 3), np.uint8))
    ring = [(0, 0), (8, 0), (8, 8)]
    text = aperio([ring]).replace('NegativeROA="0"', 'NegativeROA="1"')
    (tmp_path / "x.xml").write_text(text)
    loaded = load_one(tmp_path)[1]
    assert not loaded.labels.any()
    assert "1 negative regions" in loaded.notes[0]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_xml_with_a_doctype_is_refused(tmp_path, encoding) -> None:
    write_image(tmp_path / "x.png", np.zeros((10, 10, 3), np.uint8))
    entities = '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;&b;">]>'
    (tmp_path / "x.xml").write_text(aperio([], head=entities), encoding=encoding)
    with pytest.raises(DatasetError, match=r"x\.xml declares a DOCTYPE"):
        load_one(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        aperio([[(0, 0), (5, 0), (5, 5)]])[:-20],
        aperio([[(0, 0), (5, 0), (5, 5)]]).replace('X="5"', 'X="five"'),
        aperio([[(0, 0), (5, 0), (5, 5)]]).replace("Y=", "W="),
        aperio([], attributes='MicronsPerPixel="a quarter"'),
    ],
)
def test_damaged_xml_is_named(tmp_path, text) -> None:
    write_image(tmp_path / "x.png", np.zeros((10, 10, 3), np.uint8))
    (tmp_path / "x.xml").write_text(text)
    with pytest.raises(DatasetError, match=r"Cannot read x\.xml"):
        load_one(tmp_path)


# QuPath


def feature(rings, kind="detection", **members):
    closed = [[*np.asarray(ring).tolist(), np.asarray(ring)[0].tolist()] for ring in rings]
    geometry = {"type": "Polygon", "coordinates": closed}
    properties = {"objectType": kind}
    return {"type": "Feature", "geometry": geometry, "properties": properties, **members}


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("suffix", [".geojson", ".json", ".tif.geojson"])
def test_qupath_collections_and_bare_lists(tmp_path, crop, bare, suffix) -> None:
    image, labels = crop
    tifffile.imwrite(tmp_path / "biopsy.tif", image, resolution=(40000, 40000), resolutionunit=3)
    features = [feature(rings[:1]) for rings in outlines(labels)]
    content = features if bare else {"type": "FeatureCollection", "features": features}
    (tmp_path / f"biopsy{suffix}").write_text(json.dumps(content))
    found, loaded = load_one(tmp_path)
    assert found.name == "biopsy"
    assert np.array_equal(loaded.labels, labels)
    assert loaded.um_per_px == 0.25


def square(low, high):
    return [(low, low), (high, low), (high, high), (low, high)]


def test_holes_multipolygons_nuclei_of_cells_and_what_is_no_nucleus(tmp_path) -> None:
    write_image(tmp_path / "x.png", np.zeros((40, 40, 3), np.uint8))
    parts = {"type": "MultiPolygon", "coordinates": [[square(20, 22)], [square(24, 26)]]}
    features = [
        feature([square(0, 6), square(2, 4)]),
        feature([square(30, 39)], "cell", nucleusGeometry=feature([square(33, 36)])["geometry"]),
        {**feature([square(0, 1)]), "geometry": parts},
        feature([square(0, 40)], "annotation"),
        feature([square(0, 40)], "tile"),
        {**feature([square(0, 1)]), "geometry": {"type": "Point", "coordinates": [3, 3]}},
    ]
    (tmp_path / "x.geojson").write_text(json.dumps(features))
    loaded = load_one(tmp_path)[1]
    assert np.bincount(loaded.labels.ravel()).tolist()[1:] == [36 - 4, 9, 8]
    assert any(note.startswith("2 objects that are no nuclei") for note in loaded.notes)
    assert any(note.startswith("1 objects that are no areas") for note in loaded.notes)


def test_annotations_are_nuclei_where_there_is_nothing_else(tmp_path) -> None:
    write_image(tmp_path / "x.png", np.zeros((40, 40, 3), np.uint8))
    content = [feature([square(0, 6)], "annotation"), feature([square(10, 12)], "annotation")]
    (tmp_path / "x.geojson").write_text(json.dumps(content))
    assert load_one(tmp_path)[1].labels.max() == 2


@pytest.mark.parametrize(
    "text",
    ['{"type": "FeatureCollection", "features": [{"ty', '"nuclei"', '{"features": [1]}',
     '[{"properties": [1], "geometry": null}]', '[{"geometry": "round"}]',
     '[{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [[[1, null]]]}}]',
     '[{"type": "Feature", "geometry": {"type": "Polygon"}}]', "[" * 100_000],
)  # fmt: skip
def test_damaged_geojson_is_named(tmp_path, text) -> None:
    write_image(tmp_path / "x.png", np.zeros((40, 40, 3), np.uint8))
    (tmp_path / "x.geojson").write_text(text)
    with pytest.raises(DatasetError, match=r"x\.geojson"):
        load_one(tmp_path)


# COCO


def runs(mask) -> list[int]:
    """Run lengths by the definition: column by column, background first."""
    lengths, value = [0], False
    for pixel in mask.T.ravel().tolist():
        if pixel != value:
            lengths.append(0)
            value = pixel
        lengths[-1] += 1
    return lengths


def compressed(lengths) -> str:
    """COCO's string of run lengths (maskApi.c, rleToString), written anew."""
    text = ""
    for i, length in enumerate(lengths):
        rest = length - (lengths[i - 2] if i > 2 else 0)
        while True:
            low, rest = rest & 31, rest >> 5
            last = rest == (-1 if low & 16 else 0)
            text += chr(48 + low + (0 if last else 32))
            if last:
                break
    return text


def as_polygon(mask):
    return [ring.ravel().tolist() for ring in next(outlines(mask.astype(int)))]


def as_plain_runs(mask):
    return {"size": list(mask.shape), "counts": runs(mask)}


def as_compressed_runs(mask):
    return {"size": list(mask.shape), "counts": compressed(runs(mask))}


def coco(labels, encode, file_name="images/a.png", **members):
    numbers = range(1, labels.max() + 1)
    annotations = [
        {"id": i, "image_id": 7, "iscrowd": 0, "segmentation": encode(labels == i)} for i in numbers
    ]
    height, width = labels.shape
    image = {"id": 7, "file_name": file_name, "height": height, "width": width}
    return {"images": [image], "annotations": annotations, "categories": [], **members}


@pytest.mark.parametrize("encode", [as_polygon, as_plain_runs, as_compressed_runs])
def test_coco_polygons_and_run_lengths(tmp_path, crop, encode) -> None:
    image, labels = crop
    write_image(tmp_path / "images" / "a.png", image)
    (tmp_path / "instances.json").write_text(json.dumps(coco(labels, encode)))
    found, loaded = load_one(tmp_path)
    assert found.name == "a"
    assert np.array_equal(loaded.labels, labels)


def test_our_run_lengths_are_those_of_pycocotools(crop) -> None:
    mask = pytest.importorskip("pycocotools.mask")
    for number in (1, 5, crop[1].max()):
        one = crop[1] == number
        theirs = mask.encode(np.asfortranarray(one.astype(np.uint8)))["counts"].decode()
        assert theirs == compressed(runs(one))
        found = np.zeros_like(one)
        found[decode_runs(theirs, one.shape, one.shape)] = True
        assert np.array_equal(found, one)


@pytest.mark.parametrize(
    ("source", "file_name"),
    [
        ("annotations/train.json", "a.png"),
        ("annotations/train.json", "images/a.png"),
        ("annotations/train.json", "C:\\data\\images\\a.png"),
        ("", "/home/somebody/elsewhere/images/a.png"),
    ],
)
def test_coco_images_are_found_below_the_source(tmp_path, crop, source, file_name) -> None:
    image, labels = crop
    write_image(tmp_path / "images" / "a.png", image)
    write_image(tmp_path / "thumbnails" / "a.png", image[:9, :9])
    (tmp_path / "annotations").mkdir()
    content = json.dumps(coco(labels, as_plain_runs, file_name))
    (tmp_path / "annotations" / "train.json").write_text(content)
    if file_name == "a.png":
        (tmp_path / "thumbnails" / "a.png").unlink()
    _, loaded = load_one(tmp_path / source)
    assert np.array_equal(loaded.labels, labels)


def test_crowds_are_left_out_with_a_note_and_images_may_be_empty(tmp_path, crop) -> None:
    image, labels = crop
    write_image(tmp_path / "images" / "a.png", image)
    write_image(tmp_path / "images" / "b.png", image)
    content = coco(labels, as_plain_runs)
    content["annotations"][2]["iscrowd"] = 1
    content["images"].append({"id": 8, "file_name": "images/b.png"})
    (tmp_path / "instances.json").write_text(json.dumps(content))
    a, b = (found.load() for found in find_images(tmp_path)[0])
    assert np.array_equal(a.labels > 0, (labels > 0) & (labels != 3))
    assert a.notes == ("1 crowds (iscrowd) left out",)
    assert not b.labels.any()


def broken(content, how):
    if how == "image size":
        content["images"][0]["height"] += 1
    elif how == "run lengths":
        content["annotations"][0]["segmentation"]["counts"][0] += 1
    elif how == "negative run":
        content["annotations"][0]["segmentation"]["counts"] = [-5, 5]
    elif how == "run size":
        content["annotations"][0]["segmentation"]["size"].reverse()
    elif how == "file":
        content["images"][0]["file_name"] = "c.png"
    elif how == "polygon":
        content["annotations"][0]["segmentation"] = [[1, 2, 3]]
    elif how == "keys":
        del content["annotations"][0]["image_id"]
    return json.dumps(content)[: -40 if how == "cut" else None]


@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ("image size", "the JSON says"),
        ("run lengths", "add up to"),
        ("negative run", "add up to"),
        ("run size", "run lengths are for"),
        ("file", r"names c\.png, which is not below"),
        ("polygon", "damaged"),
        ("keys", "no COCO file"),
        ("cut", r"Cannot read instances\.json as JSON"),
    ],
)
def test_damaged_coco_is_told(tmp_path, crop, how, complaint) -> None:
    image, labels = crop
    write_image(tmp_path / "images" / "a.png", image)
    (tmp_path / "instances.json").write_text(broken(coco(labels, as_plain_runs), how))
    with pytest.raises(DatasetError, match=complaint):
        load_one(tmp_path)


# PanNuke


def pannuke(folder, images, masks, types=None):
    (folder / "images" / "fold1").mkdir(parents=True)
    (folder / "masks" / "fold1").mkdir(parents=True)
    np.save(folder / "images" / "fold1" / "images.npy", images)
    np.save(folder / "masks" / "fold1" / "masks.npy", masks)
    if types is not None:
        np.save(folder / "images" / "fold1" / "types.npy", types)


def by_class(labels, unique_ids):
    """Six channels of PanNuke: nuclei dealt out to the five classes, and background."""
    masks = np.zeros((*labels.shape, 6))
    for i in range(1, labels.max() + 1):
        masks[labels == i, i % 5] = i if unique_ids else i // 5 + 1
    masks[labels == 0, 5] = 1
    return masks


@pytest.mark.parametrize("unique_ids", [True, False])
def test_pannuke_joins_the_classes(tmp_path, crop, unique_ids) -> None:
    image, labels = crop
    images = np.stack([image[:128, :128], image[:128, 20:148]]).astype(np.float64)
    layouts = labels[:128, :128], labels[:128, 20:148]
    masks = np.stack([by_class(layout, unique_ids) for layout in layouts])
    pannuke(tmp_path / "Fold 1", images, masks, np.array(["Breast", "Bile_duct"]))
    found, _ = find_images(tmp_path)
    assert [f.name for f in found] == ["fold1_00000_Breast", "fold1_00001_Bile-duct"]
    assert {f.group for f in found} == {"fold1"}
    for one, layout, image in zip(found, layouts, images, strict=True):
        loaded = one.load()
        assert same_nuclei(loaded.labels, layout)
        assert np.array_equal(loaded.image, image)
        assert loaded.um_per_px == 0.25


def test_each_pannuke_fold_gets_its_own_masks(tmp_path, crop) -> None:
    image, labels = crop
    for fold, shift in (("Fold 1", 0), ("Fold 2", 3)):
        layout = np.roll(labels, shift, 0)
        pannuke(tmp_path / fold, image[None].astype(float), by_class(layout, True)[None])
    first, second = (f.load() for f in find_images(tmp_path)[0])
    assert same_nuclei(first.labels, labels)
    assert same_nuclei(second.labels, np.roll(labels, 3, 0))


def test_damaged_pannuke_is_told(tmp_path, crop) -> None:
    image = crop[0].astype(float)[None]
    masks = by_class(crop[1], True)[None]
    pannuke(tmp_path / "shape", image, masks[:, 1:])
    with pytest.raises(DatasetError, match=r"\(N, height, width, 6\)"):
        find_images(tmp_path / "shape")
    pannuke(tmp_path / "half", image, masks + 0.5)
    with pytest.raises(DatasetError, match="whole number"):
        load_one(tmp_path / "half")
    objects = np.array([{"pickled": 1}], dtype=object)
    pannuke(tmp_path / "objects", objects, masks)
    with pytest.raises(DatasetError, match=r"Cannot read images\.npy"):
        find_images(tmp_path / "objects")


# Any


def test_labels_with_pickles_are_not_loaded(tmp_path, crop) -> None:
    write_image(tmp_path / "images" / "a.png", crop[0])
    (tmp_path / "labels").mkdir()
    np.save(tmp_path / "labels" / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DatasetError, match=r"Cannot read a\.npy"):
        load_one(tmp_path)


def test_a_prepared_set_keeps_its_groups_and_pixel_sizes(tmp_path, crop) -> None:
    image, labels = crop
    item = Item("a", "patient 3", "train", *labels.shape, 4, 0.5, "x", "0")
    write_set(tmp_path / "set", [(item, Pair(Layout(labels), image))], {})
    found, loaded = load_one(tmp_path / "set")
    assert (found.name, found.group, loaded.um_per_px) == ("a", "patient 3", 0.5)
    assert np.array_equal(loaded.labels, labels)


def test_sources_that_hold_nothing_or_are_not_there(tmp_path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "settings.json").write_text("{broken")
    with pytest.raises(DatasetError, match="No labelled images"):
        find_images(tmp_path)
    with pytest.raises(DatasetError, match="of kind coco"):
        find_images(tmp_path, "coco")
    with pytest.raises(DatasetError, match="does not exist"):
        find_images(tmp_path / "nowhere")
    with pytest.raises(RequestError, match=r"no kind dicom; known are .*pairs"):
        find_images(tmp_path, "dicom")


def test_of_two_kinds_that_with_most_images_counts_and_the_other_is_noted(tmp_path, crop) -> None:
    image, labels = crop
    for stem in "ab":
        write_image(tmp_path / "images" / f"{stem}.png", image)
        write_image(tmp_path / "labels" / f"{stem}.tif", labels.astype(np.uint16))
    (tmp_path / "a.geojson").write_text("[]")
    found, (problem,) = find_images(tmp_path)
    assert len(found) == 2
    assert (problem.level, problem.what) == ("note", "other kinds")
    assert "qupath" in problem.detail
    assert len(find_images(tmp_path, "qupath")[0]) == 1
    assert set(READERS) >= {"pairs", "qupath"}


def test_images_without_annotations_are_a_warning(tmp_path, crop) -> None:
    for stem in "abc":
        write_image(tmp_path / f"{stem}.png", crop[0])
    (tmp_path / "b.geojson").write_text("[]")
    found, (problem,) = find_images(tmp_path)
    assert [f.name for f in found] == ["b"]
    assert (problem.level, problem.what) == ("warning", "no annotations")
    assert "2 images have none" in problem.detail
    assert "a.png" in problem.detail


def test_damaged_annotations_beside_good_ones_are_a_warning(tmp_path, crop) -> None:
    image, labels = crop
    write_image(tmp_path / "images" / "a.png", image)
    write_image(tmp_path / "labels" / "a.tif", labels.astype(np.uint16))
    (tmp_path / "coco.json").write_text('{"images": [], "annotations": [')
    found, (problem,) = find_images(tmp_path)
    assert len(found) == 1
    assert (problem.level, problem.what) == ("warning", "damaged")
    assert "coco.json" in problem.detail


@pytest.mark.parametrize(
    ("options", "um_per_px"),
    [
        ({"resolution": (40000, 40000), "resolutionunit": "CENTIMETER"}, 0.25),
        ({"resolution": (50800, 50800), "resolutionunit": "INCH"}, 0.5),
        ({"resolution": (72, 72), "resolutionunit": "INCH"}, None),
        ({"resolution": (4, 4), "imagej": True, "metadata": {"unit": "um"}}, 0.25),
        ({"ome": True, "metadata": {"PhysicalSizeX": 0.23, "PhysicalSizeXUnit": "µm"}}, 0.23),
        ({"ome": True, "metadata": {"PhysicalSizeX": 230, "PhysicalSizeXUnit": "nm"}}, 0.23),
        ({"description": "Aperio Image\n40000x30000 |AppMag = 40|MPP = 0.2520"}, 0.252),
        ({}, None),
    ],
)
def test_pixel_sizes_of_tiffs(tmp_path, crop, options, um_per_px) -> None:
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, crop[0], photometric="rgb", **options)
    assert read_um_per_px(path) == um_per_px


def test_pixel_sizes_of_other_files(tmp_path, crop) -> None:
    iio.imwrite(tmp_path / "x.png", crop[0], dpi=(50800, 50800))
    assert read_um_per_px(tmp_path / "x.png") == pytest.approx(0.5, rel=1e-3)
    iio.imwrite(tmp_path / "screen.png", crop[0], dpi=(96, 96))
    assert read_um_per_px(tmp_path / "screen.png") is None
    (tmp_path / "x.tif").write_bytes(gzip.compress(b"no TIFF"))
    assert read_um_per_px(tmp_path / "x.tif") is None
