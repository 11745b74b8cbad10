"""Sets are split fairly, written whole or not at all, and say when they are no longer whole."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from napari_nudiff.dataset.candidates import find_candidates, find_real
from napari_nudiff.dataset.export.lineage import families
from napari_nudiff.dataset.export.manifest import read_manifest
from napari_nudiff.dataset.export.options import ExportOptions, Gate
from napari_nudiff.dataset.export.plan import plan_set
from napari_nudiff.dataset.export.split import split_families
from napari_nudiff.dataset.export.verification import provenance_in, verify_set
from napari_nudiff.dataset.export.writing import part_of, write_set
from napari_nudiff.dataset.images import write_layout, write_rgb
from napari_nudiff.dataset.pair import Layout, Pair, pixels_sha256
from napari_nudiff.dataset.review import Grade
from napari_nudiff.dataset.sample import write_sample
from napari_nudiff.errors import DatasetError, RequestError
from napari_nudiff.work import run

SIDE = 64
KILLS = int(os.environ.get("NUDIFF_TEST_KILLS", "5"))


def nuclei(seed: int, count: int = 5, side: int = SIDE) -> np.ndarray:
    """Round nuclei at random places."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:side, :side]
    labels = np.zeros((side, side), np.int32)
    for number in range(1, count + 1):
        row, col = rng.integers(5, side - 5, 2)
        labels[(np.hypot(rows - row, cols - col) < rng.integers(4, 8)) & (labels == 0)] = number
    return labels


def image_of(seed: int, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)


def provenance_of(labels: np.ndarray, seed: int, **more: object) -> dict:
    return {
        "schema": 1,
        "kind": "render",
        "synthetic": True,
        "request": {"seed": seed, "guidance": 1.2, "checkpoint_sha256": "ab" * 32},
        "layout_sha256": Layout(labels).sha256(),
        "um_per_px": 0.25,
        "checkpoint": {"name": "tiny", "licence": "CC BY 4.0", "training_data": "nothing"},
        **more,
    }


def write_pairs(folder: Path, count: int, renders: int = 1) -> Path:
    """Layouts, each with some renders."""
    for i in range(count):
        labels = nuclei(i)
        for j in range(renders):
            sample = Pair(
                Layout(labels), image_of(100 * i + j), provenance=provenance_of(labels, j)
            )
            write_sample(folder, f"pair_{i:04d}_{j}", sample)
    return folder


def write_real(folder: Path, patients: int = 5, images: int = 2) -> Path:
    """Real images of some patients, as the TNBC set names them."""
    for patient in range(patients):
        for number in range(images):
            name, seed = f"tnbc_{patient:02d}_{number}", 50_000 + 10 * patient + number
            write_rgb(folder / "images" / f"{name}.png", image_of(seed))
            write_layout(folder / "labels" / f"{name}.tif", nuclei(seed))
    return folder


def export(candidates, out, grades=None, **options):
    options = {"formats": ("cellpose", "coco-polygons", "imagefolder"), **options}
    plan = run(plan_set(candidates, ExportOptions(**options), grades))
    run(write_set(out, candidates, plan))
    return plan


def splits_by(rows, key):
    found = defaultdict(set)
    for row in rows:
        found[key(row)].add(row.split)
    return found


# Lineage


def test_renders_of_one_layout_stay_together(tmp_path):
    candidates = find_candidates(write_pairs(tmp_path / "pairs", 12, renders=3))
    plan = run(plan_set(candidates, ExportOptions(val=0.2, test=0.2)))
    splits = splits_by(plan.rows, lambda row: row.layout_sha256)
    assert all(len(own) == 1 for own in splits.values())
    assert plan.counts == {"train": 21, "val": 9, "test": 6}


def test_a_layout_edited_by_hand_is_known_by_the_nuclei_that_stayed():
    before = nuclei(0, count=6, side=128)
    after = np.roll(before, 3, axis=1) * (before == 1) + before * (before > 1)
    other = nuclei(1, count=6, side=128)
    found = families(
        [["a"], ["b"], ["c"]], [Layout(x).nuclei_fingerprints() for x in (before, after, other)]
    )
    assert found[0] == found[1] != found[2]


def test_one_nucleus_in_common_does_not_make_a_family():
    base = nuclei(0, count=6, side=256)
    other = nuclei(5, count=6, side=256)
    other[base == 1] = 7
    found = families(
        [["a"], ["b"]], [Layout(base).nuclei_fingerprints(), Layout(other).nuclei_fingerprints()]
    )
    assert found[0] != found[1]


def test_lineage_is_followed_through_edits_and_perturbations(tmp_path):
    root = nuclei(0)
    for i, more in enumerate(
        [
            {},
            {"parent": {"layout_sha256": Layout(root).sha256()}},
            {"lineage": {"root": Layout(root).sha256()}},
            {},
        ]
    ):
        labels = root if i == 0 else nuclei(10 + i)
        sample = Pair(Layout(labels), image_of(i), provenance=provenance_of(labels, i, **more))
        write_sample(tmp_path / "pairs", f"p{i}", sample)
    rows = run(plan_set(find_candidates(tmp_path / "pairs"), ExportOptions())).rows
    assert [row.lineage for row in rows] == [0, 0, 0, 1]


def test_synthetic_images_of_held_out_patients_layouts_are_left_out(tmp_path):
    real = find_real(write_real(tmp_path / "real"))
    for i, candidate in enumerate(real):
        labels = candidate.load().labels
        write_sample(
            tmp_path / "syn",
            f"s{i}",
            Pair(Layout(labels), image_of(i), provenance=provenance_of(labels, i)),
        )
    candidates = find_candidates(tmp_path / "syn") + real
    plan = run(plan_set(candidates, ExportOptions(test_groups=("03",), val=0)))
    assert {row.group for row in plan.in_split("test")} == {"03"}
    assert plan.left_out == {"synthetic, of a layout that is held out": 2}
    assert not any(row.synthetic for row in plan.in_split("test"))
    everywhere = ExportOptions(test_groups=("03",), val=0, synthetic_in_train_only=False)
    assert len(run(plan_set(candidates, everywhere)).in_split("test")) == 4


def test_patients_are_never_torn_apart_and_shares_count_real_images(tmp_path):
    real = find_real(write_real(tmp_path / "real", patients=10, images=3))
    candidates = find_candidates(write_pairs(tmp_path / "syn", 40)) + real
    plan = run(plan_set(candidates, ExportOptions()))
    assert all(len(own) == 1 for g, own in splits_by(plan.rows, lambda r: r.group).items() if g)
    assert plan.counts == {"train": 64, "val": 3, "test": 3}


def test_no_split_of_random_families_is_torn():
    rng = random.Random(0)
    for trial in range(50):
        own = [rng.randrange(12) for _ in range(60)]
        own = np.unique(own, return_inverse=True)[1].tolist()
        told = [rng.choice(["", "", "", "test"]) for _ in own]
        counts = [rng.random() < 0.8 for _ in own]
        splits = split_families(own, told, counts, val=0.2, test=0.1, seed=trial)
        by_family = defaultdict(set)
        for family, split in zip(own, splits, strict=True):
            by_family[family].add(split)
        assert all(len(found) == 1 for found in by_family.values())


def test_synthetic_images_among_real_ones_are_known_by_their_mark(tmp_path):
    export(find_candidates(write_pairs(tmp_path / "pairs", 3)), tmp_path / "set", val=0, test=0)
    for name in ("cellpose", "coco-polygons"):
        found = find_real(tmp_path / "set" / name)
        assert [candidate.synthetic for candidate in found] == [True] * 3
        rows = run(plan_set(found, ExportOptions())).rows
        assert [row.seed for row in rows] == [0, 0, 0]
        assert {row.checkpoint for row in rows} == {"tiny"}


# What goes in


def test_gate_by_grades_and_by_stars(tmp_path):
    candidates = find_candidates(write_pairs(tmp_path / "pairs", 4))
    hashes = [pixels_sha256(c.load().image) for c in candidates]
    grades = {
        hashes[0]: Grade(realism=4.5, correctness=5, flagged=frozenset({1}), reviewers=1),
        hashes[1]: Grade(realism=2.0, correctness=5, flagged=frozenset(), reviewers=1),
        hashes[2]: Grade(realism=None, correctness=5, flagged=frozenset(), reviewers=1),
    }
    unflagged = ExportOptions(gate=Gate(without_flags=True))
    assert [r.index for r in run(plan_set(candidates, unflagged, grades)).rows] == [1, 2, 3]
    gate = ExportOptions(gate=Gate(min_realism=3))
    plan = run(plan_set(candidates, gate, grades))
    assert [row.index for row in plan.rows] == [0]
    assert plan.rows[0].realism == 4.5
    assert plan.left_out == {"realism below 3": 1, "realism not graded": 2}
    with pytest.raises(DatasetError, match="4: not starred"):
        run(plan_set(candidates, ExportOptions(gate=Gate(starred=True))))


def test_the_same_image_is_taken_once(tmp_path):
    labels = nuclei(0)
    for name in ("a", "b"):
        write_sample(
            tmp_path, name, Pair(Layout(labels), image_of(0), provenance=provenance_of(labels, 0))
        )
    plan = run(plan_set(find_candidates(tmp_path), ExportOptions()))
    assert len(plan.rows) == 1 and plan.left_out == {"the same image again": 1}


def test_border_area_and_numbers(tmp_path):
    labels = np.zeros((SIDE, SIDE), np.int32)
    labels[0:5, 10:20] = 70000  # cut by the border
    labels[30:32, 30:32] = 9  # a speck
    labels[40:50, 40:50] = 1234
    write_sample(
        tmp_path / "p", "a", Pair(Layout(labels), image_of(0), provenance=provenance_of(labels, 0))
    )
    candidates = find_candidates(tmp_path / "p")
    plan = export(candidates, tmp_path / "out", border="drop", min_area_px=10)
    assert (plan.rows[0].nuclei, plan.rows[0].dropped) == (1, 2)
    import tifffile

    masks = tifffile.imread(tmp_path / "out" / "cellpose" / "train" / "synthetic_00000_masks.tif")
    np.testing.assert_array_equal(masks, labels == 1234)
    assert masks.dtype == np.uint16


def test_more_nuclei_than_16_bits_are_refused(tmp_path):
    labels = np.zeros((600, 600), np.int32)
    labels[::2, ::2] = np.arange(300 * 300).reshape(300, 300) + 1
    image = np.zeros((600, 600, 3), np.uint8)
    write_sample(
        tmp_path / "p", "a", Pair(Layout(labels), image, provenance=provenance_of(labels, 0))
    )
    with pytest.raises(DatasetError, match=r"90,000 nuclei.*65,535"):
        run(plan_set(find_candidates(tmp_path / "p"), ExportOptions()))


def test_classes_are_mapped_renamed_and_left_out(tmp_path):
    labels = nuclei(0, count=3)
    more = {"classes": {"1": "tumour", "2": "debris"}}
    write_sample(
        tmp_path / "p",
        "a",
        Pair(Layout(labels), image_of(0), provenance=provenance_of(labels, 0, **more)),
    )
    mapped = {"tumour": "neoplastic", "debris": ""}
    plan = run(plan_set(find_candidates(tmp_path / "p"), ExportOptions(classes=mapped)))
    assert plan.class_names == ("neoplastic", "nucleus")
    assert plan.rows[0].class_counts == {"neoplastic": 1, "nucleus": 1}


def test_names_are_files_on_every_system_and_no_masks(tmp_path):
    labels = nuclei(0)
    write_sample(
        tmp_path,
        "a b: c_masks",
        Pair(Layout(labels), image_of(0), provenance=provenance_of(labels, 7)),
    )
    candidates = find_candidates(tmp_path)
    plan = run(plan_set(candidates, ExportOptions(names="{name}")))
    assert plan.rows[0].name == "a-b-c_masks-"
    assert run(
        plan_set(candidates, ExportOptions(names="con{name:.0}{seed:.0}"[:3] + "{index:.0f}"))
    )
    with pytest.raises(RequestError, match="same name"):
        ExportOptions(names="all")
    with pytest.raises(RequestError, match="cannot be used"):
        ExportOptions(names="{who}")


def test_equal_nuclei_have_equal_fingerprints_whatever_their_numbers():
    labels = nuclei(3)
    shuffled = np.array([0, 4, 9, 1, 30, 2])[labels]
    assert Layout(labels).nuclei_sha256() == Layout(shuffled).nuclei_sha256()
    assert (
        Layout(labels).nuclei_sha256() != Layout(np.where(labels == 2, 1, labels)).nuclei_sha256()
    )
    assert Layout(labels + 1).nuclei_sha256() != Layout(labels).nuclei_sha256()


@pytest.mark.parametrize(
    "options, complaint",
    [
        ({"formats": ("nope",)}, "no format nope"),
        ({"formats": ()}, "No format"),
        ({"val": 0.6, "test": 0.5}, "below 1"),
        ({"border": "cut"}, "keep or drop"),
        ({"gate": Gate(min_realism=7)}, "1 to 5"),
    ],
)
def test_options_that_make_no_sense(options, complaint):
    with pytest.raises(RequestError, match=complaint):
        ExportOptions(**options)


def test_unreadable_pairs_are_named_and_nothing_is_written(tmp_path):
    folder = write_pairs(tmp_path / "pairs", 3)
    (folder / "pair_0001_0.png").write_bytes(b"no image")
    candidates = find_candidates(folder)
    with pytest.raises(DatasetError, match=r"1 pairs cannot be used.*pair_0001_0.*skip-bad"):
        run(plan_set(candidates, ExportOptions()))
    plan = run(plan_set(candidates, ExportOptions(), skip_bad=True))
    assert len(plan.rows) == 2 and plan.left_out == {"cannot be read": 1}


# Writing


def test_a_set_is_complete_and_verifies(tmp_path):
    candidates = find_candidates(write_pairs(tmp_path / "pairs", 10))
    plan = export(candidates, tmp_path / "set")
    assert run(verify_set(tmp_path / "set")) == []
    assert read_manifest(tmp_path / "set") == plan.rows
    told = dict(provenance_in(tmp_path / "set"))
    assert told[plan.rows[3].name]["request"]["seed"] == plan.rows[3].seed
    assert not part_of(tmp_path / "set").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pairs", "set"]
    index = json.loads((tmp_path / "set" / "dataset.json").read_text())
    assert index["synthetic"] == 10 and index["checkpoints"]["ab" * 32]["licence"] == "CC BY 4.0"
    assert "CC BY 4.0" in (tmp_path / "set" / "LICENSE-NOTES.md").read_text()
    assert "Not for diagnosis" in (tmp_path / "set" / "DATASHEET.md").read_text()


def test_manifest_is_read_by_pyarrow(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    plan = export(find_candidates(write_pairs(tmp_path / "pairs", 3)), tmp_path / "set")
    table = parquet.read_table(tmp_path / "set" / "manifest.parquet").to_pylist()
    assert [row["image_sha256"] for row in table] == [row.image_sha256 for row in plan.rows]
    assert [row["nuclei_of_nucleus"] for row in table] == [row.nuclei for row in plan.rows]


def test_equal_exports_are_equal_bytes(tmp_path):
    candidates = find_candidates(write_pairs(tmp_path / "pairs", 4))
    for name in ("one", "two"):
        export(candidates, tmp_path / name)
    one, two = ((tmp_path / n / "checksums.sha256").read_bytes() for n in ("one", "two"))
    assert one == two


def damage_pixels(folder):
    path = next(folder.glob("cellpose/train/*_masks.tif"))
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


def delete_a_file(folder):
    next(folder.glob("imagefolder/train/*.png")).unlink()


def add_a_file(folder):
    (folder / "cellpose" / "train" / "extra.tif").write_bytes(b"")


def tear_a_lineage(folder):
    path = folder / "manifest.csv"
    path.write_text(path.read_text().replace(",train,", ",val,", 1))


@pytest.mark.parametrize(
    "damage, what",
    [
        (damage_pixels, "changed file"),
        (delete_a_file, "missing file"),
        (add_a_file, "unknown file"),
        (tear_a_lineage, "torn lineage"),
    ],
)
def test_verification_finds_damage(tmp_path, damage, what):
    export(find_candidates(write_pairs(tmp_path / "pairs", 4, renders=2)), tmp_path / "set")
    damage(tmp_path / "set")
    assert what in {problem.what for problem in run(verify_set(tmp_path / "set"))}


def test_a_folder_that_is_no_set_is_neither_replaced_nor_verified(tmp_path):
    candidates = find_candidates(write_pairs(tmp_path / "pairs", 2))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(DatasetError, match="no exported set, so it is not replaced"):
        export(candidates, tmp_path / "mine")
    with pytest.raises(DatasetError, match="no exported set"):
        run(verify_set(tmp_path / "mine"))
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years"


def test_a_set_is_replaced_only_when_asked(tmp_path):
    candidates = find_candidates(write_pairs(tmp_path / "pairs", 3))
    export(candidates, tmp_path / "set")
    with pytest.raises(DatasetError, match="--overwrite"):
        export(candidates, tmp_path / "set")
    plan = run(plan_set(candidates[:1], ExportOptions()))
    run(write_set(tmp_path / "set", candidates, plan, overwrite=True))
    assert len(read_manifest(tmp_path / "set")) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pairs", "set"]


def test_an_unfinished_export_of_other_pairs_is_not_thrown_away_unasked(tmp_path):
    candidates = find_candidates(write_pairs(tmp_path / "pairs", 3))
    plan = run(plan_set(candidates, ExportOptions()))
    steps = write_set(tmp_path / "set", candidates, plan)
    next(steps)
    next(steps)
    steps.close()
    other = run(plan_set(candidates, ExportOptions(title="Another")))
    with pytest.raises(DatasetError, match="--restart"):
        run(write_set(tmp_path / "set", candidates, other))
    run(write_set(tmp_path / "set", candidates, other, restart=True))
    assert run(verify_set(tmp_path / "set")) == []


def test_two_exports_do_not_write_one_set(tmp_path):
    candidates = find_candidates(write_pairs(tmp_path / "pairs", 3))
    plan = run(plan_set(candidates, ExportOptions()))
    steps = write_set(tmp_path / "set", candidates, plan)
    next(steps)
    with pytest.raises(DatasetError, match="Another export"):
        run(write_set(tmp_path / "set", candidates, plan))
    run(steps)
    assert run(verify_set(tmp_path / "set")) == []


def test_a_pair_that_changes_meanwhile_is_noticed(tmp_path):
    folder = write_pairs(tmp_path / "pairs", 3)
    candidates = find_candidates(folder)
    plan = run(plan_set(candidates, ExportOptions()))
    write_rgb(folder / "pair_0001_0.png", image_of(77))
    with pytest.raises(DatasetError, match="changed while the set was written"):
        run(write_set(tmp_path / "set", candidates, plan))
    assert not (tmp_path / "set").exists()


COMMAND = [sys.executable, "-m", "napari_nudiff.cli", "export", "write", "--quiet"]


def test_a_full_disk_is_one_clear_error_and_the_export_goes_on(tmp_path):
    """The limit on the size of files stands for the full disk: both fail within a write."""
    write_pairs(tmp_path / "pairs", 30)
    command = [*COMMAND, "pairs", "--out", "set", "--format", "webdataset"]
    limit = 100_000

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    failed = subprocess.run(
        command, cwd=tmp_path, preexec_fn=limited, capture_output=True, text=True, check=False
    )
    assert failed.returncode == 2
    assert failed.stderr.count("\n") == 1 and "run the same export again to go on" in failed.stderr
    assert not (tmp_path / "set").exists()
    subprocess.run(command, cwd=tmp_path, check=True)
    assert run(verify_set(tmp_path / "set")) == []


def lines_in(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except OSError:
        return 0


@pytest.mark.slow
def test_killed_at_any_moment_the_set_is_absent_or_complete(tmp_path, monkeypatch):
    write_pairs(tmp_path / "pairs", 24)
    code = (
        "import sys; from napari_nudiff.dataset.export import writing; writing._MOST_MEMBERS = 3\n"
        "from napari_nudiff.cli import main; sys.exit(main())"
    )
    formats = ["cellpose", "coco-polygons", "webdataset", "imagefolder"]
    command = [sys.executable, "-c", code, "export", "write", "--quiet", "pairs", "--format"]
    command += [*formats, "--out"]
    subprocess.run([*command, "whole"], cwd=tmp_path, check=True)
    rng = random.Random(KILLS)
    killed = 0
    for number in range(KILLS):
        out = f"set_{number}"
        process = subprocess.Popen([*command, out], cwd=tmp_path)
        journal = part_of(tmp_path / out) / "journal.jsonl"
        lines = rng.randrange(10)
        while process.poll() is None and lines_in(journal) < lines:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.03))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        if not (tmp_path / out).exists():
            subprocess.run([*command, out], cwd=tmp_path, check=True)
        assert run(verify_set(tmp_path / out)) == []
        sums = [(tmp_path / n / "checksums.sha256").read_bytes() for n in ("whole", out)]
        assert sums[0] == sums[1]
        assert not part_of(tmp_path / out).exists()
    assert killed > KILLS / 2
