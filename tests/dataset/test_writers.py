"""Every format comes back as it was written."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from napari_nudiff.dataset.writers import FORMATS
from napari_nudiff.dataset.writers.marked import read_mark, write_marked_png, write_marked_tiff
from napari_nudiff.dataset.writers.member import Member, Shard, Whole
from napari_nudiff.errors import RequestError

NAMES = ("neoplastic", "dead")


def tricky_labels(seed: int = 0) -> np.ndarray:
    """Nuclei that touch, one cut by the border, one with a hole, on 256 x 256 px."""
    rows, cols = np.mgrid[:256, :256]
    labels = np.zeros((256, 256), np.uint16)
    rng = np.random.default_rng(seed)
    for row, col, radius in [(40, 40, 20), (40, 79, 20), (2, 150, 15), (150, 150, 25)]:
        shifted = np.hypot(rows - row - rng.integers(3), cols - col) < radius
        labels[shifted] = labels.max() + 1
    labels[np.hypot(rows - 151, cols - 150) < 6] = 0
    return labels


@pytest.fixture
def members() -> list[Member]:
    rng = np.random.default_rng(0)
    made = []
    for i in range(3):
        labels = tricky_labels(i) if i < 2 else np.zeros((256, 256), np.uint16)
        image = rng.integers(0, 255, (256, 256, 3), dtype=np.uint8)
        count = int(labels.max())
        classes = np.arange(count) % 2 + 1
        provenance = {"synthetic": i != 1, "note": "naïve µm", "layout": {"shape": [2, 3]}}
        made.append(Member(f"pair_{i}", image, labels, classes, 0.25, provenance))
    return made


def written(folder, name, members):
    """A set of two training shards and one of tests, finished."""
    form = FORMATS[name]
    shards = [("train", 0, members[:1]), ("train", 1, members[1:2]), ("test", 0, members[2:])]
    for split, number, inside in shards:
        form.write(folder, Shard(split, number, tuple(inside), NAMES))
    form.finish(folder, Whole("A set", {"train": 2, "test": 1}, NAMES, "CC BY 4.0"))
    return form


def numbered(labels):
    """Nuclei in the order in which they appear: PanNuke numbers those of each class apart."""
    ids, first = np.unique(labels, return_index=True)
    order = ids[np.argsort(first)]
    order = order[order > 0]
    table = np.zeros(int(labels.max()) + 1, int)
    table[order] = np.arange(1, len(order) + 1)
    return table[labels]


def files_in(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", FORMATS)
def test_what_was_written_comes_back(tmp_path, name, members):
    for package in FORMATS[name].packages:
        pytest.importorskip(package)
    form = written(tmp_path, name, members)
    found = {entry.name: entry for entry in form.read(tmp_path)}
    assert sorted(found) == [m.name for m in members]
    assert [found[m.name].group for m in members] == ["train", "train", "test"]
    for member in members:
        loaded = found[member.name].load()
        np.testing.assert_array_equal(loaded.image, member.image)
        if form.exact:
            np.testing.assert_array_equal(numbered(loaded.labels), numbered(member.labels))
        else:
            # The fourth has a hole, so it is drawn first; they have no holes in these formats.
            order = (4, 1, 2, 3) if member.labels.any() else ()
            for number, nucleus in enumerate(order, start=1):
                whole = ndimage.binary_fill_holes(member.labels == nucleus)
                np.testing.assert_array_equal(loaded.labels == number, whole)


@pytest.mark.parametrize("name", [name for name, form in FORMATS.items() if not form.cuts])
def test_a_nucleus_in_the_hole_of_another_is_not_lost(tmp_path, name):
    for package in FORMATS[name].packages:
        pytest.importorskip(package)
    labels = np.zeros((64, 64), np.uint16)
    labels[20:25, 20:25] = 1  # in the hole of 2, which is drawn after it
    labels[10:50, 10:50] = np.where(labels[10:50, 10:50] == 1, 1, 2)
    labels[18:28, 18:28] = np.where(labels[18:28, 18:28] == 1, 1, 0)
    member = Member("x", np.zeros((64, 64, 3), np.uint8), labels, np.array([1, 1]))
    FORMATS[name].write(tmp_path, Shard("train", 0, (member,), NAMES))
    FORMATS[name].finish(tmp_path, Whole("A set", {"train": 1}, NAMES))
    (found,) = FORMATS[name].read(tmp_path)
    assert len(np.unique(found.load().labels)) == 3


@pytest.mark.parametrize("name", FORMATS)
def test_shards_written_again_leave_the_same_files(tmp_path, name, members):
    for package in FORMATS[name].packages:
        pytest.importorskip(package)
    once, twice = tmp_path / "once", tmp_path / "twice"
    written(once, name, members)
    FORMATS[name].write(twice, Shard("train", 0, tuple(members[:1]), NAMES))
    written(twice, name, members)
    assert files_in(once) == files_in(twice)


@pytest.mark.parametrize("write, ending", [(write_marked_png, "png"), (write_marked_tiff, "tif")])
def test_images_say_where_they_came_from(tmp_path, members, write, ending):
    synthetic, real, _ = members
    for member in (synthetic, real):
        path = tmp_path / f"{member.name}.{ending}"
        write(path, member)
        assert read_mark(path) == member.provenance
        is_marked = b"digitalsourcetype/trainedAlgorithmicMedia" in path.read_bytes()
        assert is_marked == member.synthetic


def test_png_knows_its_resolution(tmp_path, members):
    write_marked_png(tmp_path / "x.png", members[0])
    with Image.open(tmp_path / "x.png") as image:
        assert 25400 / image.info["dpi"][0] == pytest.approx(0.25, rel=1e-3)


def test_pannuke_uses_its_own_channels(tmp_path, members):
    written(tmp_path, "pannuke", members)
    masks = np.load(tmp_path / "train" / "masks.npy")
    labels = members[0].labels
    np.testing.assert_array_equal(masks[0, ..., 0], np.where(labels % 2 == 1, labels, 0))
    np.testing.assert_array_equal(masks[0, ..., 3], np.where(labels % 2 == 0, labels, 0))
    np.testing.assert_array_equal(masks[0, ..., 5], labels == 0)


def test_pannuke_cuts_large_images_into_patches(tmp_path, members):
    big = Member(
        "big",
        np.tile(members[0].image, (2, 3, 1))[:600],
        np.tile(members[0].labels, (2, 3))[:600],
        members[0].classes,
    )
    FORMATS["pannuke"].write(tmp_path, Shard("train", 0, (big,), NAMES))
    FORMATS["pannuke"].finish(tmp_path, Whole("x", {"train": 1}, NAMES))
    assert np.load(tmp_path / "train" / "images.npy").shape == (6, 256, 256, 3)


@pytest.mark.parametrize("side, names", [(100, NAMES), (256, ("dead", "mitosis"))])
def test_pannuke_refuses_what_it_cannot_hold(tmp_path, side, names):
    blank = np.zeros((side, side), np.uint16)
    member = Member("x", np.zeros((side, side, 3), np.uint8), blank, np.zeros(0, np.int64))
    with pytest.raises(RequestError, match="PanNuke"):
        FORMATS["pannuke"].write(tmp_path, Shard("train", 0, (member,), names))


def test_yolo_names_a_split_for_validation(tmp_path, members):
    written(tmp_path, "yolo", members)
    assert "val: images/test" in (tmp_path / "data.yaml").read_text()


def test_coco_numbers_annotations_through_all_shards(tmp_path, members):
    pytest.importorskip("pycocotools")
    written(tmp_path, "coco", members)
    content = json.loads((tmp_path / "annotations" / "instances_train.json").read_text())
    assert [a["id"] for a in content["annotations"]] == list(range(1, 9))
    assert [i["id"] for i in content["images"]] == [1, 2]
    assert content["categories"][1]["name"] == "dead"
