"""A study as files: a report to read, its numbers as JSON, and a sheet of renders."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import find_boundaries

from napari_nudiff.dataset.images import write_rgb, write_text
from napari_nudiff.evaluation.agreement import RATES, SCORES, difference, summary
from napari_nudiff.evaluation.coverage import FEWEST, Coverage
from napari_nudiff.evaluation.distance import FEWEST_FOR_FID
from napari_nudiff.evaluation.memorisation import Memorisation, Nearest, oriented, rank_chances
from napari_nudiff.evaluation.plots import (
    check_plots,
    distance_histograms,
    nucleus_histograms,
    score_pairs,
)
from napari_nudiff.evaluation.resampling import Interval
from napari_nudiff.evaluation.statistics import LABELS, Comparison
from napari_nudiff.evaluation.study import Study
from napari_nudiff.evaluation.verdicts import Verdict, verdicts

Picture = NDArray[np.uint8]

_SHEET = 8  # pictures a side
_TRIPLES = 6
_PAIRS = 4
_SCORE_NAMES = {
    "dice": "Dice",
    "aji": "AJI",
    "pq": "PQ",
    "missed": "nuclei missed per 100",
    "extra": "nuclei that the layout lacks per 100",
}
_WINDOW_PX = 96

_STYLE = Path(__file__).with_name("report.css")


def write_report(study: Study) -> Path:
    """Write ``report.html``, ``report.json`` and ``sheet.png`` below the study's folder.

    Returns
    -------
    Path
        Of the report.

    Raises
    ------
    RequestError
        matplotlib is not installed.
    DatasetError
        A file cannot be written.
    """
    check_plots()
    said = verdicts(study)
    out = study.config.out
    write_rgb(out / "sheet.png", sheet(study.samples))
    write_text(out / "report.json", json.dumps(numbers(study, said), indent=1) + "\n")
    path = out / "report.html"
    write_text(path, _page(study, said))
    return path


def numbers(study: Study, said: Sequence[Verdict]) -> dict[str, Any]:
    """All the numbers of a study as JSON values."""
    config = _plain(study.config)
    # Paths of this machine stay private.
    for key in ("data", "out", "segmenter", "feature_weights", "image", "structure"):
        config[key] = config[key] and Path(config[key]).name
    return {
        "config": config,
        "checkpoints": [
            {
                "name": Path(m.name).name,
                "role": m.role,
                "sha256": m.sha256,
                "licence": m.licence,
                "training_data": m.training_data,
                "um_per_px": m.um_per_px,
            }
            for m in study.models
        ],
        "um_per_px": study.um_per_px,
        "verdicts": _plain(list(said)),
        "agreement": {
            "real": _plain(summary(study.real_scores)),
            "renders": _plain(summary(study.render_scores)),
            "difference": _plain(difference(study.render_scores, study.real_scores)),
            "fields": _plain({"real": study.real_scores, "renders": study.render_scores}),
        },
        "realism": _plain(study.realism) | {"nearest_below_1_percent": _in_features(study)}
        if study.realism
        else None,
        "nuclei": [
            _plain(c) | {"within": c.within, "quartiles_outside": list(c.quartiles_outside)}
            for c in study.nuclei
        ],
        "memorisation": {
            name: {
                "copies": found.copies,
                "n": len(found.synthetic),
                "uncompared": found.uncompared,
                "threshold": found.threshold,
                "smallest_p": min(found.chances),
                "below_1_percent": below_first_percentile(*_distances(found)),
                "synthetic": [n.distance for n in found.synthetic],
                "held_out": [n.distance for n in found.held_out],
            }
            for name, found in (("images", study.copies), ("layouts", study.layout_copies))
        },
    }


def below_first_percentile(made: Sequence[float], unseen: Sequence[float]) -> float:
    """Share of made images nearer than the nearest 1 % of unseen ones; by chance it is 0.01."""
    return float(np.mean(np.asarray(made) < np.percentile(unseen, 1)))


def sheet(pictures: Sequence[Picture], columns: int = _SHEET) -> Picture:
    """The first pictures, side by side in rows, with thin white lines between them."""
    shown = list(pictures[: columns * columns])
    columns = min(columns, len(shown))
    blank = np.full_like(shown[0], 255)
    shown += [blank] * (-len(shown) % columns)
    framed = [_framed(p) for p in shown]
    rows = [np.concatenate(framed[i : i + columns], 1) for i in range(0, len(framed), columns)]
    return np.concatenate(rows)


def _page(study: Study, said: Sequence[Verdict]) -> str:
    structure, image = study.models
    data = html.escape(study.config.data.name)
    names = [html.escape(Path(model.name).name) for model in (image, structure)]
    parts = [
        f"<h1>{names[0]} and {names[1]}</h1>",
        f'<p class="soft">How good are the pairs that they make? Data: {data}, '
        f"{len({f.name for f in study.fields})} held-out images of "
        f"{len({f.group for f in study.fields})} patients. {study.config.steps} steps of "
        f"{study.config.sampler}, guidance {study.config.guidance:g}, seed {study.config.seed}, "
        f"{study.config.size_px} px{_scale(study)}. Synthetic images; not for diagnosis.</p>",
        _models(study),
        _verdict_table(said),
        "<h2>Renders of sampled layouts</h2>",
        _figure(sheet(study.samples), "Stains as they come; none was left out."),
        "<h2>Renders of held-out layouts</h2>",
        _figure(_triples(study), "Layout, real image, render in the stain of that image."),
        '<div class="columns"><div>',
        _agreement(study),
        "</div><div>",
        _realism(study),
        "</div></div>",
        _nuclei(study),
        _memorisation(study),
    ]
    head = '<!doctype html><html lang="en"><meta charset="utf-8">'
    title = f"<title>{names[0]}: nudiff report</title>"
    view = '<meta name="viewport" content="width=device-width,initial-scale=1">'
    return (
        f"{head}{title}{view}<style>{_STYLE.read_text()}</style>\n" + "\n".join(parts) + "</html>\n"
    )


def _models(study: Study) -> str:
    rows = [
        [
            m.role,
            Path(m.name).name,
            f"{m.sha256[:16]}…",
            m.licence,
            m.training_data,
            f"{m.um_per_px:g}",
        ]
        for m in study.models
    ]
    return _table(["model", "name", "sha256", "licence", "trained on", "um per px"], rows)


def _scale(study: Study) -> str:
    return "" if study.um_per_px is None else f" of {study.um_per_px:g} um"


def _verdict_table(said: Sequence[Verdict]) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(v.question)}</td>"
        f'<td class="{v.answer.split()[0]}">{v.answer}</td><td>{html.escape(v.why)}</td></tr>'
        for v in said
    )
    return f'<div class="verdicts"><table>{rows}</table></div>'


def _agreement(study: Study) -> str:
    real, made = summary(study.real_scores), summary(study.render_scores)
    apart = difference(study.render_scores, study.real_scores)
    rows = [
        [_SCORE_NAMES[name], *(str(s[name]) for s in (real, made, apart))]
        for name in (*SCORES, *RATES)
    ]
    return (
        "<h2>Agreement of image and layout</h2>"
        + _table(["score", "real images", "renders", "difference"], rows)
        + "<p>A segmenter trained on the real training images judges held-out real images, which "
        "is the ceiling, and renders of the same layouts. Above the ceiling, renders are easier "
        "than real tissue. A nucleus of the layout is missed where less than 25 % of it is found; "
        "the layout lacks a nucleus that was found where less than 25 % of that lies in it. "
        f"{len(study.fields)} fields with {sum(s.nuclei for s in study.real_scores)} nuclei; in "
        f"brackets 95 % intervals over {real['dice'].n} {_unit(study, real['dice'])}.</p>"
        + _figure_of_plot(
            score_pairs(study.render_scores, study.real_scores),
            "A point a field; on the line, render and real image are equally hard.",
        )
    )


def _unit(study: Study, of: Interval) -> str:
    return "patients" if of.n == len({f.group for f in study.fields}) else "images"


def _realism(study: Study) -> str:
    r, title = study.realism, "<h2>Realism and variety</h2>"
    if r is None:
        return f"{title}<p>Not measured: {len(study.samples)} render.</p>"
    rows = [
        ["KID", str(r.kid), str(r.kid_floor)],
        ["FID", f"{r.fid:.1f}", f"{r.fid_floor:.1f}"],
        ["diversity", str(r.diversity), str(r.diversity_floor)],
        ["Vendi score", f"{r.vendi:.1f}", f"{r.vendi_floor:.1f}"],
    ]
    few = " FID of so few images is mostly bias: only for comparing along its row."
    return (
        title
        + _table(["against training crops", "renders", "held-out real"], rows)
        + f"<p>{r.n} images a set, {study.config.features} features. The right column is the "
        "floor: other patients' images differ too. KID of one half of the training patients "
        f"against the other: {r.kid_patients}. Training crops have a diversity of "
        f"{r.diversity_real} and a Vendi score of {r.vendi_real:.1f}."
        f"{few if r.n < FEWEST_FOR_FID else ''}</p>" + _coverage(r.coverage)
    )


def _coverage(c: Coverage) -> str:
    if not c.n:
        return f"<p>Coverage: not measured, with fewer than {FEWEST} images a set.</p>"
    rows = [
        ["renders", str(c.renders), str(c.density)],
        ["held-out real crops", str(c.held_out), str(c.density_held_out)],
        ["one half of the training patients, of the other", str(c.patients), ""],
        ["one half of the training images, of the other", str(c.images), ""],
    ]
    return _table(["training crops covered by", "coverage", "density"], rows) + (
        f"<p>Between {c.n} images on both sides, drawn again and again; in brackets the range of "
        "95 % of the draws. The last row is what a perfect model reaches, those above it what "
        "other patients do.</p>"
    )


def _nuclei(study: Study) -> str:
    rows = [
        [
            LABELS[c.name],
            " / ".join(f"{v:.3g}" for v in c.real),
            " / ".join(f"{v:.3g}" for v in c.sampled),
            f"{c.lowest:.3g} to {c.highest:.3g} ({c.groups})",
            _quartile_ranges(c),
            ", ".join(c.quartiles_outside) or "none",
            f"{c.distance:.2f}",
            f"{c.ks:.2f}",
            "yes" if c.within else "no",
        ]
        for c in study.nuclei
    ]
    head = [
        "quartiles",
        "real",
        "sampled",
        "patients' medians",
        "patients' quartiles; distance",
        "outside",
        "distance, sd",
        "KS",
        "within",
    ]
    return (
        "<h2>Nuclei, real and sampled</h2>"
        + _table(head, rows)
        + _figure_of_plot(
            nucleus_histograms(study.real_layouts, study.layouts),
            f"Share of nuclei; real grey ({len(study.real_layouts)} crops), sampled purple "
            f"({len(study.layouts)} layouts).",
        )
    )


def _quartile_ranges(of: Comparison) -> str:
    """Ranges over the patients of their quartiles, and of the distance between these."""
    ranges = zip(of.quartiles_lowest, of.quartiles_highest, strict=True)
    *quartiles, spread = (f"{low:.3g} to {high:.3g}" for low, high in ranges)
    return f"{' / '.join(quartiles)}; {spread}" if of.quartile_groups else "not measured"


def _memorisation(study: Study) -> str:
    words = "<h2>Copies</h2>"
    for what, found in (("Renders", study.copies), ("Layouts", study.layout_copies)):
        made, real = _distances(found)
        words += (
            f"<p>{what}: median distance to the nearest training window {np.median(made):.3f}, "
            f"closest {min(made):.3f} (p = {min(found.chances):.3f}); {len(real)} held-out real "
            f"{np.median(real):.3f}, closest {min(real):.3f}. Nearer than the nearest 1 % of "
            f"these: {below_first_percentile(made, real):.0%}. Copies (below "
            f"{found.threshold:.3f}): {found.copies}. With too little in them to be compared: "
            f"{found.uncompared}.</p>"
        )
    words += _feature_words(study) + _figure_of_plot(
        distance_histograms(_distance_sets(study)),
        "Distance to the nearest training crop; unseen real grey, made purple; the red line is the "
        "threshold of a copy.",
    )
    closest = sorted(
        zip(study.copies.synthetic, study.samples, strict=True), key=lambda pair: pair[0].distance
    )
    pictures = [_beside(near, sample, study.training) for near, sample in closest[:_PAIRS]]
    caption = "The renders closest to a training image (left) and that place (right), 96 px."
    return words + _figure(np.concatenate(pictures, axis=1), caption)


def _distances(found: Memorisation) -> tuple[list[float], list[float]]:
    return [n.distance for n in found.synthetic], [n.distance for n in found.held_out]


def _distance_sets(study: Study) -> list[tuple[str, list[float], list[float], float]]:
    sets = []
    for title, found in (("renders", study.copies), ("layouts", study.layout_copies)):
        made, unseen = _distances(found)
        sets.append((f"{title}: 1 - correlation", unseen, made, found.threshold))
    if r := study.realism:
        sets.append(("renders: features", [*r.nearest_unseen], [*r.nearest], float("nan")))
    return sets


def _in_features(study: Study) -> dict[str, float] | None:
    """How near renders are in features, among real crops of patients that were not seen."""
    r = study.realism
    if r is None or not r.nearest_unseen:
        return None
    share = below_first_percentile(r.nearest, r.nearest_unseen)
    return {
        "share": share,
        "smallest_p": min(rank_chances(r.nearest, r.nearest_unseen)),
        "n": len(r.nearest),
        "n_unseen": len(r.nearest_unseen),
    }


def _feature_words(study: Study) -> str:
    found = _in_features(study)
    if found is None:
        return ""
    return (
        f"<p>In features, {found['share']:.0%} of the renders are nearer to a training crop than "
        f"the nearest 1 % of {found['n_unseen']} real crops are to those of other patients. "
        "Renders that are merely typical are near too: this alone is no sign of a copy.</p>"
    )


def _beside(near: Nearest, sample: Picture, training: Sequence[Picture]) -> Picture:
    source = oriented(training[near.image], near.turn)
    y, x = near.window
    row, col = near.at
    cuts = (
        sample[y : y + _WINDOW_PX, x : x + _WINDOW_PX],
        source[row : row + _WINDOW_PX, col : col + _WINDOW_PX],
    )
    frames = [np.full((_WINDOW_PX, _WINDOW_PX, 3), 255, np.uint8) for _ in cuts]
    for frame, cut in zip(frames, cuts, strict=True):
        frame[: cut.shape[0], : cut.shape[1]] = cut
    beside = np.concatenate([np.pad(f, ((0, 0), (0, 2), (0, 0))) for f in frames], axis=1)
    gap = ((4, 4), (6, 6), (0, 0))
    return np.pad(beside[:, :-2].repeat(2, 0).repeat(2, 1), gap, constant_values=255)


def _triples(study: Study) -> Picture:
    chosen = np.linspace(0, len(study.fields) - 1, min(_TRIPLES, len(study.fields))).round()
    columns = []
    for i in dict.fromkeys(int(c) for c in chosen):
        one = study.fields[i]
        column = (_drawn(one.labels), one.pixels, study.renders[i])
        columns.append(np.concatenate([_framed(picture) for picture in column]))
    return np.concatenate(columns, axis=1)


def _framed(picture: Picture, width_px: int = 2) -> Picture:
    sides = ((width_px, width_px), (width_px, width_px), (0, 0))
    return np.pad(picture, sides, constant_values=255)


def _drawn(labels: NDArray[np.integer]) -> Picture:
    grey = np.where(labels > 0, 150, 25).astype(np.uint8)
    grey[find_boundaries(labels, mode="inner")] = 230
    return np.repeat(grey[..., None], 3, axis=2)


def _figure_of_plot(svg: str, caption: str) -> str:
    data = base64.b64encode(svg.encode()).decode()
    return (
        f'<figure><img style="background:#fff" alt="" src="data:image/svg+xml;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _figure(picture: Picture, caption: str) -> str:
    data = base64.b64encode(iio.imwrite("<bytes>", picture, extension=".jpeg", quality=90))
    return (
        f'<figure><img alt="" src="data:image/jpeg;base64,{data.decode()}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{_cell(c)}</{tag}>" for c in cells) + "</tr>"

    return "<table>" + line(head, "th") + "".join(line(row, "td") for row in rows) + "</table>"


def _cell(text: str) -> str:
    """A cell, its interval on a line of its own where the column is narrow."""
    value, interval, rest = html.escape(text).partition(" (")
    if " to " not in rest or not rest.endswith(")"):
        return value + interval + rest
    return f'{value} <span class="interval">({rest}</span>'


def _plain(value: Any) -> Any:
    """JSON values; what is not a number is null."""
    if isinstance(value, Interval):
        return {k: _plain(v) for k, v in asdict(value).items()}
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value
