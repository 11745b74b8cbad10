"""The study of a pair of models: renders, samples, and every number about them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.checkpoints import (
    DEFAULT_IMAGE,
    DEFAULT_STRUCTURE,
    Checkpoint,
    find_checkpoint,
    load_model,
)
from napari_nudiff.dataset.groups import group_of
from napari_nudiff.dataset.images import read_layout, read_rgb
from napari_nudiff.dataset.masks import resample_labels
from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.dataset.pairs import load_pairs
from napari_nudiff.dataset.sample import write_sample
from napari_nudiff.errors import DatasetError, RequestError
from napari_nudiff.evaluation.agreement import Score, score
from napari_nudiff.evaluation.features import EXTRACTORS, FeatureExtractor, make_extractor
from napari_nudiff.evaluation.memorisation import Memorisation, find_copies
from napari_nudiff.evaluation.realism import Realism, measure_realism
from napari_nudiff.evaluation.segmenter import (
    SegmenterConfig,
    load_segmenter,
    train_segmenter,
)
from napari_nudiff.evaluation.statistics import Comparison, compare
from napari_nudiff.files import parse_json
from napari_nudiff.nuclei.descriptors import stain_style
from napari_nudiff.nuclei.layout import relabel_contiguous
from napari_nudiff.synthesis.appearance import appearance_of_image
from napari_nudiff.synthesis.canvas import derived_seed
from napari_nudiff.synthesis.defaults import GUIDANCE, RENDER_STEPS
from napari_nudiff.synthesis.device import resolve_device
from napari_nudiff.synthesis.pipeline import render, sample_layout
from napari_nudiff.synthesis.request import LayoutRequest, RenderRequest, SynthesisRequest
from napari_nudiff.work import Progress, Work, part_of

Labels = NDArray[np.integer]

_FIELDS_PER_IMAGE = 2
_FEWEST_UNSEEN = 20
_SAME_SCALE = 1.2  # scanners of one magnification differ by a few per cent, magnifications by 2
# A layout of one or two nuclei is like many others: large windows with several in them.
_LAYOUT_WINDOW_PX = 192
_LAYOUT_CONTRAST = 0.15
# Of a request: decided when it runs, or in the name of the folder.
_DECIDED = {"checkpoint", "checkpoint_sha256", "precision", "device"}


@dataclass(frozen=True)
class StudyConfig:
    """Everything that determines a study."""

    # What `nudiff data prepare` wrote, or images/ and labels/.
    data: Path
    out: Path
    # Shell patterns of the images that are judged; empty: the split of the data set.
    held_out: tuple[str, ...] = ()
    image: str = DEFAULT_IMAGE
    structure: str = DEFAULT_STRUCTURE
    # Layouts to sample and render.
    count: int = 64
    size_px: int = 256
    # Side of a pixel: which images of a set with several scales are studied, and what a folder that
    # does not tell is of. None = as the set says.
    um_per_px: float | None = None
    steps: int = RENDER_STEPS
    guidance: float = GUIDANCE
    sampler: str = "dpmpp_2m"
    features: str = "judge"
    feature_weights: Path | None = None
    # Where the judge is kept; beside the report by default.
    segmenter: Path | None = None
    segmenter_steps: int = 1200
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        for name, least in (("count", 1), ("size_px", 64), ("segmenter_steps", 1)):
            if getattr(self, name) < least:
                value = getattr(self, name)
                raise RequestError(f"{name} is {value}; expected at least {least}.")
        if self.um_per_px is not None and not 0.01 <= self.um_per_px <= 10:
            raise RequestError(f"um_per_px is {self.um_per_px}; expected 0.01 to 10 um.")
        if self.features not in EXTRACTORS:
            raise RequestError(
                f"There are no features {self.features!r}; known are {', '.join(EXTRACTORS)}."
            )
        # Fail on an impossible request now, not after a judge was trained.
        RenderRequest(
            checkpoint=self.image,
            steps=self.steps,
            guidance=self.guidance,
            sampler=self.sampler,
            seed=self.seed,
        )


@dataclass(frozen=True)
class Study:
    """What a study found.

    Attributes
    ----------
    config : StudyConfig
    models : tuple of Checkpoint
        Structure and image model.
    um_per_px : float or None
        Of the images; None where it is not known.
    fields : list of Pair
        Of held-out images.
    renders : list of ndarray
        Of the fields' labels.
    real_scores, render_scores : list of Score
    layouts, samples : list of ndarray
        Sampled layouts and their renders.
    realism : Realism or None
        None with fewer than two samples.
    nuclei : list of Comparison
    copies, layout_copies : Memorisation
    training : list of ndarray
        The training images that copies were sought in.
    real_layouts : list of ndarray
        Of all real images, in crops of the size of the sampled ones.
    """

    config: StudyConfig
    models: tuple[Checkpoint, Checkpoint]
    um_per_px: float | None
    fields: list[Pair]
    renders: list[NDArray[np.uint8]]
    real_scores: list[Score]
    render_scores: list[Score]
    layouts: list[NDArray[np.integer]]
    samples: list[NDArray[np.uint8]]
    realism: Realism | None
    nuclei: list[Comparison]
    copies: Memorisation
    layout_copies: Memorisation
    training: list[NDArray[np.uint8]] = field(repr=False)
    real_layouts: list[NDArray[np.integer]] = field(repr=False)


def evaluate_pairs(config: StudyConfig) -> Work[Study]:
    """Study a structure and an image model.

    Renders and layouts that the same study already wrote below ``out`` are not made again.

    Parameters
    ----------
    config : StudyConfig

    Yields
    ------
    Progress

    Returns
    -------
    Study

    Raises
    ------
    DatasetError
        Nothing is held out, nothing is left, images are too small, or they are of several scales.
    CheckpointError, RequestError
    """
    models = find_checkpoint(config.structure), find_checkpoint(config.image)
    _check_roles(models)
    training, held_out, scale = of_one_scale(config.data, config.held_out, config.um_per_px)
    _check_pairs(training, held_out, config)
    judge_path = config.segmenter or config.out / "segmenter.safetensors"
    settings = SegmenterConfig(config.segmenter_steps, crop_px=min(128, _smallest(training)))
    yield from train_segmenter(training, judge_path, settings, config.device)
    judge = load_segmenter(judge_path).to(resolve_device(config.device))
    extract = make_extractor(config.features, judge, config.feature_weights)
    maker = _Maker(config, models, scale)
    fields = fields_of(held_out, config.size_px, _FIELDS_PER_IMAGE)
    renders, real_scores, render_scores = [], [], []
    for i, one in enumerate(fields):
        now = Progress("rendering held-out layouts", i, len(fields))
        image = yield from part_of(now, maker.render(f"held-out-{i:04d}", one.labels, i, one.image))
        renders.append(image)
        real_scores.append(score(judge, one))
        render_scores.append(score(judge, one, image))
        yield replace(now, done=i + 1)
    layouts, samples = [], []
    for i in range(config.count):
        now = Progress("sampling and rendering", i, config.count)
        layout = yield from part_of(now, maker.layout(f"layout-{i:04d}", i))
        layouts.append(layout)
        samples.append((yield from part_of(now, maker.render(f"sampled-{i:04d}", layout, i))))
        yield replace(now, done=i + 1)
    yield Progress("comparing")
    crops = crops_of(training + held_out, config.size_px)
    real_layouts = [c.labels for c in crops]
    nuclei = compare(real_layouts, [c.group for c in crops], layouts)
    sources = [pair.pixels for pair in training]
    unseen = _typical_fields(held_out, max(config.count, _FEWEST_UNSEEN), config)
    return Study(
        config,
        models,
        scale,
        fields,
        renders,
        real_scores,
        render_scores,
        layouts,
        samples,
        _realism(extract, training, held_out, samples, config),
        nuclei,
        find_copies(samples, sources, [f.pixels for f in unseen]),
        find_copies(
            [_grey(la) for la in layouts],
            [_grey(p.labels) for p in training],
            [_grey(f.labels) for f in unseen],
            _LAYOUT_WINDOW_PX,
            _LAYOUT_CONTRAST,
        ),
        sources,
        real_layouts,
    )


class _Maker:
    """Makes renders and layouts, and keeps them below the study's folder."""

    def __init__(
        self, config: StudyConfig, models: tuple[Checkpoint, Checkpoint], scale: float | None
    ) -> None:
        self._config = config
        self._scale, structure = scale, models[0]
        # Layouts of a model that knows one scale only are sampled at that, and resampled.
        self._side_px = config.size_px
        known = scale_option(config.structure, scale)
        if scale and not known and not _is_near(scale, structure.um_per_px):
            self._side_px = round(config.size_px * scale / structure.um_per_px)
        self._how: dict[str, Any] = {
            "steps": config.steps,
            "sampler": config.sampler,
            "device": config.device,
        }
        size = config.size_px, scale
        plan = [m.sha256 for m in models], self._how, config.guidance, size, config.seed
        held = [str(config.data.name), *config.held_out]
        key = hashlib.sha256(json.dumps([plan, held]).encode()).hexdigest()[:8]
        self._folder = config.out / f"samples-{key}"

    def layout(self, stem: str, index: int) -> Work[NDArray[np.integer]]:
        """Sample a layout as it comes, and bring it to the scale of the study."""
        path = self._folder / f"{stem}.tif"
        request = LayoutRequest(
            checkpoint=self._config.structure,
            height_px=self._side_px,
            width_px=self._side_px,
            seed=derived_seed(self._config.seed, index),
            **self._how,
            **scale_option(self._config.structure, self._scale),
        )
        yield from self._keep(stem, request, sample_layout(request))
        labels = read_layout(path)
        if self._side_px == self._config.size_px:
            return labels
        return relabel_contiguous(resample_labels(labels, self._config.size_px / self._side_px))

    def render(
        self,
        stem: str,
        labels: NDArray[np.integer],
        index: int,
        like: NDArray[np.uint8] | None = None,
    ) -> Work[NDArray[np.uint8]]:
        """Render a layout, in the stain and with the appearance of an image if one is given."""
        style, appearance = None, None
        if like is not None:
            style = tuple(float(v) for v in stain_style(like))
            if load_model(self._config.image).header.network.has("appearance"):
                appearance = appearance_of_image(self._config.image, like, self._scale)
        request = RenderRequest(
            checkpoint=self._config.image,
            guidance=self._config.guidance,
            style=style,
            appearance=appearance,
            seed=derived_seed(self._config.seed, index),
            **self._how,
            **scale_option(self._config.image, self._scale),
        )
        path = self._folder / f"{stem}.png"
        yield from self._keep(stem, request, render(labels, request), labels)
        return read_rgb(path)

    def _keep(
        self,
        stem: str,
        request: SynthesisRequest,
        work: Work[Pair],
        labels: Labels | None = None,
    ) -> Work[None]:
        """Make a sample, unless the same request already made it of the same labels."""
        if not self._is_kept(stem, request, labels):
            write_sample(self._folder, stem, (yield from work))

    def _is_kept(self, stem: str, request: SynthesisRequest, labels: Labels | None) -> bool:
        try:  # the JSON is written last
            stored = parse_json((self._folder / f"{stem}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        made_by = stored.get("request", {})
        # What a request leaves open was decided when it ran.
        asked = {
            k: v for k, v in request.to_dict().items() if k not in _DECIDED and v not in (None, [])
        }
        same = all(made_by.get(k) == v for k, v in asked.items())
        return same and (labels is None or stored.get("layout_sha256") == Layout(labels).sha256())


def fields_of(pairs: Sequence[Pair], side: int, most: int) -> list[Pair]:
    """Fields of view of images: up to so many of each that do not overlap, with nuclei in them."""
    found = []
    for pair in pairs:
        crops = [c for c in crops_of([pair], side) if c.labels.any()]
        found += sorted(crops, key=lambda c: -np.count_nonzero(c.labels))[:most]
    return found


def crops_of(pairs: Sequence[Pair], side: int) -> list[Pair]:
    """All crops that do not overlap, those without nuclei too: they belong to the truth."""
    found = []
    for pair in pairs:
        rows, cols = (range(0, n - side + 1, side) for n in pair.labels.shape)
        found += [_field(pair, y, x, side) for y in rows for x in cols]
    return found


def _field(pair: Pair, top: int, left: int, side: int) -> Pair:
    window = np.s_[top : top + side, left : left + side]
    return replace(pair.window(window), group=group_of(pair.name, pair.group))


def _realism(
    extract: FeatureExtractor,
    training: Sequence[Pair],
    held_out: Sequence[Pair],
    samples: Sequence[NDArray[np.uint8]],
    config: StudyConfig,
) -> Realism | None:
    real, unseen = (_typical_fields(pairs, len(samples), config) for pairs in (training, held_out))
    all_seen, all_unseen = (crops_of(pairs, config.size_px) for pairs in (training, held_out))
    return measure_realism(extract, real, unseen, samples, all_seen, all_unseen)


def _typical_fields(pairs: Sequence[Pair], count: int, config: StudyConfig) -> list[Pair]:
    """Fields anywhere in the images: those chosen for their nuclei would not be typical."""
    rng, side, fields = np.random.default_rng(config.seed), config.size_px, []
    for i in range(count):
        pair = pairs[i % len(pairs)]
        top, left = (int(rng.integers(n - side + 1)) for n in pair.labels.shape)
        fields.append(_field(pair, top, left, side))
    return fields


def of_one_scale(
    folder: Path, held_out: Sequence[str] = (), um_per_px: float | None = None
) -> tuple[list[Pair], list[Pair], float | None]:
    """Read the images of a set that have one scale.

    Parameters
    ----------
    folder : Path
    held_out : sequence of str
        See `napari_nudiff.dataset.pairs.load_pairs`.
    um_per_px : float, optional
        The scale. Images of another are left out; those of which none is known are taken as of it.

    Returns
    -------
    training, held_out : lists of Pair
    um_per_px : float or None
        None where it is unknown.

    Raises
    ------
    DatasetError
        There are images of several scales, and none was chosen.
    """
    training, unseen = load_pairs(folder, held_out=held_out)
    known = sorted(p.um_per_px for p in (*training, *unseen) if p.um_per_px is not None)
    if um_per_px is None:
        if known and not _is_near(known[0], known[-1]):
            raise DatasetError(
                f"{folder} has images of {known[0]:g} to {known[-1]:g} um per px, and a study is "
                "of one scale. Choose one with --um-per-px; the other images are left out."
            )
        return training, unseen, median(known) if known else None
    training, unseen = (
        [p for p in pairs if p.um_per_px is None or _is_near(um_per_px, p.um_per_px)]
        for pairs in (training, unseen)
    )
    return training, unseen, um_per_px


def _is_near(one: float, other: float) -> bool:
    return 1 / _SAME_SCALE <= one / other <= _SAME_SCALE


def scale_option(name: str, scale: float | None) -> dict[str, Any]:
    """The scale as an argument of a request, for a model that knows several."""
    knows = scale is not None and load_model(name).header.network.has("resolution")
    return {"um_per_px": scale} if knows else {}


def _grey(labels: NDArray[np.integer]) -> NDArray[np.uint8]:
    return ((labels > 0) * 255).astype(np.uint8)


def _smallest(pairs: Sequence[Pair]) -> int:
    return min(int(min(p.labels.shape)) for p in pairs) // 16 * 16


def _check_roles(models: tuple[Checkpoint, Checkpoint]) -> None:
    for model, role in zip(models, ("structure", "image"), strict=True):
        if model.role != role:
            raise RequestError(f"{model.name} is a {model.role} model; a {role} model is needed.")


def _check_pairs(training: Sequence[Pair], held_out: Sequence[Pair], config: StudyConfig) -> None:
    if not (training and held_out):
        raise DatasetError(
            f"{config.data} has {len(training)} images to train the judge on and {len(held_out)} "
            f"held out{_at(config)}; both are needed. Name some with --held-out, whole patients at "
            "a time."
        )
    small = [p.name for p in (*training, *held_out) if min(p.labels.shape) < config.size_px]
    if small:
        raise DatasetError(
            f"{len(small)} images are smaller than --size {config.size_px}, such as {small[0]}. "
            f"--size {_smallest([*training, *held_out])} fits all."
        )


def _at(config: StudyConfig) -> str:
    return "" if config.um_per_px is None else f" at {config.um_per_px:g} um per px"
