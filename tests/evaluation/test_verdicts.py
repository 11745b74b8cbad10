"""Verdicts of studies whose outcome is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.evaluation.agreement import Score
from napari_nudiff.evaluation.coverage import Coverage
from napari_nudiff.evaluation.memorisation import Memorisation, Nearest
from napari_nudiff.evaluation.realism import Realism
from napari_nudiff.evaluation.resampling import Interval
from napari_nudiff.evaluation.statistics import compare
from napari_nudiff.evaluation.study import Study, StudyConfig
from napari_nudiff.evaluation.verdicts import verdicts
from napari_nudiff.nuclei.layout import scatter_nuclei

PICTURE = np.zeros((64, 64, 3), np.uint8)
AGREEMENT, MATCHES, NUCLEI, QUARTILES, COPIES, REALISM, VARIETY = range(7)


def layouts(n: int, area: float, seed: int):
    return [
        scatter_nuclei((128, 128), density=0.25, mean_area_px=area, seed=seed + i) for i in range(n)
    ]


def scores(dice, missed=2, extra=2):
    return [
        Score(str(i), "abc"[i % 3], float(d), 0.5, 0.5, 20, missed, extra)
        for i, d in enumerate(dice)
    ]


def found(distances, threshold=0.2):
    near = [Nearest(d, 0, 0, (0, 0), (0, 0)) for d in distances]
    unseen = [Nearest(0.3 + i / 100, 0, 0, (0, 0), (0, 0)) for i in range(20)]
    return Memorisation(near, unseen, sum(d < threshold for d in distances), threshold)


def about(value: float) -> Interval:
    return Interval(value, value - 0.1, value + 0.1, 20)


def coverage(renders: float, n: int = 20) -> Coverage:
    others = {"held_out": 0.6, "images": 0.9, "patients": 0.7, "density": 1, "density_held_out": 1}
    return Coverage(renders=about(renders), **{k: about(v) for k, v in others.items()}, n=n)


def realism(covered: float = 0.85, **changed) -> Realism:
    values = {"kid": 0.1, "kid_floor": 0.2, "kid_patients": 0.2, "diversity": 30,
              "diversity_real": 31, "diversity_floor": 32} | changed  # fmt: skip
    intervals = {name: about(value) for name, value in values.items()}
    return Realism(
        **intervals, coverage=coverage(covered), fid=1, fid_floor=1, vendi=5, vendi_real=5,
        vendi_floor=5, n=20, nearest=(1.0,) * 20, nearest_unseen=(1.0,) * 20,
    )  # fmt: skip


@pytest.fixture(scope="module")
def good() -> Study:
    real = layouts(6, 150, 0) + layouts(6, 200, 10) + layouts(6, 300, 20)
    sampled = layouts(20, 200, 40)
    groups = [g for g in "abc" for _ in range(6)]
    nuclei = [c for c in compare(real, groups, sampled) if c.name in ("area_px", "foreground")]
    return Study(
        config=StudyConfig(Path("data"), Path("out")),
        models=(None, None),
        um_per_px=None,
        fields=[Pair(Layout(PICTURE[..., 0]), PICTURE, str(i), "a") for i in range(9)],
        renders=[PICTURE] * 9,
        real_scores=scores(np.linspace(0.7, 0.8, 9)),
        render_scores=scores(np.linspace(0.72, 0.82, 9)),
        layouts=sampled,
        samples=[PICTURE] * 20,
        realism=realism(),
        nuclei=nuclei,
        copies=found([0.4] * 20),
        layout_copies=found([0.5] * 20),
        training=[PICTURE],
        real_layouts=real,
    )


def answer(study: Study, question: int) -> str:
    return verdicts(study)[question].answer


def test_a_good_model_gets_yes(good) -> None:
    expected = (AGREEMENT, MATCHES, COPIES, REALISM, VARIETY)
    assert [answer(good, q) for q in expected] == ["yes"] * 5


def test_agreement_is_judged_by_the_interval_of_the_difference(good) -> None:
    worse = replace(good, render_scores=scores(np.linspace(0.5, 0.6, 9)))
    unsure = replace(good, render_scores=scores(np.linspace(0.7, 0.8, 9) - [0, 0, 0.2] * 3))
    assert answer(worse, AGREEMENT) == "no"
    assert answer(unsure, AGREEMENT) == "not measured"
    assert "Too few fields" in verdicts(unsure)[AGREEMENT].why


def test_nuclei_that_renders_lose_or_add_are_held_against_them(good) -> None:
    dice = np.linspace(0.7, 0.8, 9)
    assert answer(replace(good, render_scores=scores(dice, missed=4)), MATCHES) == "no"
    assert answer(replace(good, render_scores=scores(dice, extra=4)), MATCHES) == "no"
    assert answer(replace(good, render_scores=scores(dice, 0, 0)), MATCHES) == "yes"
    # Only one of three patients loses some: too few to tell.
    of_c = [replace(s, missed=4) if s.group == "c" else s for s in scores(dice)]
    assert answer(replace(good, render_scores=of_c), MATCHES) == "not measured"


def varied(n: int, densities, area: float, seed: int):
    return [
        scatter_nuclei(
            (128, 128), density=densities[i % len(densities)], mean_area_px=area, seed=seed + i
        )
        for i in range(n)
    ]


def test_layouts_that_are_all_alike_do_not_vary_as_patients_do(good) -> None:
    real = [
        *varied(8, (0.05, 0.15, 0.25, 0.35), 150, 0),
        *varied(8, (0.12, 0.18, 0.24, 0.3), 200, 10),
        *varied(8, (0.1, 0.2, 0.3, 0.4), 260, 20),
    ]
    groups = [g for g in "abc" for _ in range(8)]
    like = compare(real, groups, varied(20, (0.08, 0.16, 0.24, 0.34), 185, 100))
    alike = compare(real, groups, varied(20, (0.2,), 200, 100))
    assert answer(replace(good, nuclei=like), QUARTILES) == "yes"
    said = verdicts(replace(good, nuclei=alike))[QUARTILES]
    assert said.answer == "no"
    assert "share of the area: " in said.why
    assert "distance between the quartiles" in said.why
    few = compare(real, [str(i // 3) for i in range(24)], good.layouts)
    assert answer(replace(good, nuclei=few), QUARTILES) == "not measured"


def test_nuclei_outside_of_what_patients_have_are_named(good) -> None:
    real = good.real_layouts
    groups = [g for g in "abc" for _ in range(6)]
    huge = replace(good, nuclei=compare(real, groups, layouts(20, 2000, 0)))
    assert answer(huge, NUCLEI) == "no"
    assert "area, px" in verdicts(huge)[NUCLEI].why
    two = compare(real[:12], groups[:12], good.layouts)
    assert answer(replace(good, nuclei=two), NUCLEI) == "not measured"


def test_a_statistic_without_any_value_is_no_yes(good) -> None:
    said = verdicts(good)[NUCLEI]
    assert said.answer == "no"
    assert "Without any value: nuclei per megapixel" in said.why


def test_one_copy_is_one_too_many(good) -> None:
    assert answer(replace(good, copies=found([0.1] + [0.4] * 19)), COPIES) == "no"
    assert answer(replace(good, layout_copies=found([0.1] + [0.4] * 19)), COPIES) == "no"


def test_images_that_cannot_be_compared_do_not_count_as_no_copies(good) -> None:
    some = replace(good, copies=found([0.4] * 17 + [1.0] * 3))
    assert answer(some, COPIES) == "yes"
    assert "3 and 0 of them have too little" in verdicts(some)[COPIES].why
    assert answer(replace(good, copies=found([1.0] * 20)), COPIES) == "not measured"


def test_realism_and_variety_are_judged_against_real_images(good) -> None:
    assert answer(replace(good, realism=realism(kid=0.3)), REALISM) == "no"
    assert answer(replace(good, realism=realism(diversity=20)), VARIETY) == "no"
    assert answer(replace(good, realism=realism(covered=0.65)), VARIETY) == "no"
    unknown = replace(realism(), coverage=coverage(0.85, n=0))
    assert answer(replace(good, realism=unknown), VARIETY) == "not measured"


def test_few_samples_are_not_measured(good) -> None:
    few = replace(
        good, samples=[PICTURE] * 3, layouts=good.layouts[:3], fields=good.fields[:3], realism=None
    )
    assert {v.answer for v in verdicts(few)} == {"not measured"}
