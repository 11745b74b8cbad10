"""What the numbers of a study say, in a line each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from napari_nudiff.evaluation.agreement import summary
from napari_nudiff.evaluation.statistics import LABELS
from napari_nudiff.evaluation.study import Study

Answer = Literal["yes", "no", "not measured"]

_MARGIN = 0.05  # of Dice, below the ceiling
_FEWEST = 16  # renders and samples that say anything


@dataclass(frozen=True)
class Verdict:
    """A question, its answer and the numbers behind it."""

    question: str
    answer: Answer
    why: str


def verdicts(study: Study) -> list[Verdict]:
    """Answers to the questions that a released checkpoint must stand."""
    return [_agreement(study), _nuclei(study), _copies(study), _realism(study)]


def _agreement(study: Study) -> Verdict:
    question = "Are the nuclei where the layout has them?"
    made, ceiling = (summary(s)["dice"] for s in (study.render_scores, study.real_scores))
    why = (
        f"The judge's Dice: {made} on {len(study.fields)} renders, {ceiling} on the real fields; "
        f"renders may fall {_MARGIN} below."
    )
    return Verdict(question, _yes(made.value >= ceiling.value - _MARGIN), why)


def _nuclei(study: Study) -> Verdict:
    question = "Do sampled nuclei lie within the spread between real patients?"
    if len(study.layouts) < _FEWEST:
        return Verdict(question, "not measured", f"{len(study.layouts)} layouts are too few.")
    outside = [LABELS[c.name] for c in study.nuclei if not c.within]
    why = f"Outside: {', '.join(outside)}." if outside else "All medians of nuclei lie within it."
    return Verdict(question, _yes(not outside), why)


def _copies(study: Study) -> Verdict:
    question = "Is no image copied from the training images?"
    if len(study.samples) < _FEWEST:
        return Verdict(question, "not measured", f"{len(study.samples)} renders are too few.")
    images, layouts = study.copies, study.layout_copies
    why = (
        f"{images.copies} of {len(images.synthetic)} renders and {layouts.copies} of "
        f"{len(layouts.synthetic)} layouts are closer to a training image than held-out ones ever "
        "come."
    )
    return Verdict(question, _yes(not images.copies and not layouts.copies), why)


def _realism(study: Study) -> Verdict:
    question = "Are renders as near to training images as other patients' images are?"
    r = study.realism
    if r.n < _FEWEST:
        return Verdict(question, "not measured", f"{r.n} renders are too few.")
    why = f"KID {r.kid} against a floor of {r.kid_floor}, {study.config.features} features."
    return Verdict(question, _yes(r.kid.value <= r.kid_floor.value), why)


def _yes(condition: bool) -> Answer:
    return "yes" if condition else "no"
