"""What goes into a training set, and how."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from typing import Any, Literal

from napari_nudiff.dataset.writers import FORMATS
from napari_nudiff.errors import RequestError

Border = Literal["keep", "drop"]

_FIELDS = {"index", "kind", "name", "split", "seed"}


@dataclass(frozen=True)
class Gate:
    """Which synthetic pairs are good enough.

    Attributes
    ----------
    min_realism, min_correctness : float
        Least mean grade of the reviewers, 1 to 5; 0 asks for no review.
    without_flags : bool
        Leave out those with nuclei that a reviewer flagged.
    starred, applied : bool
        Only those that were starred, or applied, in their session.
    min_nuclei : int
        Of synthetic and real ones.
    """

    min_realism: float = 0
    min_correctness: float = 0
    without_flags: bool = False
    starred: bool = False
    applied: bool = False
    min_nuclei: int = 0

    @property
    def asks_for_review(self) -> bool:
        """Whether pairs without grades are left out."""
        return self.min_realism > 0 or self.min_correctness > 0


@dataclass(frozen=True)
class ExportOptions:
    """How a set is made; with the same sources, equal options give equal sets.

    Attributes
    ----------
    formats : tuple of str
        Names of `writers.FORMATS`.
    title : str
    licence : str
        Of the real images; that of the synthetic ones follows from their checkpoints.
    val, test : float
        Shares of the images, 0 to below 1 together.
    val_groups, test_groups : tuple of str
        Patterns of groups (patients, slides) or names of real images, instead of shares.
    synthetic_in_train_only : bool or None
        None: where there are real images too. Scores on synthetic images say little.
    seed : int
        Of the split.
    gate : Gate
    classes : mapping of str to str
        New name of a class; an empty one drops its nuclei.
    default_class : str
        Of nuclei without a class.
    border : str
        "keep", or "drop" the nuclei that the image's border cuts.
    min_area_px : int
        Smaller nuclei are dropped.
    names : str
        Template of the names of files: index, kind, name, split, seed.
    """

    formats: tuple[str, ...] = ("cellpose",)
    title: str = "Nuclei in H&E"
    licence: str = "unknown"
    val: float = 0.1
    test: float = 0.1
    val_groups: tuple[str, ...] = ()
    test_groups: tuple[str, ...] = ()
    synthetic_in_train_only: bool | None = None
    seed: int = 0
    gate: Gate = field(default_factory=Gate)
    classes: Mapping[str, str] = field(default_factory=dict)
    default_class: str = "nucleus"
    border: Border = "keep"
    min_area_px: int = 0
    names: str = "{kind}_{index:05d}"

    def __post_init__(self) -> None:
        _check_formats(self.formats)
        _check_shares(self.val, self.test)
        _check_template(self.names)
        if self.border not in {"keep", "drop"}:
            raise RequestError(f"--border is {self.border}; keep or drop was expected.")
        for name, value in (
            ("realism", self.gate.min_realism),
            ("correctness", self.gate.min_correctness),
        ):
            if not 0 <= value <= 5:
                raise RequestError(f"The least {name} is {value:g}; grades run from 1 to 5.")

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def _check_formats(formats: tuple[str, ...]) -> None:
    if not formats:
        raise RequestError(f"No format was chosen. Known are {', '.join(FORMATS)}.")
    for name in formats:
        if name not in FORMATS:
            raise RequestError(f"There is no format {name}; known are {', '.join(FORMATS)}.")
        missing = [package for package in FORMATS[name].packages if find_spec(package) is None]
        if missing:
            raise RequestError(
                f"The format {name} needs {', '.join(missing)}, which is not installed: "
                "pip install 'napari-nudiff[export]'."
            )


def _check_shares(val: float, test: float) -> None:
    if not (0 <= val < 1 and 0 <= test < 1 and val + test < 1):
        raise RequestError(
            f"The shares of val and test are {val:g} and {test:g}; each must be at least 0, and "
            "both together below 1, so that something is left to train on."
        )


def _check_template(names: str) -> None:
    try:
        known = {name for _, name, _, _ in string.Formatter().parse(names) if name is not None}
        names.format(**dict.fromkeys(_FIELDS - {"index", "seed"}, ""), index=0, seed=0)
    except (ValueError, KeyError, IndexError, AttributeError) as error:
        raise RequestError(
            f"The template of names {names!r} cannot be used ({error}); it may hold "
            f"{', '.join('{' + name + '}' for name in sorted(_FIELDS))}."
        ) from error
    if not known & {"index", "name", "seed"}:
        raise RequestError(
            f"The template of names {names!r} gives every image the same name. Put {{index}} in it."
        )
