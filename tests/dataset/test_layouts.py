"""Layouts without images, and classes of nuclei, through prepared sets."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from napari_nudiff.dataset.candidates import find_real
from napari_nudiff.dataset.checks import Rules
from napari_nudiff.dataset.classes import read_classes, write_classes
from napari_nudiff.dataset.images import write_layout, write_rgb
from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.dataset.pairs import load_layouts, load_pairs
from napari_nudiff.dataset.preparation import prepare
from napari_nudiff.dataset.sheet import COLOURS, draw_tile
from napari_nudiff.dataset.survey import PrepareConfig, survey
from napari_nudiff.errors import DatasetError, RequestError

NAMES = {1: "tumour", 2: "stroma", 3: "tumour", 4: "lymphocyte"}
CORNERS = {1: (10, 10), 2: (10, 100), 3: (100, 10), 4: (100, 110)}


def layout(shift=0, ids=(5, 9, 20, 21)):
    """Four squares whose ids have gaps."""
    labels = np.zeros((160, 180), np.uint16)
    for (row, column), number in zip(CORNERS.values(), ids, strict=True):
        labels[row + shift : row + shift + 30, column : column + 30] = number
    return labels


def classes(ids=(5, 9, 20, 21)):
    return dict(zip(ids, NAMES.values(), strict=True))


@pytest.fixture
def lab(tmp_path):
    """Three layouts with classes, no images."""
    for i, stem in enumerate(["p1_a", "p1_b", "p2_a"]):
        write_layout(tmp_path / "lab" / "labels" / f"{stem}.tif", layout(i))
        write_classes(tmp_path / "lab" / "classes" / f"{stem}.csv", classes())
    return tmp_path / "lab"


@pytest.fixture
def with_images(lab):
    for i, path in enumerate(sorted((lab / "labels").iterdir())):
        shade = np.repeat(np.where(layout(i) > 0, 90, 220)[..., None], 3, 2).astype(np.uint8)
        write_rgb(lab / "images" / f"{path.stem}.png", shade)
    return lab


def make(out, sources, **options):
    write = {k: options.pop(k) for k in ("sheets",) if k in options}
    config = PrepareConfig(sources, group_by="^(p[0-9])", **options)
    return prepare(out, survey(config), config, **write)


def test_layouts_become_a_set_without_images(tmp_path, lab) -> None:
    index = make(tmp_path / "set", (lab,), kind="layouts", held_out_groups=("p2",))
    assert not index.has_images
    assert index.class_names == ("lymphocyte", "stroma", "tumour")
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == [
        "classes",
        "dataset.json",
        "labels",
        "problems.csv",
    ]
    assert json.loads((tmp_path / "set" / "dataset.json").read_text())["images"] is False
    training, held_out = load_layouts(tmp_path / "set")
    assert [(p.name, p.group) for p in training] == [("p1_a", "p1"), ("p1_b", "p1")]
    assert [p.name for p in held_out] == ["p2_a"]
    assert held_out[0].classes == NAMES
    assert np.array_equal(held_out[0].labels > 0, layout(2) > 0)


def test_sets_of_layouts_are_refused_where_images_are_needed(tmp_path, lab) -> None:
    make(tmp_path / "set", (lab,), kind="layouts")
    with pytest.raises(DatasetError, match=r"layouts without images.*structure model"):
        load_pairs(tmp_path / "set")
    (candidate, *_) = find_real(tmp_path / "set")
    with pytest.raises(DatasetError, match="layout without an image"):
        candidate.load()
    with pytest.raises(DatasetError, match="No labelled images"):
        make(tmp_path / "again", (lab,))
    with pytest.raises(RequestError, match="--subset"):
        PrepareConfig((lab,), kind="layouts", subset_percent=10)
    with pytest.raises(DatasetError, match="layouts alone"):
        make(tmp_path / "subset", (tmp_path / "set",), subset_percent=50)


def test_the_same_layout_in_both_splits_is_an_error(tmp_path, lab) -> None:
    write_layout(lab / "labels" / "p2_a.tif", layout(0))
    config = PrepareConfig((lab,), kind="layouts", group_by="^(p.)", held_out_groups=("p2",))
    assert "duplicate across splits" in {p.what for p in survey(config).problems}


def test_layouts_of_a_set_with_images_and_of_bare_folders(tmp_path, with_images) -> None:
    make(tmp_path / "set", (with_images,), held_out_groups=("p2",))
    training, _ = load_layouts(tmp_path / "set")
    pairs, _ = load_pairs(tmp_path / "set")
    assert [p.name for p in training] == [p.name for p in pairs]
    assert training[0].classes == pairs[0].classes == NAMES
    assert np.array_equal(training[0].labels, pairs[0].labels)
    bare, out = load_layouts(with_images, held_out=["p2_*"])
    assert [p.name for p in bare] == ["p1_a", "p1_b"]
    assert out[0].classes == classes()
    assert out[0].um_per_px is None
    with pytest.raises(DatasetError, match=r"No labels/\*\.tif"):
        load_layouts(tmp_path)


def test_images_can_be_left_out_and_never_by_halves(tmp_path, lab, with_images) -> None:
    make(tmp_path / "set", (with_images,), held_out_groups=("p2",))
    index = make(tmp_path / "layouts", (tmp_path / "set",), kind="layouts")
    assert [(i.name, i.group) for i in index.items] == [
        ("p1_a", "p1"),
        ("p1_b", "p1"),
        ("p2_a", "p2"),
    ]
    assert not (tmp_path / "layouts" / "images").exists()
    problems = survey(PrepareConfig((tmp_path / "layouts", tmp_path / "set"))).problems
    assert {p.what for p in problems if p.level == "error"} == {"no image"}


def test_label_files_anywhere_are_layouts(tmp_path) -> None:
    write_layout(tmp_path / "a" / "x_masks.tif", layout())
    (tmp_path / "a" / "x.txt").write_text("")
    write_layout(tmp_path / "b" / "y.tif", layout(1))
    config = PrepareConfig((tmp_path / "a", tmp_path / "b"), kind="layouts")
    assert [record.found.name for record in survey(config).records] == ["x", "y"]


# Classes


def test_classes_follow_their_nuclei_into_patches(tmp_path, with_images) -> None:
    make(tmp_path / "set", (with_images,), subset_percent=100, patch_px=64, stride_px=32)
    pairs, _ = load_pairs(tmp_path / "set")
    seen = set()
    for pair in pairs:
        top, left = (int(part[1:]) for part in pair.name.split("_")[-2:])
        shift = "ab".index(pair.name[3]) if pair.name[1] == "1" else 2
        assert sorted(pair.classes) == list(range(1, pair.labels.max() + 1))
        for number, name in pair.classes.items():
            row, column = np.argwhere(pair.labels == number)[0]
            old = layout(shift)[top + row, left + column]
            assert name == classes()[old]
            seen.add(name)
    assert seen == set(NAMES.values())


def test_classes_survive_splitting_resampling_and_preparing_again(tmp_path, with_images) -> None:
    torn = layout()
    torn[10:40, 20:24] = 0  # two parts of the first nucleus
    write_layout(with_images / "labels" / "p1_a.tif", torn)
    rules = Rules(um_per_px=0.5, target_um_per_px=0.25)
    make(tmp_path / "set", (with_images,), rules=rules)
    make(tmp_path / "again", (tmp_path / "set",))
    for folder in ("set", "again"):
        pair = load_pairs(tmp_path / folder)[0][0]
        assert pair.um_per_px == 0.25
        assert pair.labels.max() == 5
        assert pair.classes[pair.labels[30, 30]] == "tumour"
        assert pair.classes[pair.labels[30, 60]] == "tumour"
        assert pair.labels[30, 30] != pair.labels[30, 60]
        assert pair.classes[pair.labels[220, 250]] == "lymphocyte"


def test_classes_are_renamed_and_may_be_missing(tmp_path, with_images) -> None:
    (with_images / "classes" / "p1_b.csv").unlink()
    rules = Rules(class_names=(("tumour", "neoplastic"), ("lymphocyte", "inflammatory")))
    index = make(tmp_path / "set", (with_images,), rules=rules)
    assert index.class_names == ("inflammatory", "neoplastic", "stroma")
    assert index.about["arguments"]["rules"]["class_names"]["tumour"] == "neoplastic"
    first, second, _ = load_pairs(tmp_path / "set")[0]
    assert first.classes == {1: "neoplastic", 2: "stroma", 3: "neoplastic", 4: "inflammatory"}
    assert second.classes == {}
    (tmp_path / "set" / "classes" / "p1_b.csv").unlink()
    with pytest.raises(DatasetError, match=r"Cannot read p1_b\.csv"):
        load_pairs(tmp_path / "set")


def test_without_classes_nothing_is_written_of_them(tmp_path, with_images) -> None:
    for path in (with_images / "classes").iterdir():
        path.unlink()
    index = make(tmp_path / "set", (with_images,))
    assert index.class_names == ()
    assert not (tmp_path / "set" / "classes").exists()
    assert load_pairs(tmp_path / "set")[0][0].classes == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a,b\n1,x\n",
        "id,class\nx,y\n",
        "id,class\n1\n",
        "id,class\n1,a\n1,b\n",
        "id,class\n0,a\n",
    ],
)
def test_damaged_classes_are_told(tmp_path, text) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DatasetError, match=r"a\.csv"):
        read_classes(tmp_path / "a.csv")


def test_names_of_classes_come_back_whatever_is_in_them(tmp_path) -> None:
    odd = {1: 'a, "b"', 70000: "größer"}
    write_classes(tmp_path / "a.csv", odd)
    assert read_classes(tmp_path / "a.csv") == odd


# Sheets


def test_sheets_show_every_tile_in_the_colours_of_the_classes(tmp_path, with_images) -> None:
    for i in range(3, 9):
        write_layout(with_images / "labels" / f"p3_{i}.tif", layout(i))
        write_rgb(with_images / "images" / f"p3_{i}.png", np.full((160, 180, 3), i, np.uint8))
    make(tmp_path / "set", (with_images,), sheets=True)
    sheets = sorted(path.name for path in (tmp_path / "set").glob("*.jpg"))
    assert sheets == ["contact-sheet-001.jpg", "contact-sheet-002.jpg"]
    with Image.open(tmp_path / "set" / sheets[0]) as sheet:
        assert sheet.size[0] > 3 * 512
        assert sheet.size[1] > 2 * 450


def test_tiles_have_outlines_on_images_and_filled_nuclei_without() -> None:
    labels = layout(0, (1, 2, 3, 4)).astype(int)
    image = np.full((160, 180, 3), 77, np.uint8)
    names = ("lymphocyte", "stroma", "tumour")
    told = {k: v for k, v in NAMES.items() if k != 2}
    drawn = draw_tile(Pair(Layout(labels, told), image), names, 180)
    assert drawn.shape == (160, 180, 3)
    assert tuple(drawn[10, 15]) == COLOURS[2]
    assert tuple(drawn[10, 105]) == (255, 255, 255)  # no class
    assert tuple(drawn[25, 25]) == tuple(drawn[0, 0]) == (77, 77, 77)
    filled = draw_tile(Pair(Layout(labels, replace_class(told))), names, 360)
    assert filled.shape == (320, 360, 3)
    assert tuple(filled[50, 50]) == COLOURS[1]


def replace_class(told):
    return {**told, 1: "stroma", 99: "tumour"}


def test_sheets_are_part_of_equal_bytes(tmp_path, with_images) -> None:
    for name in "ab":
        make(tmp_path / name, (with_images,), sheets=True)
    files = [p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file()]
    for path in files:
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes()


def test_a_prepared_set_of_layouts_is_replaced_like_any_other(tmp_path, lab) -> None:
    make(tmp_path / "set", (lab,), kind="layouts")
    config = PrepareConfig((lab,), kind="layouts", group_by="^(p.)")
    surveyed = survey(config)
    with pytest.raises(DatasetError, match="--overwrite"):
        prepare(tmp_path / "set", surveyed, config)
    again = prepare(tmp_path / "set", surveyed, replace(config, licence="CC0"), overwrite=True)
    assert again.about["licence"] == "CC0"
