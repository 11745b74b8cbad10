"""Pairs that were made from a held-out patient's layout never reach training.

Patients are known again by fingerprints of their nuclei, in whatever format the real images are,
and whether they are resampled or not.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import scipy.io
import tifffile

from napari_nudiff.dataset.candidates import candidate_of, find_candidates, find_real
from napari_nudiff.dataset.checks import Rules
from napari_nudiff.dataset.export.options import ExportOptions, Gate
from napari_nudiff.dataset.export.plan import Plan, plan_set
from napari_nudiff.dataset.export.writing import write_set
from napari_nudiff.dataset.images import write_layout, write_rgb
from napari_nudiff.dataset.pair import Layout, Pair, PairRef
from napari_nudiff.dataset.pair_file import write_pair
from napari_nudiff.dataset.preparation import prepare
from napari_nudiff.dataset.survey import PrepareConfig, survey
from napari_nudiff.nuclei.layout import relabel_contiguous, scatter_nuclei, split_disconnected
from napari_nudiff.synthesis.generation import generate
from napari_nudiff.synthesis.generation_plan import GenerationPlan
from napari_nudiff.work import run
from tests.dataset.test_points import see
from tests.dataset.test_readers import (
    aperio,
    as_compressed_runs,
    as_polygon,
    by_class,
    coco,
    feature,
    outlines,
)

NAMES = ("tnbc_00_1", "tnbc_01_1", "tnbc_02_1")
HELD_OUT = "tnbc_02_1"
UM_PER_PX = 0.25
Scene = tuple[np.ndarray, np.ndarray]
Write = Callable[[Path, str, Scene], None]


def scene(number: int) -> Scene:
    """An image (128, 160, 3) of touching nuclei, one of which has lost a part."""
    labels = scatter_nuclei((128, 160), density=0.3, min_gap_px=0, seed=number)
    labels = relabel_contiguous(split_disconnected(labels))
    labels[60:62] = 0
    noise = np.random.default_rng(number).integers(0, 30, (*labels.shape, 1), dtype=np.uint8)
    return np.where(labels[..., None] > 0, np.uint8([90, 60, 140]), np.uint8(210)) + noise, labels


SCENES = {name: scene(number) for number, name in enumerate(NAMES)}


def whole(labels: np.ndarray) -> np.ndarray:
    """Nuclei that are one outline each, as annotations have them."""
    return relabel_contiguous(split_disconnected(labels))


# Formats of real images


def as_labels(folder: Path, name: str, scene: Scene) -> None:
    write_rgb(folder / "images" / f"{name}.png", scene[0])
    write_layout(folder / "labels" / f"{name}.tif", scene[1] * 7)


def as_binary_masks(folder: Path, name: str, scene: Scene) -> None:
    write_rgb(folder / "images" / f"{name}.png", scene[0])
    (folder / "masks").mkdir(exist_ok=True)
    iio.imwrite(folder / "masks" / f"{name}.png", np.uint8(scene[1] > 0) * np.uint8(255))


def as_colours(folder: Path, name: str, scene: Scene) -> None:
    write_rgb(folder / "images" / f"{name}.png", scene[0])
    colours = np.random.default_rng(0).integers(1, 255, (scene[1].max() + 1, 3), dtype=np.uint8)
    colours[0] = 0
    write_rgb(folder / "labels" / f"{name}.png", colours[scene[1]])


def as_cellpose(folder: Path, name: str, scene: Scene) -> None:
    write_rgb(folder / f"{name}_img.png", scene[0])
    np.save(folder / f"{name}_masks.npy", scene[1].astype(np.float32))


def as_hovernet(folder: Path, name: str, scene: Scene) -> None:
    write_rgb(folder / "Images" / f"{name}.png", scene[0])
    (folder / "Labels").mkdir(exist_ok=True)
    content = {"inst_map": scene[1].astype(float), "type_map": np.minimum(scene[1], 3)}
    scipy.io.savemat(folder / "Labels" / f"{name}.mat", content)


def as_aperio(folder: Path, name: str, scene: Scene) -> None:
    folder.mkdir(exist_ok=True)
    tifffile.imwrite(folder / f"{name}.tif", scene[0])
    rings = (rings[0] for rings in outlines(whole(scene[1])))
    text = aperio(rings, attributes=f'MicronsPerPixel="{UM_PER_PX}"')
    (folder / f"{name}.xml").write_text(text)


def as_qupath(folder: Path, name: str, scene: Scene) -> None:
    folder.mkdir(exist_ok=True)
    tifffile.imwrite(folder / f"{name}.tif", scene[0])
    features = [feature(rings[:1]) for rings in outlines(whole(scene[1]))]
    (folder / f"{name}.geojson").write_text(json.dumps(features))


def as_coco(encode: Callable[[np.ndarray], object]) -> Write:
    def write(folder: Path, name: str, scene: Scene) -> None:
        write_rgb(folder / "images" / f"{name}.png", scene[0])
        content = coco(whole(scene[1]), encode, file_name=f"images/{name}.png")
        (folder / f"{name}.json").write_text(json.dumps(content))

    return write


def as_pannuke(folder: Path, name: str, scene: Scene) -> None:
    for kind, array in (("images", scene[0]), ("masks", by_class(scene[1], False))):
        (folder / kind / name).mkdir(parents=True)
        np.save(folder / kind / name / f"{kind}.npy", array[None])


FORMATS: dict[str, Write] = {
    "labels": as_labels,
    "binary masks": as_binary_masks,
    "colours": as_colours,
    "cellpose": as_cellpose,
    "hovernet": as_hovernet,
    "aperio": as_aperio,
    "qupath": as_qupath,
    "coco polygons": as_coco(as_polygon),
    "coco runs": as_coco(as_compressed_runs),
    "pannuke": as_pannuke,
}


def write_format(name: str, folder: Path) -> Path:
    folder.mkdir()
    for stem, one in SCENES.items():
        FORMATS[name](folder, stem, one)
    return folder


def prepared(source: Path, out: Path, rules: Rules, foreground=None, **more: object) -> Path:
    config = PrepareConfig((source,), rules=rules, **more)
    surveyed = survey(config, foreground=foreground)
    prepare(out, surveyed, config, foreground=foreground)
    return out


# Pairs


def plan_of(files: list[Path], checkpoint: str, perturb: float) -> GenerationPlan:
    return GenerationPlan(
        count=6,
        height_px=64,
        width_px=64,
        layouts="given",
        given=tuple(map(str, files)),
        perturb=perturb,
        steps=1,
        image_checkpoint=checkpoint,
        precision="fp32",
        device="cpu",
    )


def pairs_from(
    files: list[Path], out: Path, checkpoint: str, perturb: float
) -> list[PairRef[Pair]]:
    for _ in generate(plan_of(files, checkpoint, perturb), out):
        pass
    return find_candidates(out)


def as_of_version_0_1(candidate: PairRef[Pair]) -> PairRef[Pair]:
    """The same pair as it was written before layouts had fingerprints without ids."""
    pair = candidate.load()
    provenance = dict(pair.provenance)
    provenance["lineage"] = {k: v for k, v in provenance["lineage"].items() if k != "roots"}
    sample = replace(pair, provenance=provenance)
    return candidate_of(sample)


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_checkpoint) -> dict[str, list[PairRef[Pair]]]:
    """Parts of the layouts of all patients, turned and mirrored, by how they were made."""
    folder = tmp_path_factory.mktemp("made")
    labels = sorted((write_format("labels", folder / "as-labels") / "labels").iterdir())
    binary = sorted((write_format("binary masks", folder / "as-masks") / "masks").iterdir())
    checkpoint = tiny_checkpoint("image")
    found = {
        "cut and turned": pairs_from(labels, folder / "cut", checkpoint, 0),
        "perturbed": pairs_from(labels, folder / "perturbed", checkpoint, 0.6),
        "of binary masks": pairs_from(binary, folder / "binary", checkpoint, 0),
    }
    found["stored as .nudiff"] = nudiff_files(found["perturbed"], folder / "files")
    return found


def nudiff_files(candidates: list[PairRef[Pair]], folder: Path) -> list[PairRef[Pair]]:
    folder.mkdir()
    for candidate in candidates:
        write_pair(folder / f"{candidate.name}.nudiff", candidate.load())
    return find_candidates(folder)


def given_file(candidate: PairRef[Pair]) -> str:
    return Path(candidate.about()["lineage"]["origin"]["file"]).stem


def planned(pairs: list[PairRef[Pair]], real: list[PairRef[Pair]], **options: object) -> Plan:
    steps = plan_set(
        pairs + real, ExportOptions(**{"test_groups": (f"{HELD_OUT}*",), "val": 0, **options})
    )
    return run(steps)


def assert_none_leaks(plan: Plan, pairs: list[PairRef[Pair]]) -> None:
    """What was made from the other patients' layouts is trained on, and nothing else."""
    assert {row.split for row in plan.rows if not row.synthetic} == {"train", "test"}
    used = {row.index for row in plan.rows if row.synthetic}
    wanted = {i for i, pair in enumerate(pairs) if given_file(pair) != HELD_OUT}
    assert used == wanted
    assert 0 < len(wanted) < len(pairs)
    assert {row.split for row in plan.rows if row.synthetic} == {"train"}
    assert plan.warnings == ()


# Tests

WAYS = ("cut and turned", "perturbed", "of binary masks", "stored as .nudiff")


@pytest.mark.parametrize("target", [None, 0.5, 0.2])
@pytest.mark.parametrize("name", FORMATS)
def test_pairs_of_a_held_out_layout_are_left_out(made, tmp_path, name, target) -> None:
    rules = Rules(um_per_px=UM_PER_PX, target_um_per_px=target)
    real = find_real(write_format(name, tmp_path / "real"), rules)
    for way in WAYS:
        assert_none_leaks(planned(made[way], real), made[way])


@pytest.mark.parametrize("subset", [None, 100.0])
@pytest.mark.parametrize(("first", "then"), [(None, None), (None, 0.5), (0.5, None), (0.5, 0.25)])
def test_prepared_sets_remember_the_labels_that_they_came_from(
    made, tmp_path, first, then, subset
) -> None:
    source = write_format("hovernet", tmp_path / "lab")
    renamed = (("type 1", "tumour"),)
    rules = Rules(um_per_px=UM_PER_PX, target_um_per_px=first, class_names=renamed)
    more = {"subset_percent": subset, "patch_px": 64, "stride_px": 32}
    folder = prepared(source, tmp_path / "set", rules, **more)
    for way in WAYS:
        assert_none_leaks(
            planned(made[way], find_real(folder, Rules(target_um_per_px=then))), made[way]
        )


def test_pairs_of_a_resampled_layout_are_left_out(tmp_path, tiny_checkpoint) -> None:
    """The layouts are those of a prepared set, and the real images are resampled like it."""
    source = write_format("labels", tmp_path / "lab")
    rules = Rules(um_per_px=0.5, target_um_per_px=0.25)
    folder = prepared(source, tmp_path / "set", rules)
    files = sorted((folder / "labels").iterdir())
    pairs = pairs_from(files, tmp_path / "pairs", tiny_checkpoint("image"), 0.5)
    patches = prepared(
        source, tmp_path / "patches", rules, subset_percent=100.0, patch_px=64, stride_px=64
    )
    for real in (find_real(folder), find_real(source, rules), find_real(patches)):
        assert_none_leaks(planned(pairs, real), pairs)
        assert_none_leaks(planned(list(map(as_of_version_0_1, pairs)), real), pairs)


@pytest.mark.parametrize("target", [None, 0.5])
def test_pairs_of_nuclei_that_were_found_from_points(tmp_path, tiny_checkpoint, target) -> None:
    for name, (image, labels) in SCENES.items():
        write_rgb(tmp_path / "lab" / "images" / f"{name}.png", image)
        places = [np.argwhere(labels == i) for i in range(1, labels.max() + 1)]
        rows = [",".join(map(str, place[len(place) // 2])) for place in places if len(place)]
        points = tmp_path / "lab" / "points" / f"{name}.csv"
        points.parent.mkdir(exist_ok=True)
        points.write_text("\n".join(["y_px,x_px", *rows]))
    folder = prepared(tmp_path / "lab", tmp_path / "set", Rules(um_per_px=UM_PER_PX), see)
    files = sorted((folder / "labels").iterdir())
    pairs = pairs_from(files, tmp_path / "pairs", tiny_checkpoint("image"), 0.5)
    assert_none_leaks(planned(pairs, find_real(folder, Rules(target_um_per_px=target))), pairs)


@pytest.mark.parametrize("target", [None, 0.5])
@pytest.mark.parametrize("name", ["labels", "binary masks", "hovernet", "qupath"])
def test_pairs_of_version_0_1_are_known_too(made, tmp_path, name, target) -> None:
    """They tell of their layout by its ids, as its file gave them."""
    rules = Rules(um_per_px=UM_PER_PX, target_um_per_px=target)
    real = find_real(write_format(name, tmp_path / "real"), rules)
    way = "of binary masks" if name == "binary masks" else "perturbed"
    pairs = [as_of_version_0_1(pair) for pair in made[way]]
    assert_none_leaks(planned(pairs, real), made[way])


def test_pairs_of_version_0_1_that_cannot_be_known_are_named(made, tmp_path) -> None:
    """Colours give nuclei other ids than the file of labels did."""
    real = find_real(write_format("colours", tmp_path / "real"), Rules(um_per_px=UM_PER_PX))
    pairs = [as_of_version_0_1(pair) for pair in made["perturbed"]]
    warnings = planned(pairs, real).warnings
    assert len(warnings) == len(NAMES)
    assert all(f"{name}.tif" in text for name, text in zip(NAMES, warnings, strict=True))


@pytest.mark.parametrize("target", [None, 0.5])
def test_exported_real_images_remember_their_layouts(made, tmp_path, target) -> None:
    rules = Rules(um_per_px=UM_PER_PX, target_um_per_px=target)
    real = find_real(write_format("labels", tmp_path / "real"), rules)
    plan = planned([], real, formats=("cellpose", "coco-polygons"), names="{name}")
    run(write_set(tmp_path / "set", real, plan))
    for folder in ("cellpose", "coco-polygons"):
        again = find_real(tmp_path / "set" / folder)
        assert not any(candidate.synthetic for candidate in again)
        assert_none_leaks(planned(made["perturbed"], again), made["perturbed"])


def test_disconnected_nuclei_may_be_kept(made, tmp_path) -> None:
    rules = Rules(um_per_px=UM_PER_PX, keep_disconnected=True)
    real = find_real(write_format("labels", tmp_path / "real"), rules)
    assert_none_leaks(planned(made["perturbed"], real), made["perturbed"])


def test_a_render_of_a_whole_layout_is_known_without_a_lineage(tmp_path) -> None:
    """As the dock makes them, from a layer whose ids are its own."""
    source = write_format("binary masks", tmp_path / "lab")
    rules = Rules(um_per_px=UM_PER_PX, target_um_per_px=0.5)
    image, labels = SCENES[HELD_OUT]
    pair = candidate_of(
        Pair(Layout(labels * 3), image // 2, provenance={"synthetic": True}, name="render")
    )
    for real in (find_real(source, rules), find_real(prepared(source, tmp_path / "set", rules))):
        plan = planned([pair], real)
        assert plan.left_out == {"synthetic, of a layout that is held out": 1}


@pytest.mark.parametrize("target", [None, 0.5])
def test_a_layout_that_was_edited_by_hand_is_known_by_what_stayed(tmp_path, target) -> None:
    rules = Rules(um_per_px=UM_PER_PX, target_um_per_px=target)
    real = find_real(write_format("labels", tmp_path / "real"), rules)
    image, labels = SCENES[HELD_OUT]
    edited = np.where(labels > labels.max() // 2, 0, labels)
    pair = candidate_of(
        Pair(Layout(edited), image // 2, provenance={"synthetic": True}, name="render")
    )
    assert planned([pair], real).left_out == {"synthetic, of a layout that is held out": 1}


def test_a_layout_that_no_real_image_has_is_named(made, tmp_path) -> None:
    folder = write_format("labels", tmp_path / "real")
    for path in folder.rglob(f"{HELD_OUT}*"):
        path.unlink()
    real = find_real(folder, Rules(um_per_px=UM_PER_PX))
    pairs = made["perturbed"]
    plan = planned(pairs, real, test_groups=(NAMES[1],))
    (warning,) = plan.warnings
    assert f"{HELD_OUT}.tif" in warning
    unknown = {pair.name for pair in pairs if given_file(pair) == HELD_OUT}
    assert unknown == {pair.name for pair in pairs if pair.name in warning}
    assert planned(pairs, [], test_groups=()).warnings == ()  # no real image, no patient


def test_layouts_that_were_not_given_are_not_warned_about(tmp_path, tiny_checkpoint) -> None:
    scattered = GenerationPlan(
        count=2,
        height_px=64,
        width_px=64,
        layouts="scattered",
        steps=1,
        image_checkpoint=tiny_checkpoint("image"),
        precision="fp32",
        device="cpu",
    )
    for _ in generate(scattered, tmp_path / "pairs"):
        pass
    real = find_real(write_format("labels", tmp_path / "real"), Rules(um_per_px=UM_PER_PX))
    assert planned(find_candidates(tmp_path / "pairs"), real).warnings == ()


def test_a_real_image_that_is_left_out_still_holds_its_layout_back(tmp_path) -> None:
    """Another image of its patient is tested on."""
    folder = write_format("labels", tmp_path / "real")
    image, labels = SCENES[HELD_OUT]
    few = labels * (labels < 4)
    as_labels(folder, "tnbc_02_2", (image // 2, few))
    real = find_real(folder, Rules(um_per_px=UM_PER_PX, target_um_per_px=0.5))
    lineage = {"layouts": "given", "roots": [Layout(few).foreground_sha256()]}
    part = Pair(
        Layout(SCENES[NAMES[0]][1][:64, 64:]), image[:64, :96], provenance={"lineage": lineage}
    )
    plan = planned([candidate_of(replace(part, name="part"))], real, gate=Gate(min_nuclei=6))
    assert plan.left_out == {
        "fewer than 6 nuclei": 1,
        "synthetic, of a layout that is held out": 1,
    }


def test_empty_images_of_two_patients_are_not_of_one_family(tmp_path) -> None:
    folder = tmp_path / "real"
    empty = np.zeros((128, 160), np.int32)
    for name, (image, _) in SCENES.items():
        as_labels(folder, name, (image, empty))
    real = find_real(folder, Rules(um_per_px=UM_PER_PX, target_um_per_px=0.5))
    plan = planned([], real, gate=Gate(min_nuclei=0))
    assert [row.lineage for row in plan.rows] == [0, 1, 2]
    assert plan.counts == {"train": 2, "test": 1}
