"""A study as files: a report to read, its numbers as JSON, and a sheet of renders."""

from __future__ import annotations

import base64
import html
import io
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
from napari_nudiff.errors import RequestError
from napari_nudiff.evaluation.agreement import SCORES, summary
from napari_nudiff.evaluation.memorisation import Nearest
from napari_nudiff.evaluation.resampling import Interval
from napari_nudiff.evaluation.statistics import LABELS
from napari_nudiff.evaluation.study import Study
from napari_nudiff.evaluation.verdicts import Verdict, verdicts

Picture = NDArray[np.uint8]

_SHEET = 8  # pictures a side
_TRIPLES = 6
_PAIRS = 4
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
    # Places on this machine are nobody's business.
    for key in ("data", "out", "segmenter", "feature_weights", "image", "structure"):
        config[key] = config[key] and Path(config[key]).name
    return {
        "config": config,
        "checkpoints": [
            {"name": Path(m.name).name, "role": m.role, "sha256": m.sha256, "licence": m.licence}
            for m in study.models
        ],
        "verdicts": _plain(list(said)),
        "agreement": {
            "real": _plain(summary(study.real_scores)),
            "renders": _plain(summary(study.render_scores)),
            "fields": _plain({"real": study.real_scores, "renders": study.render_scores}),
        },
        "realism": _plain(study.realism),
        "nuclei": [_plain(c) | {"within": c.within} for c in study.nuclei],
        "memorisation": {
            name: {
                "copies": found.copies,
                "threshold": found.threshold,
                "synthetic": [n.distance for n in found.synthetic],
                "held_out": [n.distance for n in found.held_out],
            }
            for name, found in (("images", study.copies), ("layouts", study.layout_copies))
        },
    }


def sheet(pictures: Sequence[Picture], columns: int = _SHEET) -> Picture:
    """The first pictures, side by side in rows, with thin white lines between them."""
    shown = list(pictures[: columns * columns])
    columns = min(columns, len(shown))
    blank = np.full_like(shown[0], 255)
    shown += [blank] * (-len(shown) % columns)
    framed = [np.pad(p, ((2, 2), (2, 2), (0, 0)), constant_values=255) for p in shown]
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
        f"{study.config.size_px} px. Synthetic images; not for diagnosis.</p>",
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
        [m.role, Path(m.name).name, f"{m.sha256[:16]}…", m.licence, m.training_data]
        for m in study.models
    ]
    return _table(["model", "name", "sha256", "licence", "trained on"], rows)


def _verdict_table(said: Sequence[Verdict]) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(v.question)}</td>"
        f'<td class="{v.answer.split()[0]}">{v.answer}</td><td>{html.escape(v.why)}</td></tr>'
        for v in said
    )
    return f'<div class="verdicts"><table>{rows}</table></div>'


def _agreement(study: Study) -> str:
    real, made = summary(study.real_scores), summary(study.render_scores)
    rows = [[name.upper(), str(real[name]), str(made[name])] for name in SCORES]
    return (
        "<h2>Agreement of image and layout</h2>"
        + _table(["score", "real images", "renders"], rows)
        + "<p>A segmenter trained on the real training images judges held-out real images, which "
        "is the ceiling, and renders of the same layouts. Above the ceiling, renders are easier "
        "than real tissue. In brackets 95 % intervals.</p>"
    )


def _realism(study: Study) -> str:
    r = study.realism
    rows = [
        ["KID", str(r.kid), str(r.kid_floor)],
        ["FID", f"{r.fid:.1f}", f"{r.fid_floor:.1f}"],
        ["density", f"{r.density:.2f}", "1"],
        ["coverage", f"{r.coverage:.2f}", "1"],
        ["diversity", f"{r.diversity:.1f}", f"{r.diversity_real:.1f} (training)"],
    ]
    return (
        "<h2>Realism and variety</h2>"
        + _table(["against training crops", "renders", "held-out real"], rows)
        + f"<p>{r.n} images a set, {study.config.features} features. The right column is the "
        "floor: other patients' images differ too. FID is biased with so few images and only to "
        "be compared along a row.</p>"
    )


def _nuclei(study: Study) -> str:
    rows = [
        [
            LABELS[c.name],
            " / ".join(f"{v:.3g}" for v in c.real),
            " / ".join(f"{v:.3g}" for v in c.sampled),
            f"{c.lowest:.3g} to {c.highest:.3g} ({c.groups})",
            f"{c.distance:.2f}",
            "yes" if c.within else "no",
        ]
        for c in study.nuclei
    ]
    head = ["quartiles", "real", "sampled", "patients' medians", "distance, sd", "within"]
    return (
        "<h2>Nuclei, real and sampled</h2>"
        + _table(head, rows)
        + _figure_of_plot(_histograms(study), "Share of nuclei; real grey, sampled purple.")
    )


def _memorisation(study: Study) -> str:
    words = "<h2>Copies</h2>"
    for what, found in (("Renders", study.copies), ("Layouts", study.layout_copies)):
        made, real = ([n.distance for n in s] for s in (found.synthetic, found.held_out))
        words += (
            f"<p>{what}: median distance to the nearest training window {np.median(made):.3f}, "
            f"closest {min(made):.3f}; held-out real {np.median(real):.3f}, closest "
            f"{min(real):.3f}. Copies (below {found.threshold:.3f}): {found.copies}.</p>"
        )
    closest = sorted(
        zip(study.copies.synthetic, study.samples, strict=True), key=lambda pair: pair[0].distance
    )
    pictures = [_beside(near, sample, study.training) for near, sample in closest[:_PAIRS]]
    caption = "The renders closest to a training image (left) and that place (right), 96 px."
    return words + _figure(np.concatenate(pictures, axis=1), caption)


def _beside(near: Nearest, sample: Picture, training: Sequence[Picture]) -> Picture:
    turned = np.rot90(training[near.image], near.turn % 4)
    turned = turned[:, ::-1] if near.turn >= 4 else turned
    y, x = near.window
    row, col = near.at
    cuts = (
        sample[y : y + _WINDOW_PX, x : x + _WINDOW_PX],
        turned[row : row + _WINDOW_PX, col : col + _WINDOW_PX],
    )
    padded = [np.full((_WINDOW_PX + 8, _WINDOW_PX + 4, 3), 255, np.uint8) for _ in cuts]
    for frame, cut in zip(padded, cuts, strict=True):
        frame[4 : 4 + cut.shape[0], 4 : 4 + cut.shape[1]] = cut
    return np.concatenate(padded, axis=1)


def _triples(study: Study) -> Picture:
    chosen = np.linspace(0, len(study.fields) - 1, min(_TRIPLES, len(study.fields))).round()
    columns = []
    for i in dict.fromkeys(int(c) for c in chosen):
        one = study.fields[i]
        columns.append(np.concatenate([_drawn(one.labels), one.image, study.renders[i]]))
    return np.concatenate(columns, axis=1)


def _drawn(labels: NDArray[np.integer]) -> Picture:
    grey = np.where(labels > 0, 150, 25).astype(np.uint8)
    grey[find_boundaries(labels, mode="inner")] = 230
    return np.repeat(grey[..., None], 3, axis=2)


def _histograms(study: Study) -> str:
    """Histograms of the nuclei's statistics as SVG."""
    try:
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RequestError(
            "The report needs the package matplotlib. Install it with "
            "`pip install 'napari-nudiff[train]'`; renders and samples are kept."
        ) from error
    from napari_nudiff.evaluation.statistics import NUCLEUS_STATISTICS, measure

    figure = Figure(figsize=(11, 2.6), layout="constrained")
    sets = [
        [measure(la) for la in layouts]
        for layouts in ([f.labels for f in study.fields], study.layouts)
    ]
    for axes, (name, label) in zip(
        figure.subplots(1, len(NUCLEUS_STATISTICS)), NUCLEUS_STATISTICS.items(), strict=True
    ):
        values = [np.concatenate([t[name] for t in tables]) for tables in sets]
        values = [v[np.isfinite(v)] for v in values]
        pool = np.concatenate(values)
        if not len(pool):
            continue
        low, high = (float(v) for v in np.percentile(pool, [0.5, 99.5]))
        edges = np.linspace(low, high, 25)
        for v, colour in zip(values, ("#8a8590", "#8a4fbf"), strict=True):
            weights = np.full(len(v), 1 / max(len(v), 1))
            axes.hist(v, edges, weights=weights, color=colour, alpha=0.55)
        axes.set_xlabel(label)
        axes.set_yticks([])
        axes.spines[["top", "right", "left"]].set_visible(False)
    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    return buffer.getvalue()


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
        return "<tr>" + "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in cells) + "</tr>"

    return "<table>" + line(head, "th") + "".join(line(row, "td") for row in rows) + "</table>"


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
