"""What the numbers of a study say, in a line each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_nudiff.evaluation.agreement import RATES, difference, summary
from napari_nudiff.evaluation.resampling import FEWEST_GROUPS
from napari_nudiff.evaluation.statistics import LABELS
from napari_nudiff.evaluation.study import Study

Answer = Literal["yes", "no", "not measured"]

_MARGIN = 0.05  # of Dice, below the ceiling
_NUCLEI_MARGIN = 5.0  # missed or additional nuclei per 100, above those of real images
_VARIED = ("count_per_mpx", "foreground", "area_px")  # whose quartiles must be those of patients
_FEWEST = 16  # renders and samples that say anything
_FEWEST_FIELDS = 4  # held-out fields that do
_VARIETY = 0.8  # of that of real crops


@dataclass(frozen=True)
class Verdict:
    """A question, its answer and the numbers behind it."""

    question: str
    answer: Answer
    why: str


def verdicts(study: Study) -> list[Verdict]:
    """Answers to the questions that a released checkpoint must stand."""
    return [
        _agreement(study),
        _matches(study),
        _nuclei(study),
        _quartiles(study),
        _copies(study),
        _realism(study),
        _variety(study),
    ]


def _agreement(study: Study) -> Verdict:
    question = "Are the nuclei where the layout has them?"
    if len(study.fields) < _FEWEST_FIELDS:
        return _too_few(question, len(study.fields), "held-out fields")
    made, ceiling = (summary(s)["dice"] for s in (study.render_scores, study.real_scores))
    apart = difference(study.render_scores, study.real_scores)["dice"]
    why = (
        f"The judge's Dice: {made} on {len(study.fields)} renders, {ceiling} on the real fields; "
        f"render minus real {apart}, may fall to {-_MARGIN}."
    )
    if apart.low < -_MARGIN <= apart.high:
        return Verdict(question, "not measured", f"{why} Too few fields to tell.")
    return Verdict(question, _yes(apart.value >= -_MARGIN), why)


def _matches(study: Study) -> Verdict:
    question = "Do renders show all nuclei of the layout, and no others?"
    if len(study.fields) < _FEWEST_FIELDS:
        return _too_few(question, len(study.fields), "held-out fields")
    made, real = summary(study.render_scores), summary(study.real_scores)
    apart = difference(study.render_scores, study.real_scores)
    why = (
        f"Per 100 nuclei of the layout the judge misses {made['missed']} in renders and "
        f"{real['missed']} in the real fields, and finds {made['extra']} and {real['extra']} that "
        f"the layout lacks. Render minus real {apart['missed']} and {apart['extra']}; each may "
        f"rise to {_NUCLEI_MARGIN:g}."
    )
    rises = [apart[name] for name in RATES]
    if any(rise.low > _NUCLEI_MARGIN for rise in rises):
        return Verdict(question, "no", why)
    if any(rise.high > _NUCLEI_MARGIN for rise in rises):
        return Verdict(question, "not measured", f"{why} Too few fields to tell.")
    return Verdict(question, _yes(all(r.value <= _NUCLEI_MARGIN for r in rises)), why)


def _nuclei(study: Study) -> Verdict:
    question = "Do sampled nuclei lie within the spread between real patients?"
    if len(study.layouts) < _FEWEST:
        return _too_few(question, len(study.layouts), "layouts")
    patients = max((c.groups for c in study.nuclei), default=0)
    if patients < FEWEST_GROUPS:
        return _too_few(question, patients, "patients")
    outside = [LABELS[c.name] for c in study.nuclei if not c.within]
    missing = [label for name, label in LABELS.items() if name not in _names(study)]
    why = f"Outside: {', '.join(outside)}." if outside else "All medians of nuclei lie within it."
    if missing:
        why += f" Without any value: {', '.join(missing)}."
    return Verdict(question, _yes(not outside and not missing), why)


def _quartiles(study: Study) -> Verdict:
    question = "Do layouts vary in number, share and size of nuclei as real patients' do?"
    if len(study.layouts) < _FEWEST:
        return _too_few(question, len(study.layouts), "layouts")
    compared = [c for c in study.nuclei if c.name in _VARIED]
    patients = min((c.quartile_groups for c in compared), default=0)
    if len(compared) < len(_VARIED) or patients < FEWEST_GROUPS:
        return _too_few(question, patients, "patients with four crops or more")
    outside = [f"{LABELS[c.name]}: {', '.join(o)}" for c in compared if (o := c.quartiles_outside)]
    why = (
        f"Outside of the range of {patients} patients: {'; '.join(outside)}."
        if outside
        else f"All quartiles lie in the range of those of {patients} patients."
    )
    return Verdict(question, _yes(not outside), why)


def _copies(study: Study) -> Verdict:
    question = "Is no image copied from the training images?"
    if len(study.samples) < _FEWEST:
        return _too_few(question, len(study.samples), "renders")
    images, layouts = study.copies, study.layout_copies
    why = (
        f"{images.copies} of {len(images.synthetic)} renders and {layouts.copies} of "
        f"{len(layouts.synthetic)} layouts are closer to a training image than held-out ones ever "
        "come."
    )
    if images.uncompared or layouts.uncompared:
        why += (
            f" {images.uncompared} and {layouts.uncompared} of them have too little in them to be "
            "compared."
        )
    if min(len(f.synthetic) - f.uncompared for f in (images, layouts)) < _FEWEST:
        return Verdict(question, "not measured", why)
    return Verdict(question, _yes(not images.copies and not layouts.copies), why)


def _realism(study: Study) -> Verdict:
    question = "Are renders as near to training images as other patients' images are?"
    r = study.realism
    if r is None or r.n < _FEWEST:
        return _too_few(question, len(study.samples), "renders")
    why = f"KID {r.kid} against a floor of {r.kid_floor}, {study.config.features} features."
    return Verdict(question, _yes(r.kid.value <= r.kid_floor.value), why)


def _variety(study: Study) -> Verdict:
    question = "Are renders as varied as real crops?"
    r = study.realism
    if r is None or r.n < _FEWEST:
        return _too_few(question, len(study.samples), "renders")
    c = r.coverage
    if not c.n:
        return Verdict(question, "not measured", "Too few crops of real images for coverage.")
    least = min(r.diversity_real.value, r.diversity_floor.value)
    why = (
        f"Coverage of training crops by renders {c.renders}; by the other half of the training "
        f"images {c.images}, by other training patients {c.patients}, by held-out images "
        f"{c.held_out}. Mean distance {r.diversity} between renders, {r.diversity_real} between "
        f"training crops, {r.diversity_floor} between held-out ones. {_VARIETY} of the coverage "
        "by training images and of the smaller distance is asked for."
    )
    # The distance alone would not notice a model that knows two images far from each other.
    varied = r.diversity.value >= _VARIETY * least
    covering = c.renders.value >= _VARIETY * c.images.value
    return Verdict(question, _yes(varied and covering), why)


def _names(study: Study) -> set[str]:
    return {c.name for c in study.nuclei if np.isfinite(c.distance)}


def _too_few(question: str, n: int, what: str) -> Verdict:
    return Verdict(question, "not measured", f"{n} {what} are too few.")


def _yes(condition: bool) -> Answer:
    return "yes" if condition else "no"
