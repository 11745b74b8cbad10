"""Sets are read by the programs that they are for, with those programs' own code."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import ndimage


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return np.count_nonzero(a & b) / np.count_nonzero(a | b)


@pytest.mark.parametrize("split", ["train", "val"])
def test_cellpose(exported, split):
    cellpose_io = pytest.importorskip("cellpose.io")
    made = exported("cellpose")
    told = cellpose_io.load_train_test_data(str(made.folder / split), mask_filter="_masks")
    images, masks, files = told[:3]
    assert len(images) == len(made.in_split(split))
    for image, mask, file in zip(images, masks, files, strict=True):
        name = str(file).replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".tif")
        np.testing.assert_array_equal(image, made.image(name))
        np.testing.assert_array_equal(mask, made.labels(name))


def test_stardist(exported):
    """As its notebooks do: sorted globs, imread, and its own checks of labels and distances."""
    stardist = pytest.importorskip("stardist")
    from stardist import fill_label_holes, star_dist
    from stardist.matching import matching
    from tifffile import imread

    assert stardist.__version__
    made = exported("stardist")
    images = sorted((made.folder / "train" / "images").glob("*.tif"))
    masks = sorted((made.folder / "train" / "masks").glob("*.tif"))
    assert [p.name for p in images] == [p.name for p in masks]
    assert len(images) == len(made.in_split("train"))
    for image_path, mask_path in zip(images, masks, strict=True):
        labels = imread(mask_path)
        np.testing.assert_array_equal(imread(image_path), made.image(image_path.stem))
        np.testing.assert_array_equal(labels, made.labels(mask_path.stem))
        filled = fill_label_holes(labels)
        assert matching(made.labels(mask_path.stem), filled, thresh=0.9).fp == 0
        assert (star_dist(filled, 32).max(axis=-1) > 0).sum() == np.count_nonzero(filled)


def test_hovernet_mat(exported):
    """As CoNSeP's loader does: loadmat(...)["inst_map"] and ["type_map"]."""
    from scipy.io import loadmat

    made = exported("hovernet")
    for name in made.in_split("train"):
        told = loadmat(made.folder / "train" / "Labels" / f"{name}.mat")
        np.testing.assert_array_equal(told["inst_map"], made.labels(name))
        types = np.array([0, *made.classes(name)])
        np.testing.assert_array_equal(told["type_map"], types[made.labels(name)])
        np.testing.assert_array_equal(told["inst_type"].ravel(), made.classes(name))
        numbers = range(1, len(types))
        centres = ndimage.center_of_mass(made.labels(name) > 0, made.labels(name), numbers)
        expected = np.array(centres).reshape(-1, 2)[:, ::-1]
        np.testing.assert_allclose(told["inst_centroid"].reshape(-1, 2), expected)
        assert (made.folder / "train" / "Images" / f"{name}.png").is_file()


def test_hovernet_patches(exported):
    """As its training loader does: img = data[..., :3], ann = data[..., 3:]."""
    made = exported("hovernet-patches")
    for name in made.in_split("train"):
        data = np.load(made.folder / "train" / f"{name}.npy")
        np.testing.assert_array_equal(data[..., :3].astype("uint8"), made.image(name))
        ann = data[..., 3:].astype("int32")
        np.testing.assert_array_equal(ann[..., 0], made.labels(name))
        assert ann.shape[2] == 2 and data.dtype == np.int32


def test_pannuke(exported):
    """As its users do: a channel a class, the last the background."""
    made = exported("pannuke")
    images, masks, types = (
        np.load(made.folder / "train" / f"{name}.npy") for name in ("images", "masks", "types")
    )
    names = json.loads((made.folder / "train" / "names.json").read_text())
    assert images.shape[1:] == (256, 256, 3) and masks.shape[1:] == (256, 256, 6)
    assert len(types) == len(images) == len(made.in_split("train"))
    for place, name in enumerate(names):
        np.testing.assert_array_equal(images[place], made.image(name))
        labels = made.labels(name)
        np.testing.assert_array_equal(masks[place, ..., :5].max(axis=-1), labels)
        channels = {"epithelial": 4, "dead": 3}
        for nucleus, number in enumerate(made.classes(name), start=1):
            channel = channels[made.plan.class_names[number - 1]]
            assert (masks[place, ..., channel][labels == nucleus] == nucleus).all()


@pytest.mark.parametrize("name, least", [("coco", 1.0), ("coco-polygons", 0.93)])
def test_coco(exported, name, least):
    coco_module = pytest.importorskip("pycocotools.coco")
    made = exported(name)
    coco = coco_module.COCO(str(made.folder / "annotations" / "instances_train.json"))
    assert len(coco.imgs) == len(made.in_split("train"))
    categories = {c["id"]: c["name"] for c in coco.loadCats(coco.getCatIds())}
    assert tuple(categories.values()) == made.plan.class_names
    for image in coco.loadImgs(coco.getImgIds()):
        stem = image["file_name"].removesuffix(".png")
        assert (made.folder / "train" / image["file_name"]).is_file()
        annotations = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
        order = made.order(stem, as_outlines=least < 1)
        assert [a["category_id"] for a in annotations] == [made.classes(stem)[i - 1] for i in order]
        for nucleus, annotation in zip(order, annotations, strict=True):
            truth = made.labels(stem) == nucleus
            if least < 1:
                truth = ndimage.binary_fill_holes(truth)
            assert iou(coco.annToMask(annotation) > 0, truth) >= least


def test_torchvision(exported):
    pytest.importorskip("pycocotools")
    try:
        from torchvision.datasets import CocoDetection
    except Exception as error:  # of another torch than the one installed
        pytest.skip(f"torchvision: {error}")
    made = exported("coco")
    annotations = made.folder / "annotations" / "instances_train.json"
    found = CocoDetection(str(made.folder / "train"), str(annotations))
    image, target = found[0]
    assert np.asarray(image).shape == (256, 256, 3) and len(target) in (0, 5)


def test_ultralytics(exported):
    pytest.importorskip("ultralytics")
    from ultralytics.cfg import get_cfg
    from ultralytics.data import YOLODataset
    from ultralytics.data.utils import check_det_dataset

    made = exported("yolo")
    data = check_det_dataset(str(made.folder / "data.yaml"), autodownload=False)
    assert tuple(data["names"].values()) == made.plan.class_names
    config = get_cfg(overrides={"imgsz": 256, "task": "segment", "overlap_mask": False})
    found = YOLODataset(
        data["train"], data=data, task="segment", augment=False, imgsz=256, hyp=config
    )
    assert len(found) == len(made.in_split("train"))
    for place in range(len(found)):
        entry = found.get_image_and_label(place)
        stem = str(entry["im_file"]).replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".png")
        order = made.order(stem, as_outlines=True)
        told = (entry["cls"].ravel().astype(int) + 1).tolist()
        assert told == [made.classes(stem)[i - 1] for i in order]
        masks = found[place]["masks"].numpy()
        assert len(masks) == len(made.classes(stem)) or not made.classes(stem)
        scale = 256 // masks.shape[-1]
        for nucleus, mask in zip(order, masks, strict=bool(order)):
            truth = ndimage.binary_fill_holes(made.labels(stem) == nucleus)
            parts, _ = ndimage.label(truth)
            truth = parts == np.argmax(np.bincount(parts.ravel())[1:]) + 1
            drawn = mask.repeat(scale, 0).repeat(scale, 1) > 0
            assert iou(drawn, truth) > 0.6  # it draws masks at a quarter of the size


def test_qupath(exported):
    """By the format of its documentation, and by shapely's rasterised geometry."""
    shapely = pytest.importorskip("shapely")
    from shapely.geometry import shape

    made = exported("qupath")
    for name in made.in_split("train"):
        content = json.loads((made.folder / "train" / f"{name}.geojson").read_text())
        assert content["type"] == "FeatureCollection"
        labels = made.labels(name)
        assert len(content["features"]) == labels.max()
        rows, cols = np.mgrid[:256, :256]
        for nucleus, feature in enumerate(content["features"], start=1):
            assert feature["type"] == "Feature"
            assert feature["properties"]["objectType"] == "detection"
            number = made.classes(name)[nucleus - 1]
            told = feature["properties"]["classification"]["name"]
            assert told == made.plan.class_names[number - 1]
            outline = shape(feature["geometry"])
            assert outline.is_valid
            inside = shapely.contains_xy(outline, cols + 0.5, rows + 0.5)
            np.testing.assert_array_equal(inside, labels == nucleus)


def test_ome_tiff(exported):
    import tifffile

    made = exported("ome-tiff")
    for name in made.in_split("train"):
        with tifffile.TiffFile(made.folder / "train" / f"{name}.ome.tif") as tiff:
            assert tiff.is_ome and tiff.series[0].axes == "YXS"
            np.testing.assert_array_equal(tiff.asarray(), made.image(name))
            pixels = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Pixels"]
            assert (pixels["PhysicalSizeX"], pixels["PhysicalSizeXUnit"]) == (0.25, "µm")
            assert "synthetic" in tiff.ome_metadata
        labels = tifffile.imread(made.folder / "train" / f"{name}_labels.ome.tif")
        np.testing.assert_array_equal(labels, made.labels(name))


def test_ome_zarr(exported):
    pytest.importorskip("ome_zarr")
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    made = exported("ome-zarr")
    for name in made.in_split("train"):
        nodes = list(Reader(parse_url(made.folder / "train" / f"{name}.ome.zarr"))())
        image, labels = (np.asarray(nodes[i].data[0]) for i in (0, -1))
        np.testing.assert_array_equal(np.moveaxis(image, 0, -1), made.image(name))
        np.testing.assert_array_equal(labels, made.labels(name))


def test_napari_ome_zarr(exported):
    reader = pytest.importorskip("napari_ome_zarr")
    made = exported("ome-zarr")
    name = made.in_split("train")[0]
    read = reader.napari_get_reader(str(made.folder / "train" / f"{name}.ome.zarr"))
    layers = read()
    found = [layer for layer in layers if layer[2:] and layer[2] == "labels"]
    np.testing.assert_array_equal(np.asarray(found[0][0][0]), made.labels(name))


def test_hugging_face_folder(exported, tmp_path):
    datasets = pytest.importorskip("datasets")
    made = exported("imagefolder")
    found = datasets.load_dataset(str(made.folder), cache_dir=str(tmp_path))
    _compare_with_hugging_face(found, made)


def test_hugging_face_parquet(exported, tmp_path):
    datasets = pytest.importorskip("datasets")
    made = exported("parquet")
    found = datasets.load_dataset(str(made.folder), cache_dir=str(tmp_path))
    _compare_with_hugging_face(found, made)
    assert json.loads(found["train"][0]["provenance"])["request"]["seed"] is not None


@pytest.mark.parametrize("name", ["imagefolder", "parquet"])
def test_hugging_face_does_not_take_one_set_for_another(exported, tmp_path, name):
    """Its cache goes by the name of the folder and the header of the card."""
    datasets = pytest.importorskip("datasets")
    for val in (0.25, 0.5):
        made = exported(name, val=val)
        found = datasets.load_dataset(str(made.folder), cache_dir=str(tmp_path))
        _compare_with_hugging_face(found, made)


def _compare_with_hugging_face(found, made):
    assert set(found) == {"train", "validation"}
    assert len(found["train"]) == len(made.in_split("train"))
    for row, name in zip(found["train"], made.in_split("train"), strict=True):
        np.testing.assert_array_equal(np.asarray(row["image"]), made.image(name))
        np.testing.assert_array_equal(np.asarray(row["labels"]), made.labels(name))
        told = row["classes"]
        numbers = [int(n) for n in told.split()] if isinstance(told, str) else told
        assert numbers == made.classes(name)
        assert row["synthetic"] and row["um_per_px"] == 0.25


def test_webdataset(exported):
    webdataset = pytest.importorskip("webdataset")
    made = exported("webdataset")
    url = (made.folder / "train-000000.tar").as_uri().replace("file://", "file:")
    found = list(webdataset.WebDataset(url, shardshuffle=False).decode("pil"))
    assert sorted(entry["__key__"] for entry in found) == sorted(made.in_split("train"))
    for entry in found:
        name = entry["__key__"]
        np.testing.assert_array_equal(np.asarray(entry["png"]), made.image(name))
        np.testing.assert_array_equal(entry["labels.npy"], made.labels(name))
        assert entry["json"]["classes"] == made.classes(name)
