"""What people should know of a set before they train on it."""

from __future__ import annotations

from collections import Counter

import numpy as np

from napari_nudiff.dataset.export.plan import Plan, Row
from napari_nudiff.dataset.writers import FORMATS

DATASHEET, LICENCES = "DATASHEET.md", "LICENSE-NOTES.md"


def datasheet(plan: Plan) -> str:
    """Text of ``DATASHEET.md``, after Gebru et al., Datasheets for Datasets (2021)."""
    parts = [f"# Datasheet: {plan.options.title}", _what(plan), _composition(plan)]
    parts += [_making(plan), _splits(plan), _uses(plan), _files(plan)]
    return "\n\n".join(parts) + "\n"


def licence_notes(plan: Plan) -> str:
    """Text of ``LICENSE-NOTES.md``."""
    lines = ["# Licence notes", "", "This is what the files say, and no legal advice.", ""]
    if any(row.synthetic for row in plan.rows):
        lines += ["## Synthetic images", ""]
        lines += ["They were made with these models, whose terms may reach to what they make:", ""]
        lines += [
            f"- {about['name']} (sha256 {sha256[:12]}…): {about['licence']}. Trained on "
            f"{about['training_data']}"
            for sha256, about in plan.models.items()
        ]
        lines += ["", "Each image says in itself that it is synthetic; keep that with it.", ""]
    if any(not row.synthetic for row in plan.rows):
        lines += [
            "## Real images",
            "",
            f"Licence as told at the export: {plan.options.licence}.",
            "",
        ]
        lines += ["Check that you may pass images of patients on before you do.", ""]
    return "\n".join(lines)


def _what(plan: Plan) -> str:
    synthetic = sum(row.synthetic for row in plan.rows)
    real = len(plan.rows) - synthetic
    return (
        f"{len(plan.rows):,} pairs of an H&E image and the instance labels of its nuclei: "
        f"{synthetic:,} synthetic, {real:,} real. Made to train models that find nuclei.\n\n"
        "**Not for diagnosis.** Synthetic tissue shows what a model has learned, not a patient."
    )


def _composition(plan: Plan) -> str:
    lines = ["## What is in it", "", _table(plan), ""]
    lines += [f"- {_sizes(plan.rows)}", f"- {_resolutions(plan.rows)}"]
    lines += [
        f"- {sum(row.dropped for row in plan.rows):,} nuclei were left out by the options "
        f"(border: {plan.options.border}; smaller than {plan.options.min_area_px} px)"
    ]
    lines += [f"- pairs left out, {reason}: {count:,}" for reason, count in plan.left_out.items()]
    lines += [f"- warning: {warning}" for warning in plan.warnings]
    return "\n".join(lines)


def _table(plan: Plan) -> str:
    heads = ["split", "synthetic", "real", "nuclei", *plan.class_names]
    lines = [" | ".join(heads), " | ".join(["---"] * len(heads))]
    for split in plan.counts:
        rows = plan.in_split(split)
        counts: Counter[str] = sum((Counter(row.class_counts) for row in rows), Counter())
        synthetic = sum(row.synthetic for row in rows)
        numbers = [synthetic, len(rows) - synthetic, counts.total()]
        numbers += [counts[name] for name in plan.class_names]
        lines.append(" | ".join([split, *(f"{number:,}" for number in numbers)]))
    return "\n".join(f"| {line} |" for line in lines)


def _sizes(rows: tuple[Row, ...]) -> str:
    sizes = Counter((row.height_px, row.width_px) for row in rows)
    told = [f"{height} × {width} px ({count:,})" for (height, width), count in sizes.most_common(5)]
    more = f" and {len(sizes) - 5} more sizes" if len(sizes) > 5 else ""
    return "sizes: " + ", ".join(told) + more


def _resolutions(rows: tuple[Row, ...]) -> str:
    sides = Counter(row.um_per_px for row in rows)
    told = ["unknown" if side is None else f"{side:g} µm" for side, _ in sides.most_common()]
    return "side of a pixel: " + ", ".join(told)


def _making(plan: Plan) -> str:
    lines = ["## How it was made", ""]
    if any(row.synthetic for row in plan.rows):
        lines += [
            "A diffusion model rendered each synthetic image from a layout of nuclei, which is its "
            "labels. Everything needed to make an image again is in the image file itself and in "
            "`provenance/`; `nudiff export verify DIR --rerender 5` tries it.",
            "",
        ]
        lines += [f"- {m['name']}, trained on {m['training_data']}" for m in plan.models.values()]
        grades = [row.realism for row in plan.rows if row.realism is not None]
        if grades:
            lines += [
                f"- graded by reviewers: {len(grades):,}, mean realism {np.mean(grades):.1f} of 5"
            ]
        lines += [""]
    lines += ["Labels were numbered from 1 in every image; nothing else was changed but as above."]
    return "\n".join(lines)


def _splits(plan: Plan) -> str:
    count = len({row.lineage for row in plan.rows})
    return (
        "## Splits\n\n"
        f"{count:,} lineages, none of which lies in two splits: renders of one layout, its edits, "
        "layouts that share nuclei, and images of one patient stay together (column `lineage` of "
        "the manifest). The models may have seen the patients whose images are in val or test: "
        "compare their training data above."
    )


def _uses(plan: Plan) -> str:
    return (
        "## Use\n\n"
        "- Judge a model by real images of patients that neither it nor the renderer has seen.\n"
        "- Mix: begin with as many synthetic images as real ones, and look at scores on real "
        "images before you add more.\n"
        "- Labels of synthetic images are what was asked for; the image may lack a nucleus or show "
        "one more. Review a sample.\n"
        "- Stains and tissues that the renderer was not trained on are not in here."
    )


def _files(plan: Plan) -> str:
    lines = ["## Files", ""]
    lines += [
        f"- `{name}/`: {FORMATS[name].title}, for {FORMATS[name].readers}"
        for name in plan.options.formats
    ]
    lines += [
        "- `manifest.csv`, `manifest.parquet`: a line a pair",
        "- `dataset.json`: the set as a whole",
        "- `provenance/`: how each image was made",
        "- `checksums.sha256`: for `sha256sum -c`, or `nudiff export verify`",
    ]
    return "\n".join(lines)
