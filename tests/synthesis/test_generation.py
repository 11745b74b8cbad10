"""Many pairs: the same whoever makes them, complete whatever happens."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_nudiff.dataset.candidates import find_candidates
from napari_nudiff.dataset.export.options import ExportOptions
from napari_nudiff.dataset.export.plan import plan_set
from napari_nudiff.dataset.images import read_layout, write_layout
from napari_nudiff.dataset.pair import Layout, turned
from napari_nudiff.dataset.sample import read_sample
from napari_nudiff.errors import DatasetError, LayoutError, RequestError
from napari_nudiff.nuclei.layout import scatter_nuclei
from napari_nudiff.nuclei.perturbation import perturb
from napari_nudiff.synthesis.device import using_threads
from napari_nudiff.synthesis.generation import (
    PLAN,
    begin,
    generate,
    path_of,
    plan_in,
    read_plan,
)
from napari_nudiff.synthesis.generation_plan import GenerationPlan, item_of, load_plan
from napari_nudiff.synthesis.pipeline import sample_layout
from napari_nudiff.synthesis.replay import request_of
from napari_nudiff.synthesis.request import LayoutRequest
from napari_nudiff.work import run


@pytest.fixture
def plan(tiny_checkpoint) -> GenerationPlan:
    return GenerationPlan(
        count=5,
        height_px=64,
        width_px=72,
        layouts="scattered",
        stain_spread=0,
        steps=2,
        layout_steps=2,
        image_checkpoint=tiny_checkpoint("image"),
        structure_checkpoint=tiny_checkpoint("structure"),
        precision="fp32",
        density=(0.1, 0.3),
        device="cpu",
    )


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        p.name: p.read_bytes() for p in folder.iterdir() if p.suffix in {".png", ".tif", ".json"}
    }


def test_any_sharding_makes_the_same_set(plan, tmp_path):
    for _ in generate(plan, tmp_path / "one"):
        pass
    for rank in (2, 0, 1):
        for _ in generate(plan, tmp_path / "three", rank=rank, ranks=3):
            pass
    assert files_in(tmp_path / "one") == files_in(tmp_path / "three")
    assert len(files_in(tmp_path / "one")) == 3 * 5 + 1


def test_it_tells_what_is_made_and_goes_on_with_what_is_missing(plan, tmp_path):
    done = []
    for progress in generate(plan, tmp_path):
        assert all(path_of(tmp_path, number).is_file() for number in range(progress.done))
        assert (progress.stage, progress.total) == ("pair", 5)
        done.append(progress.done)
    assert done == sorted(done)
    assert set(done) == {0, 1, 2, 3, 4, 5}
    before = files_in(tmp_path)
    times = {p: p.stat().st_mtime_ns for p in tmp_path.glob("0*.png")}
    path_of(tmp_path, 2).unlink()
    assert {progress.done for progress in generate(plan, tmp_path)} == {4, 5}
    assert path_of(tmp_path, 2).is_file()
    assert files_in(tmp_path) == before
    assert all(p.stat().st_mtime_ns == times[p] for p in times if p.stem != "000002")


def test_more_can_be_asked_for_later(plan, tmp_path):
    for _ in generate(replace(plan, count=2), tmp_path):
        pass
    for _ in generate(plan, tmp_path):
        pass
    assert read_plan(tmp_path).count == 5
    assert len(list(tmp_path.glob("*.png"))) == 5


def test_another_plan_is_refused_and_said_to_be_one(plan, tmp_path):
    for _ in generate(plan, tmp_path):
        pass
    before = files_in(tmp_path)
    with pytest.raises(DatasetError, match=r"another plan \(steps differ\)"):
        next(generate(replace(plan, steps=3), tmp_path))
    assert files_in(tmp_path) == before


def test_a_folder_with_other_files_is_left_alone(plan, tmp_path):
    (tmp_path / "thesis.txt").write_text("years")
    with pytest.raises(DatasetError, match="other files"):
        next(generate(plan, tmp_path))
    with pytest.raises(DatasetError, match="as a folder"):
        next(generate(plan, tmp_path / "thesis.txt"))
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_what_others_made_meanwhile_is_not_made_again(plan, tmp_path):
    steps = generate(plan, tmp_path)
    next(steps)
    for _ in generate(plan, tmp_path, rank=1, ranks=2):
        pass
    there = {p: p.stat().st_mtime_ns for p in tmp_path.glob("0*.png")}
    assert list(steps)[-1].done == 5
    assert len(there) == 2 and all(p.stat().st_mtime_ns == then for p, then in there.items())


def test_two_processes_do_not_make_the_same_share(plan, tmp_path):
    first = generate(plan, tmp_path)
    next(first)
    with pytest.raises(DatasetError, match="Another process"):
        next(generate(plan, tmp_path))
    first.close()


@pytest.mark.parametrize("layouts", ["sampled", "scattered"])
def test_a_pair_is_made_again_from_what_is_stored_on_it(plan, tmp_path, layouts):
    plan = replace(
        plan, layouts=layouts, perturb=0.4, stain_spread=0.5, guidance=(1.0, 2.0), count=2
    )
    for _ in generate(plan, tmp_path):
        pass
    for number in range(2):
        sample = read_sample(path_of(tmp_path, number))
        with using_threads(sample.provenance["threads"]):
            again = run(request_of(sample.provenance))
        np.testing.assert_array_equal(again.image, sample.image)
        np.testing.assert_array_equal(again.labels, sample.labels)
    assert sample.provenance["request"]["guidance"] != 1.2
    assert sample.provenance["request"]["style"] is not None


def test_a_layout_is_made_again_from_its_lineage(plan, tmp_path):
    """Before it is perturbed, and after it."""
    plan = replace(plan, layouts="sampled", perturb=0.4, count=1)
    for _ in generate(plan, tmp_path):
        pass
    sample = read_sample(path_of(tmp_path, 0))
    lineage = sample.provenance["lineage"]
    with using_threads(sample.provenance["threads"]):
        request = LayoutRequest.from_dict(lineage["origin"]["request"])
        first = run(sample_layout(request)).labels
    assert Layout(first).sha256() == lineage["root"]
    again = perturb(first, lineage["perturbed"]["share"], lineage["perturbed"]["seed"])
    np.testing.assert_array_equal(again, sample.labels)


def test_a_part_is_found_again_in_the_layout_that_was_given(plan, given, tmp_path):
    plan = replace(plan, layouts="given", given=given, count=4)
    for _ in generate(plan, tmp_path / "out"):
        pass
    for number in range(4):
        sample = read_sample(path_of(tmp_path / "out", number))
        origin = sample.provenance["lineage"]["origin"]
        whole = turned(read_layout(tmp_path / origin["file"]), origin["turns"], origin["mirrored"])
        part = whole[origin["top_px"] :, origin["left_px"] :][:64, :72]
        np.testing.assert_array_equal(part > 0, sample.labels > 0)


@pytest.fixture
def given(tmp_path) -> tuple[str, ...]:
    paths = []
    for seed in range(2):
        labels = scatter_nuclei((128, 160), density=0.25, seed=seed)
        paths.append(tmp_path / f"given{seed}.tif")
        write_layout(paths[-1], labels * 7)
    return tuple(map(str, paths))


def test_given_layouts_keep_their_lineage(plan, given, tmp_path):
    plan = replace(plan, layouts="given", given=given, perturb=0.3, count=8)
    for _ in generate(plan, tmp_path / "out"):
        pass
    rows = run(plan_set(find_candidates(tmp_path / "out"), ExportOptions())).rows
    lineages = [row.lineage for row in rows]
    wanted = [item_of(plan, number).given for number in range(8)]
    assert [n != lineages[0] for n in lineages] == [n != wanted[0] for n in wanted]
    assert len(set(wanted)) == 2
    assert len({row.layout_sha256 for row in rows}) == 8


def test_given_layouts_that_changed_are_noticed(plan, given, tmp_path):
    plan = replace(plan, layouts="given", given=given, count=1)
    for _ in generate(plan, tmp_path / "out"):
        pass
    write_layout(Path(given[0]), scatter_nuclei((128, 160), seed=9))
    stored = plan_in(tmp_path / "out" / "plan.json")
    with pytest.raises(DatasetError, match="not those that the plan was made with"):
        next(generate(stored, tmp_path / "out"))


def test_given_layouts_that_are_too_small(plan, given, tmp_path):
    plan = replace(plan, layouts="given", given=given, height_px=144)
    with pytest.raises(LayoutError, match=r"128 x 160 px; parts of 144 x 72"):
        next(generate(plan, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_values_are_spread_over_their_ranges(plan):
    plan = replace(plan, density=(0.1, 0.3), mean_area_px=(200, 400), guidance=(1, 3))
    items = [item_of(plan, number) for number in range(400)]
    for values, (low, high) in (
        ([i.density for i in items], (0.1, 0.3)),
        ([i.mean_area_px for i in items], (200, 400)),
        ([i.render.guidance for i in items], (1, 3)),
    ):
        assert low <= min(values) < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < max(values) <= high
    assert len({i.render.seed for i in items}) == 400


def test_one_setting_does_not_change_what_the_others_draw(plan):
    other = replace(plan, density=None, stain_spread=1.0, guidance=(1, 2))
    for number in range(5):
        a, b = item_of(plan, number), item_of(other, number)
        assert (a.layout_seed, a.render.seed, a.turns) == (b.layout_seed, b.render.seed, b.turns)


@pytest.mark.parametrize(
    "values, complaint",
    [
        ({"count": 0}, "count is 0"),
        ({"count": 2.5}, "a whole number"),
        ({"turn": "no"}, "true or false"),
        ({"stains": "pale"}, "a list of strings"),
        ({"layouts": "drawn"}, "layouts is 'drawn'"),
        ({"layouts": "given"}, "given"),
        ({"density": [0.5, 0.1]}, "the lower first"),
        ({"density": [0.5]}, "wrong type"),
        ({"guidance": "much"}, "guidance is 'much'; expected a list of numbers"),
        ({"stains": ["mauve"]}, "mauve"),
        ({"steps": 0}, "steps is 0"),
        ({"colour": 1}, "Unknown setting"),
    ],
)
def test_plans_that_make_no_sense(values, complaint):
    with pytest.raises(RequestError, match=complaint):
        GenerationPlan.from_dict(values)


def test_a_plan_as_toml(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text('count = 3\ndensity = [0.1, 0.2]\nstains = ["pale"]\n')
    assert load_plan(path) == GenerationPlan(count=3, density=(0.1, 0.2), stains=("pale",))
    path.write_text('layouts = "given"\ngiven = ["a.tif"]\n')
    assert load_plan(path).given == (str(tmp_path / "a.tif"),)
    path.write_text("count = ")
    with pytest.raises(RequestError, match="Cannot read the plan"):
        load_plan(path)


def command(plan: GenerationPlan, out: Path, *more: str) -> list[str]:
    told = ["--count", "12", "--size", "64", "64", "--layouts", "scattered", "--steps", "2"]
    told += ["--image-checkpoint", plan.image_checkpoint, "--precision", "fp32", "--quiet"]
    start = [sys.executable, "-m", "napari_nudiff.cli", "generate"]
    return [*start, *told, "--out", str(out), *more]


@pytest.mark.slow
def test_processes_make_the_same_set_as_one(plan, tmp_path):
    subprocess.run(command(plan, tmp_path / "one", "--processes", "1"), check=True)
    subprocess.run(command(plan, tmp_path / "two", "--processes", "3"), check=True)
    assert files_in(tmp_path / "one") == files_in(tmp_path / "two")


def test_launchers_tell_the_share_in_the_environment(plan, tmp_path):
    for rank in ("0", "1"):
        environment = os.environ | {"RANK": rank, "WORLD_SIZE": "2", "LOCAL_RANK": rank}
        subprocess.run(command(plan, tmp_path / "out"), check=True, env=environment)
        assert len(list((tmp_path / "out").glob("*.png"))) == (6, 12)[int(rank)]


@pytest.mark.slow
def test_a_disk_that_is_full_is_one_clear_error(plan, tmp_path):
    import resource

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))

    told = subprocess.run(
        command(plan, tmp_path / "out"),
        preexec_fn=limited,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 2 and told.stderr.count("\n") == 1
    assert "Cannot write" in told.stderr and "run the same command again" in told.stderr
    subprocess.run(command(plan, tmp_path / "out"), check=True)
    assert len(list((tmp_path / "out").glob("*.png"))) == 12


@pytest.mark.slow
def test_killed_at_any_moment_nothing_is_lost_and_nothing_made_twice(plan, tmp_path):
    subprocess.run(command(plan, tmp_path / "whole"), check=True)
    out, rng = tmp_path / "out", random.Random(1)
    kills = 0
    while len(list(out.glob("*.json"))) < 13:  # the plan and twelve pairs
        before = {p: p.stat().st_mtime_ns for p in out.glob("0*.json")}
        wanted = len(before) + rng.randrange(1, 5)
        process = subprocess.Popen(command(plan, out, "--processes", "1"))
        while process.poll() is None and len(list(out.glob("0*.json"))) < wanted:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.03))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        assert all(p.stat().st_mtime_ns == then for p, then in before.items())
    assert kills >= 2
    subprocess.run(command(plan, out), check=True)
    assert files_in(out) == files_in(tmp_path / "whole")


# Resolution and appearance


@pytest.fixture
def scaled(plan, tiny_checkpoint) -> GenerationPlan:
    return replace(
        plan,
        image_checkpoint=tiny_checkpoint("scaled-image"),
        structure_checkpoint=tiny_checkpoint("scaled-structure"),
        count=3,
    )


# As version 0.1 wrote it, and what that made of it.
OLD_PLAN = {
    "count": 16, "seed": 3, "height_px": 256, "width_px": 256, "layouts": "scattered",
    "given": [], "given_sha256": [], "density": [0.03, 0.3], "mean_area_px": [200.0, 550.0],
    "perturb": 0.0, "turn": True, "stains": [], "stain_spread": 0.5, "guidance": [1.0, 2.0],
    "steps": 20, "layout_steps": 20, "sampler": "dpmpp_2m",
    "image_checkpoint": "tnbc-compact-image", "structure_checkpoint": "tnbc-compact-structure",
    "precision": "auto", "device": "auto",
}  # fmt: skip
OLD_SHA256 = "e14363b81ebe3e520aba71d87c0c3a8f1ba37f456a41b859abe3dd3747c89e50"


def test_plans_of_the_first_version_make_the_same_items(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({"kind": "nudiff generation plan", "schema": 1} | OLD_PLAN))
    plan = plan_in(path)
    assert plan.sha256 == OLD_SHA256
    item = item_of(plan, 7)
    assert (item.layout_seed, item.render.seed) == (3936111239430660729, 1174909249812572300)
    assert (item.render.guidance, item.mirrored) == (1.162265, False)
    assert (item.render.um_per_px, item.render.appearance) == (None, None)


def test_the_scale_is_that_of_layouts_and_images(scaled, tmp_path):
    plan = replace(scaled, layouts="sampled", um_per_px=0.5, count=1)
    for _ in generate(plan, tmp_path):
        pass
    provenance = read_sample(path_of(tmp_path, 0)).provenance
    assert provenance["request"]["um_per_px"] == provenance["um_per_px"] == 0.5
    assert provenance["lineage"]["origin"]["request"]["um_per_px"] == 0.5
    assert item_of(scaled, 0).render.um_per_px is None


def test_a_changed_appearance_changes_nothing_else(scaled):
    appearances = tuple((i / 8,) * 16 for i in range(5))
    for number in range(20):
        one = item_of(replace(scaled, appearances=appearances), number)
        assert one.render.appearance in appearances
        expected = replace(one.render, appearance=None)
        assert one._replace(render=expected) == item_of(scaled, number)
    varied = replace(scaled, appearances=appearances)
    assert {item_of(varied, n).render.appearance for n in range(40)} == set(appearances)


def test_appearances_are_drawn_varied_or_given(scaled, tmp_path):
    given = replace(scaled, appearances=((0.5,) * 16, (-0.25,) * 16))
    codes = {}
    for name, plan in {
        "drawn": scaled,
        "varied": replace(scaled, appearance_spread=1.0),
        "given": given,
    }.items():
        for _ in generate(plan, tmp_path / name):
            pass
        stored = [read_sample(path_of(tmp_path / name, n)) for n in range(3)]
        codes[name] = [tuple(s.provenance["request"]["appearance"]) for s in stored]
    assert len(set(codes["drawn"]) | set(codes["varied"])) == 6
    assert set(codes["given"]) <= set(given.appearances)
    assert read_plan(tmp_path / "given") == given
    with pytest.raises(DatasetError, match=r"\(appearances differ\)"):
        next(generate(scaled, tmp_path / "given"))


@pytest.mark.parametrize(
    "told, complaint",
    [
        ({"um_per_px": 0.5}, "of 0.25|0.25 um per px only"),
        ({"appearance_spread": 1.0}, "takes no appearance"),
        ({"appearances": ((0.0,) * 16,)}, "takes no appearance"),
    ],
)
def test_what_the_model_cannot_be_given_is_refused_first(plan, tmp_path, told, complaint):
    with pytest.raises(RequestError, match=complaint):
        next(generate(replace(plan, **told), tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "told",
    [
        {"um_per_px": 5.0},
        {"um_per_px": "fine"},
        {"appearance_spread": -1.0},
        {"appearances": [0.5, 0.5]},
        {"appearances": [["a"]]},
        {"appearances": [[0.5]], "appearance_spread": 1.0},
    ],
)
def test_a_plan_with_a_senseless_scale_or_appearance(told):
    with pytest.raises(RequestError, match=next(iter(told))):
        GenerationPlan.from_dict(told)


def test_scale_and_appearances_as_toml(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text("um_per_px = 0.5\nappearances = [[0.5, 1], [0, 0.25]]\n")
    assert load_plan(path) == GenerationPlan(um_per_px=0.5, appearances=((0.5, 1), (0, 0.25)))
    path.write_text("appearance_spread = 0.5\n")
    assert load_plan(path) == GenerationPlan(appearance_spread=0.5)


def test_a_folder_of_version_0_1_goes_on_as_it_was_begun(plan, tmp_path) -> None:
    begin(plan, tmp_path)
    stored = json.loads((tmp_path / PLAN).read_text())
    assert stored["schema"] == 2
    old = {k: v for k, v in stored.items() if k != "literal"} | {"schema": 1}
    (tmp_path / PLAN).write_text(json.dumps(old))
    for _ in generate(replace(plan, count=1), tmp_path):
        pass
    request = json.loads((tmp_path / "000000.json").read_text())["request"]
    assert request["literal"]
    assert begin(replace(plan, count=plan.count + 1), tmp_path).literal
    assert json.loads((tmp_path / PLAN).read_text())["literal"]
