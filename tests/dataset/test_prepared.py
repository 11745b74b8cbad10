"""The prepared format, its splits, and that it appears whole or not at all."""

import json
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

from napari_nudiff.dataset import prepared
from napari_nudiff.dataset.groups import (
    group_of,
    hold_out_fraction,
    hold_out_groups,
    name_pattern,
)
from napari_nudiff.dataset.images import write_layout, write_rgb
from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.dataset.pairs import load_layouts, load_pairs
from napari_nudiff.dataset.preparation import prepare
from napari_nudiff.dataset.prepared import Entry, Item, check_target, read_index, write_set
from napari_nudiff.dataset.survey import PrepareConfig, stop_on_errors, survey
from napari_nudiff.errors import DatasetError, RequestError


def write_pair(folder, stem, image, labels) -> None:
    write_rgb(folder / "images" / f"{stem}.png", image)
    write_layout(folder / "labels" / f"{stem}.tif", labels)


@pytest.fixture
def source(tmp_path, crop) -> Path:
    """Three patients with 2, 1 and 1 images that all differ."""
    image, labels = crop
    for i, stem in enumerate(["tnbc_01_1", "tnbc_01_2", "tnbc_02_1", "tnbc_03_1"]):
        write_pair(tmp_path / "lab", stem, np.roll(image, i, 0), np.roll(labels, i, 0))
    return tmp_path / "lab"


def make(out, config, **options):
    return prepare(out, survey(config), config, **options)


def contents(folder) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_prepared_set_is_what_the_docs_say(tmp_path, source, crop) -> None:
    config = PrepareConfig((source,), licence="CC BY 4.0", held_out_groups=("02",))
    index = make(tmp_path / "set", config)
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == [
        "dataset.json",
        "images",
        "labels",
        "problems.csv",
    ]
    content = json.loads((tmp_path / "set" / "dataset.json").read_text())
    assert (content["kind"], content["schema"]) == ("nudiff training set", 1)
    assert content["licence"] == "CC BY 4.0"
    item = content["items"][2]
    labels = tifffile.imread(tmp_path / "set" / "labels" / "tnbc_02_1.tif")
    assert item["nuclei"] == labels.max() == len(np.unique(labels)) - 1
    assert (item["height_px"], item["width_px"]) == labels.shape
    assert (item["group"], item["split"], item["um_per_px"]) == ("02", "held_out", None)
    assert item["source"] == "lab/images/tnbc_02_1.png"
    written = iio.imread(tmp_path / "set" / "images" / "tnbc_02_1.png")
    assert np.array_equal(written, np.roll(crop[0], 2, 0))
    assert read_index(tmp_path / "set") == index


def test_equal_inputs_give_equal_bytes_without_paths_of_this_machine(tmp_path, source) -> None:
    config = PrepareConfig((source,), held_out=0.3, subset_percent=50)
    elsewhere = tmp_path / "elsewhere" / "lab"
    elsewhere.parent.mkdir()
    make(tmp_path / "a", config)
    source.rename(elsewhere)
    make(tmp_path / "deep" / "b", replace(config, sources=(elsewhere,)))
    assert contents(tmp_path / "a") == contents(tmp_path / "deep" / "b")
    assert str(tmp_path).encode() not in b"".join(contents(tmp_path / "a").values())


def test_names_are_made_unique_and_safe(tmp_path, crop) -> None:
    image, labels = crop
    for i, (folder, stem) in enumerate([("p1", "a b"), ("p2", "A_B"), ("p3", "c")]):
        write_pair(tmp_path / "lab" / folder, stem, np.roll(image, i, 0), labels)
    index = make(tmp_path / "set", PrepareConfig((tmp_path / "lab",)))
    assert [item.name for item in index.items] == ["a_b", "A_B-2", "c"]


# Reading


def test_the_split_of_a_set_holds_unless_patterns_are_given(tmp_path, source) -> None:
    make(tmp_path / "set", PrepareConfig((source,), held_out_groups=("01",)))
    training, held_out = load_pairs(tmp_path / "set")
    assert [(p.name, p.group) for p in training] == [("tnbc_02_1", "02"), ("tnbc_03_1", "03")]
    assert [(p.name, p.group) for p in held_out] == [("tnbc_01_1", "01"), ("tnbc_01_2", "01")]
    training, held_out = load_pairs(tmp_path / "set", held_out=["*_03_*"])
    assert [(p.name, p.group) for p in held_out] == [("tnbc_03_1", "03")]
    assert len(training) == 3


def test_bare_folders_are_read_by_patterns(source, crop) -> None:
    training, held_out = load_pairs(source, held_out=["tnbc_01_*"])
    assert [p.name for p in training] == ["tnbc_02_1", "tnbc_03_1"]
    assert [(p.name, p.group) for p in held_out] == [("tnbc_01_1", ""), ("tnbc_01_2", "")]
    assert len(load_pairs(source)[0]) == 4


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda text: text[:-20], "Cannot read"),
        (lambda text: text.replace('"schema": 1', '"schema": 2'), "has schema 2"),
        (lambda text: text.replace('"nuclei"', '"cells"'), "is damaged.*nuclei"),
        (lambda text: text.replace("tnbc_03_1", "tnbc_99_1"), r"tnbc_99_1\.png has no labels"),
        (lambda text: text.replace("training set", "training seT"), "it is damaged"),
        (lambda text: text.replace('"kind"', '"kinb"'), "it is damaged"),
        (lambda text: text.replace("held_out", "held_ouT"), "'held_ouT', not train or held_out"),
        (lambda text: text.replace('"split"', '"spliT"'), "is damaged.*split"),
        (lambda text: text.replace('"items"', '"itemZ"'), "is damaged.*items"),
        (lambda text: text.replace("tnbc_03_1", "tnbc_02_1"), "tnbc_02_1 is there 2 times"),
        (lambda text: text.replace("tnbc_03_1", "../03_1"), "is no name of a file"),
        (lambda text: text.replace("null", '"0.25"'), "'0.25' um per px"),
        (lambda text: '{"kind": "of somebody else"}', "is not the index of a prepared set"),
        (lambda text: "[]", "is not the index of a prepared set"),
        (lambda text: "", "Cannot read"),
    ],
)
def test_a_damaged_set_is_told_and_never_trained_on(tmp_path, source, damage, complaint) -> None:
    make(tmp_path / "set", PrepareConfig((source,), held_out_groups=("02",)))
    path = tmp_path / "set" / "dataset.json"
    path.write_text(damage(path.read_text()))
    for load in (load_pairs, load_layouts):
        with pytest.raises(DatasetError, match=complaint.replace(r"\.png", ".*")):
            load(tmp_path / "set")
        with pytest.raises(DatasetError):
            load(tmp_path / "set", held_out=["tnbc_02_*"])


def test_a_damaged_set_is_not_prepared_again_as_mere_images(tmp_path, source) -> None:
    make(tmp_path / "set", PrepareConfig((source,), held_out_groups=("02",)))
    path = tmp_path / "set" / "dataset.json"
    path.write_text(path.read_text().replace("training set", "training seT"))
    (problem,) = survey(PrepareConfig((tmp_path / "set",))).problems
    assert (problem.level, problem.what) == ("error", "source")
    assert "it is damaged" in problem.detail
    path.write_text('{"name": "a data set of nnU-Net"}')
    assert survey(PrepareConfig((tmp_path / "set",))).found == 4


# Writing whole or not at all


def entry(crop, name="a") -> Entry:
    image, labels = crop
    item = Item(name, "g", "train", *labels.shape, 1, None, "s", "0")
    return item, Pair(Layout(labels), image)


@pytest.mark.parametrize("before", ["nothing", "a set"])
@pytest.mark.parametrize(
    ("error", "raised"), [(OSError(28, "No space left"), DatasetError), (KeyboardInterrupt(),) * 2]
)
def test_a_writing_that_fails_changes_nothing(tmp_path, crop, before, error, raised) -> None:
    if before == "a set":
        write_set(tmp_path / "set", [entry(crop, "old")], {})
    files = contents(tmp_path)

    def entries():
        yield entry(crop)
        raise error

    with pytest.raises(raised if isinstance(raised, type) else KeyboardInterrupt):
        write_set(tmp_path / "set", entries(), {})
    assert contents(tmp_path) == files
    assert list(tmp_path.glob(".new-*")) == []


def test_a_full_disk_at_any_file_leaves_the_old_set(tmp_path, crop, monkeypatch) -> None:
    write_set(tmp_path / "set", [entry(crop, "old")], {})
    files = contents(tmp_path)

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    for name in ("write_rgb", "write_layout", "write_text"):
        with monkeypatch.context() as patch:
            patch.setattr(prepared, name, full)
            with pytest.raises(DatasetError, match=r"No space left.*Nothing was changed"):
                write_set(tmp_path / "set", [entry(crop)], {})
        assert contents(tmp_path) == files


def test_the_old_set_comes_back_when_the_new_one_cannot_take_its_place(
    tmp_path, crop, monkeypatch
) -> None:
    write_set(tmp_path / "set", [entry(crop, "old")], {})
    files = contents(tmp_path)
    rename = Path.rename

    def fail_for_new(self, target):
        if self.name == "new":
            raise OSError("busy")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_for_new)
    with pytest.raises(DatasetError, match="busy"):
        write_set(tmp_path / "set", [entry(crop)], {})
    assert contents(tmp_path) == files


def test_only_prepared_sets_are_replaced_and_only_when_asked(tmp_path, source) -> None:
    config, out = PrepareConfig((source,)), tmp_path / "set"
    out.mkdir()
    make(out, config)  # an empty folder is free
    with pytest.raises(DatasetError, match="--overwrite replaces it"):
        make(out, config)
    (out / "images" / "old.png").write_bytes(b"of the old set")
    make(out, config, overwrite=True)
    assert not (out / "images" / "old.png").exists()
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    with pytest.raises(DatasetError, match="is no prepared set, so it is not replaced"):
        make(tmp_path / "thesis", config, overwrite=True)
    for target in (source, source.parent, source / "prepared"):
        with pytest.raises(DatasetError, match="lie in each other"):
            check_target(target, [source], True)


# Errors


def test_all_errors_come_at_once_and_stop_the_writing(tmp_path, source, crop) -> None:
    write_pair(source, "wide", crop[0], crop[1][:, :-1])
    (source / "labels" / "tnbc_02_1.tif").unlink()
    (source / "images" / "tnbc_03_1.png").write_bytes(b"no PNG")
    config = PrepareConfig((source, tmp_path / "nowhere"))
    with pytest.raises(DatasetError) as caught:
        make(tmp_path / "set", config)
    message = str(caught.value)
    assert message.startswith("4 errors")
    for part in ("wide: sizes differ", "tnbc_02_1: unreadable", "tnbc_03_1", "nowhere"):
        assert part in message
    assert not (tmp_path / "set").exists()
    index = make(tmp_path / "set", replace(config, skip_bad=True))
    assert [item.name for item in index.items] == ["tnbc_01_1", "tnbc_01_2"]
    told = (tmp_path / "set" / "problems.csv").read_text()
    assert told.count("error,") == 4
    assert "nowhere does not exist" in told
    assert str(tmp_path) not in told


def test_duplicates_are_a_warning_and_across_splits_an_error(tmp_path, source, crop) -> None:
    write_pair(source, "tnbc_09_1", crop[0], crop[1])  # it is tnbc_01_1
    surveyed = survey(PrepareConfig((source,)))
    stop_on_errors(surveyed.problems)
    assert ("warning", "duplicate") in {(p.level, p.what) for p in surveyed.problems}
    apart = PrepareConfig((source,), held_out_groups=("09",))
    with pytest.raises(DatasetError, match=r"tnbc_01_1: duplicate across splits: .*tnbc_09_1"):
        stop_on_errors(survey(apart).problems)
    kept = {r.found.name: r.split for r in survey(replace(apart, skip_bad=True)).records}
    assert "tnbc_01_1" not in kept
    assert kept["tnbc_09_1"] == "held_out"


def test_errors_are_told_before_a_split_that_fails_for_them(tmp_path, source, crop) -> None:
    (source / "labels" / "tnbc_03_1.tif").unlink()
    config = PrepareConfig((source,), held_out_groups=("03",))
    with pytest.raises(DatasetError, match="tnbc_03_1: unreadable"):
        make(tmp_path / "set", config)
    with pytest.raises(RequestError, match="03 matches no group"):
        make(tmp_path / "set", replace(config, skip_bad=True))


def test_a_set_of_nothing_is_not_written(tmp_path, crop) -> None:
    write_pair(tmp_path / "lab", "a", crop[0], crop[1][1:])
    with pytest.raises(DatasetError, match="No image is left"):
        make(tmp_path / "set", PrepareConfig((tmp_path / "lab",), skip_bad=True))


# Groups and splits


@pytest.mark.parametrize(
    ("name", "told", "group_by", "group"),
    [
        ("tnbc_03_2", "", None, "03"),
        ("TCGA-18-5592-01Z-00-DX1", "", None, "TCGA-18-5592"),
        ("TCGA-18-5592-01A-01-TS1", "", None, "TCGA-18-5592"),
        ("biopsy 7 b", "", None, "biopsy 7 b"),
        ("x", "fold1", None, "fold1"),
        ("biopsy 7 b", "fold1", r"biopsy (\d+)", "7"),
    ],
)
def test_the_group_of_a_name(name, told, group_by, group) -> None:
    assert group_of(name, told, name_pattern(group_by) if group_by else None) == group


def test_patterns_that_find_no_group(tmp_path, source) -> None:
    with pytest.raises(RequestError, match="captures nothing"):
        name_pattern("tnbc")
    with pytest.raises(RequestError, match="no regular expression"):
        name_pattern("(tnbc")
    config = PrepareConfig((source,), group_by="tnbc_(01)")
    with pytest.raises(DatasetError, match=r"tnbc_02_1: group: .*; tnbc_03_1: group: "):
        make(tmp_path / "set", config)


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_fraction_held_out_is_of_the_nuclei_and_close(fraction, seed) -> None:
    counts = np.random.default_rng(seed).integers(20, 700, 25)
    nuclei = {f"p{i}": int(count) for i, count in enumerate(counts)}
    chosen = hold_out_fraction(nuclei, fraction, seed)
    share = sum(nuclei[group] for group in chosen) / counts.sum()
    assert share == pytest.approx(fraction, abs=0.01)
    assert chosen == hold_out_fraction(dict(reversed(nuclei.items())), fraction, seed)
    assert chosen != hold_out_fraction(nuclei, fraction, seed + 9)


@pytest.mark.parametrize(("fraction", "held_out"), [(0.001, {"b"}), (0.999, {"a"}), (0, set())])
def test_both_splits_get_a_group_if_anything_is_held_out(fraction, held_out) -> None:
    assert hold_out_fraction({"a": 100, "b": 5}, fraction, 0) == held_out


def test_one_group_cannot_be_split() -> None:
    with pytest.raises(RequestError, match=r"one group \(p1\)"):
        hold_out_fraction({"p1": 100}, 0.2, 0)


def test_groups_are_named_or_matched_through_their_images() -> None:
    groups = {"tnbc_01_1": "01", "tnbc_01_2": "01", "tnbc_10_1": "10", "x": "x"}
    assert hold_out_groups(groups, ["01", "x"]) == {"01", "x"}
    assert hold_out_groups(groups, ["tnbc_1*"]) == {"10"}
    assert hold_out_groups(groups, ["tnbc_01_1", "tnbc_01_2"]) == {"01"}
    with pytest.raises(RequestError, match=r"tear groups apart: 01 \(tnbc_01_2 left over\)"):
        hold_out_groups(groups, ["tnbc_01_1"])
    with pytest.raises(RequestError, match="7 matches no group"):
        hold_out_groups(groups, ["01", "7"])


@pytest.mark.parametrize("options", [{"held_out": 0.4}, {"held_out_groups": ("01",)}])
def test_no_group_is_in_both_splits(source, options) -> None:
    records = survey(PrepareConfig((source,), **options)).records
    splits = {
        split: {r.group for r in records if r.split == split} for split in ("train", "held_out")
    }
    assert splits["train"]
    assert splits["held_out"]
    assert not splits["train"] & splits["held_out"]


# Subsets


def test_patches_are_cut_from_training_images_only(tmp_path, source, crop) -> None:
    config = PrepareConfig(
        (source,), held_out_groups=("02",), subset_percent=100, patch_px=64, stride_px=32
    )
    index = make(tmp_path / "set", config)
    held_out = [item for item in index.items if item.split == "held_out"]
    assert [(item.name, item.cut_from) for item in held_out] == [("tnbc_02_1", "")]
    patches = [item for item in index.items if item.cut_from]
    assert len(patches) == len(index.items) - 1 == 3 * 4 * 4
    whole = {stem: np.roll(crop[0], i, 0) for i, stem in ((0, "tnbc_01_1"), (3, "tnbc_03_1"))}
    training, _ = load_pairs(tmp_path / "set")
    for item, pair in zip(patches, training, strict=True):
        assert pair.labels.max() == item.nuclei == len(np.unique(pair.labels[pair.labels > 0]))
        if item.cut_from in whole:
            part = whole[item.cut_from][item.top_px :, item.left_px :]
            assert np.array_equal(pair.image, part[:64, :64])
    facts = index.about["subset"]
    assert (facts["patches"], facts["of_patches"]) == (48, 48)
    training = [r for r in survey(config).records if r.split == "train"]
    assert facts["nuclei"] == facts["of_nuclei"] == sum(r.nuclei for r in training)


def test_own_features_and_own_descriptions_choose(tmp_path, source) -> None:
    config = PrepareConfig((source,), subset_percent=30, selection="diverse", patch_px=64)
    seen = []

    def describe(image, labels):
        seen.append(image.shape)
        return np.array([image.mean()])

    mine = make(tmp_path / "mine", config, describe=describe)
    assert seen == [(64, 64, 3)] * mine.about["subset"]["of_patches"]
    features = np.zeros((len(seen), 2))
    features[5] = 100
    np.save(tmp_path / "features.npy", features)
    theirs = make(tmp_path / "theirs", replace(config, features=tmp_path / "features.npy"))
    everything = make(tmp_path / "all", replace(config, subset_percent=100))
    assert everything.items[5].name in {item.name for item in theirs.items}
    assert theirs.about["arguments"]["features"] == "features.npy"
    with pytest.raises(DatasetError, match="does not exist"):
        make(tmp_path / "x", replace(config, features=tmp_path / "none.npy"))


@pytest.mark.parametrize(
    "values",
    [
        {"held_out": 1.0},
        {"held_out": 0.2, "held_out_groups": ("01",)},
        {"subset_percent": 0},
        {"subset_percent": 101},
        {"features": Path("x.npy")},
        {"selection": "best"},
        {"patch_px": 0},
        {"stride_px": 0},
        {"seed": -1},
    ],
)
def test_values_that_make_no_sense_are_refused_at_once(values) -> None:
    with pytest.raises(RequestError, match="must be"):
        PrepareConfig((Path("x"),), **values)
