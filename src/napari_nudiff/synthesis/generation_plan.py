"""What is to be generated: every item follows from the plan and its number alone."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from napari_nudiff.checkpoints import DEFAULT_IMAGE, DEFAULT_STRUCTURE
from napari_nudiff.errors import RequestError
from napari_nudiff.nuclei.stain import PRESETS, Style, vary_style
from napari_nudiff.synthesis.defaults import GUIDANCE, LAYOUT_STEPS, RENDER_STEPS, SAMPLER
from napari_nudiff.synthesis.request import LayoutRequest, RenderRequest

Range = tuple[float, float]

LAYOUTS = ("sampled", "scattered", "given")
_FREE = {"count", "device", "given", "literal"}  # they change no item, or nothing but rounding
_ADDED = {"um_per_px", "appearance_spread", "appearances"}  # after version 0.1
_OPTIONAL = {"density", "um_per_px"}
_EXAMPLES: dict[str, Any] = {"um_per_px": 0.25, "appearances": ((0.0,),)}
_LARGEST_PX = 2048


@dataclass(frozen=True)
class GenerationPlan:
    """Everything that determines a set of generated pairs."""

    # Pairs in all, over all processes. More can be asked for later.
    count: int = 16
    seed: int = 0
    # Size of every pair (pixels); of given layouts a part of this size is taken.
    height_px: int = 256
    width_px: int = 256
    # "sampled" by the structure model, "scattered" by chance, or "given" as files.
    layouts: str = "sampled"
    # Files of given layouts, and the fingerprints of their labels, filled in before a run.
    given: tuple[str, ...] = ()
    given_sha256: tuple[str, ...] = ()
    # Fraction of the area that nuclei cover, from an even distribution; None = as it comes.
    density: Range | None = (0.03, 0.3)
    # Mean area of a nucleus (pixels), from an even distribution.
    mean_area_px: Range = (200.0, 550.0)
    # Share of the nuclei of a layout that are moved, turned, resized, copied or deleted at random.
    perturb: float = 0.0
    # Whether given layouts are turned by quarter turns and mirrored.
    turn: bool = True
    # Stains to choose from, by the names of presets; none = as it comes.
    stains: tuple[str, ...] = ()
    # How much the stain varies around that: 1 = as real slides differ from each other.
    stain_spread: float = 0.0
    # Strength of the guidance, from an even distribution; 1 = off.
    guidance: Range = (GUIDANCE, GUIDANCE)
    steps: int = RENDER_STEPS
    layout_steps: int = LAYOUT_STEPS
    sampler: str = SAMPLER
    image_checkpoint: str = DEFAULT_IMAGE
    structure_checkpoint: str = DEFAULT_STRUCTURE
    precision: str = "auto"
    device: str = "auto"
    # Side of a pixel of layouts and images; None = that of the models.
    um_per_px: float | None = None
    # How far an appearance may lie from those of the training images; 1 = as these differ.
    appearance_spread: float = 0.0
    # Appearances to choose from, as the image model sees them; none = drawn from the training's.
    appearances: tuple[tuple[float, ...], ...] = ()
    # Whether to compute as version 0.1 did: for folders that were begun with it.
    literal: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value, example = getattr(self, field.name), _EXAMPLES.get(field.name, field.default)
            if not (field.name in _OPTIONAL and value is None):
                _require(_is_like(value, example), field.name, value, _kind(example))
        _require(self.count >= 1, "count", self.count, "at least 1")
        for name in ("height_px", "width_px"):
            side = getattr(self, name)
            _require(64 <= side <= _LARGEST_PX, name, side, f"64 to {_LARGEST_PX}")
        _require(self.layouts in LAYOUTS, "layouts", self.layouts, f"one of {', '.join(LAYOUTS)}")
        given = bool(self.given)
        _require(
            given == (self.layouts == "given"),
            "given",
            self.given,
            "files of layouts where layouts is given",
        )
        _require(0 <= self.perturb <= 1, "perturb", self.perturb, "a share, 0 to 1")
        _require(0 <= self.stain_spread <= 3, "stain_spread", self.stain_spread, "0 to 3")
        _require(
            self.appearance_spread == 0 or not self.appearances,
            "appearance_spread",
            self.appearance_spread,
            "0 where appearances are given",
        )
        _require_range("density", self.density or (0, 0), 0, 0.9)
        _require_range("mean_area_px", self.mean_area_px, 31, 10_000)
        _require_range("guidance", self.guidance, 0, 20)
        for name in self.stains:
            _require(name in PRESETS, "stains", name, f"of {', '.join(PRESETS)}")
        # What else a request refuses is told before the first item is made.
        RenderRequest(
            self.image_checkpoint,
            sampler=self.sampler,
            steps=self.steps,
            precision=self.precision,
            seed=self.seed,
            um_per_px=self.um_per_px,
            appearance_spread=self.appearance_spread,
        )
        LayoutRequest(steps=self.layout_steps)

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> GenerationPlan:
        """Build a plan from plain values.

        Raises
        ------
        RequestError
            A name is unknown, or a value is out of range or of the wrong type.
        """
        if unknown := sorted(set(values) - {f.name for f in fields(cls)}):
            raise RequestError(f"Unknown setting in the plan: {', '.join(unknown)}.")
        try:
            return cls(**{name: _frozen(value) for name, value in values.items()})
        except (TypeError, ValueError) as error:
            raise RequestError(f"A value of the plan has the wrong type: {error}") from error

    def deciding(self) -> dict[str, Any]:
        """The values that items follow from; files are told by their fingerprints."""
        values = {k: v for k, v in self.to_dict().items() if k not in _FREE}
        # Plans of versions that did not have these values keep their fingerprints.
        return {k: v for k, v in values.items() if v or k not in _ADDED}

    @property
    def sha256(self) -> str:
        """Fingerprint: plans that make the same items have the same."""
        return hashlib.sha256(json.dumps(self.deciding(), sort_keys=True).encode()).hexdigest()


class Item(NamedTuple):
    """One pair to make.

    Attributes
    ----------
    number : int
    layout_seed, perturb_seed : int
    density, mean_area_px : float or None
        Of a sampled or scattered layout.
    given : int
        Number of the given layout.
    turns : int
        Quarter turns of it.
    mirrored : bool
    corner : (float, float)
        Where the part lies that is taken of it, each 0 to 1.
    render : RenderRequest
    """

    number: int
    layout_seed: int
    perturb_seed: int
    density: float | None
    mean_area_px: float | None
    given: int
    turns: int
    mirrored: bool
    corner: tuple[float, float]
    render: RenderRequest


def load_plan(path: Path) -> GenerationPlan:
    """Read a plan from a TOML file; layouts that it gives lie relative to it.

    Raises
    ------
    RequestError
        The file cannot be read, or is no plan.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RequestError(f"Cannot read the plan {path}: {error}") from error
    plan = GenerationPlan.from_dict(values)
    folder = Path(path).resolve().parent
    return replace(plan, given=tuple(str(folder / file) for file in plan.given))


def item_of(plan: GenerationPlan, number: int) -> Item:
    """Item ``number`` of a plan, whatever is made before it and by whom."""
    random = np.random.default_rng(np.random.SeedSequence(plan.seed, spawn_key=(number,)))
    # Everything is drawn, in this order, whether it is needed or not: a setting that is changed
    # must not change what the others draw.
    layout_seed, perturb_seed, render_seed, stain_seed = random.integers(2**62, size=4).tolist()
    area, density, guidance, top, left = random.random(5).tolist()
    given, turns, mirrored, stain = random.integers((2**31, 4, 2, 2**31)).tolist()
    appearance = int(random.integers(2**31))
    render = RenderRequest(
        plan.image_checkpoint,
        sampler=plan.sampler,
        steps=plan.steps,
        seed=render_seed,
        precision=plan.precision,
        device=plan.device,
        literal=plan.literal,
        guidance=_between(plan.guidance, guidance),
        style=_style(plan, stain, stain_seed),
        um_per_px=plan.um_per_px,
        appearance=_chosen(plan.appearances, appearance),
        appearance_spread=plan.appearance_spread,
    )
    return Item(
        number,
        layout_seed,
        perturb_seed,
        None if plan.density is None else _between(plan.density, density),
        None if plan.density is None else _between(plan.mean_area_px, area),
        given % max(len(plan.given), 1),
        turns if plan.turn else 0,
        bool(mirrored) and plan.turn,
        (top, left),
        render,
    )


def layout_request(plan: GenerationPlan, item: Item) -> LayoutRequest:
    """What the structure model is asked for."""
    return LayoutRequest(
        plan.structure_checkpoint,
        sampler=plan.sampler,
        steps=plan.layout_steps,
        seed=item.layout_seed,
        precision=plan.precision,
        device=plan.device,
        literal=plan.literal,
        height_px=plan.height_px,
        width_px=plan.width_px,
        density=item.density,
        mean_area_px=item.mean_area_px,
        um_per_px=plan.um_per_px,
    )


def with_count(plan: GenerationPlan, count: int) -> GenerationPlan:
    """The same plan for more or fewer items."""
    return replace(plan, count=count)


def _style(plan: GenerationPlan, choice: int, seed: int) -> Style | None:
    base = PRESETS[plan.stains[choice % len(plan.stains)]] if plan.stains else None
    if plan.stain_spread:
        return vary_style(base, plan.stain_spread, seed)
    return base


def _chosen(appearances: Sequence[tuple[float, ...]], choice: int) -> tuple[float, ...] | None:
    return appearances[choice % len(appearances)] if appearances else None


def _between(ends: Range, share: float) -> float:
    low, high = ends
    return round(low + (high - low) * share, 6)


def _require(condition: bool, name: str, value: object, expected: str) -> None:
    if not condition:
        raise RequestError(f"{name} is {value!r}; expected {expected}.")


def _is_like(value: object, example: object) -> bool:
    """Whether a value has the type of another; whole numbers are numbers, too."""
    if isinstance(example, tuple):
        one = example[0] if example else ""
        return isinstance(value, tuple) and all(_is_like(v, one) for v in value)
    if isinstance(example, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is type(example)


def _frozen(value: Any) -> Any:
    """Lists, as files have them, as tuples."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _kind(example: object) -> str:
    if isinstance(example, tuple) and example and isinstance(example[0], tuple):
        return "a list of lists of numbers"
    if isinstance(example, tuple):
        return "a list of numbers" if example else "a list of strings"
    return _KINDS[type(example)]


_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
}


def _require_range(name: str, ends: Range, least: float, most: float) -> None:
    low, high = ends
    _require(
        least <= low <= high <= most,
        name,
        ends,
        f"two numbers, the lower first, {least:g} to {most:g}",
    )
