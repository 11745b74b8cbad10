"""Which checkpoints there are: the package's registry, one of the user's, and added files."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath

from napari_nudiff.checkpoints.cache import locked, read_json, unreadable, write_json
from napari_nudiff.errors import CheckpointError

_PACKAGED = Path(__file__).parents[1] / "checkpoints.toml"
_OWN = "own.json"

# The models that are used where no other is named; both come with the package.
DEFAULT_STRUCTURE = "breast-compact-structure"
DEFAULT_IMAGE = "breast-compact-image"
DEFAULTS = (DEFAULT_STRUCTURE, DEFAULT_IMAGE)


@dataclass(frozen=True)
class Checkpoint:
    """What is known of a checkpoint without opening it.

    Attributes
    ----------
    name : str
    role : str
        "structure" or "image".
    file : str
        File name: in ``weights/`` (embedded), in the cache, or below its ``own/`` (own). A file
        that was named by its path keeps that path.
    size_bytes : int
    sha256 : str
    licence, training_data : str
        Of the weights, and what they were trained on.
    um_per_px : float
        Resolution of the images it was trained on.
    url : str
        Absolute, or relative to the base address; "" means the file name there.
    embedded : bool
        It comes with the package and needs no network.
    own : bool
        The user added it, or named it by its path.
    parametrisation : str or None
        "v" (compact) or "eps" (the authors'), where it is known.
    stain_low, stain_high : tuple of float
        Of an image model: the range of stain styles that it has learned, six numbers each (3rd and
        97th percentile of training crops); empty where it is not known.
    conditions : tuple of str
        What it can be given about the whole image, see `napari_nudiff.diffusion.unet.CONDITIONS`.
    """

    name: str
    role: str
    file: str
    size_bytes: int
    sha256: str
    licence: str
    training_data: str
    um_per_px: float
    url: str = ""
    embedded: bool = False
    own: bool = False
    parametrisation: str | None = None
    stain_low: tuple[float, ...] = ()
    stain_high: tuple[float, ...] = ()
    conditions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("stain_low", "stain_high", "conditions"):  # files have lists
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not self.own and (self.file in ("", "..") or self.file != PurePath(self.file).name):
            raise ValueError(f"file is {self.file!r}; expected the name of a file, no folder")

    def makes(self, um_per_px: float) -> bool:
        """Whether it makes images of this resolution: any that it is given, or its own."""
        return "resolution" in self.conditions or 0.9 < um_per_px / self.um_per_px < 1.1


def list_checkpoints(role: str | None = None) -> list[Checkpoint]:
    """All checkpoints with a name: those of the registries, then those that the user added.

    Parameters
    ----------
    role : str, optional
        "structure" or "image": only these.

    Raises
    ------
    CheckpointError
        A registry, or the list of own checkpoints, cannot be read.
    """
    known = [*read_registries()[1], *read_own()]
    return [c for c in known if role in (None, c.role)]


def default_checkpoint(role: str) -> Checkpoint:
    """The checkpoint that is used where no other is named.

    Parameters
    ----------
    role : str
        "structure" or "image".

    Raises
    ------
    CheckpointError
        There is no such role.
    """
    for checkpoint in list_checkpoints(role):
        if checkpoint.name in DEFAULTS:
            return checkpoint
    raise CheckpointError(f"There is no default {role!r} model; there is 'structure' and 'image'.")


def read_registries() -> tuple[str, list[Checkpoint]]:
    """Base address and checkpoints of the package's registry and of ``NUDIFF_REGISTRY``.

    Of two checkpoints with one name, and of two base addresses, the user's counts.

    Raises
    ------
    CheckpointError
        A registry cannot be read.
    """
    base, checkpoints = _read_registry(_PACKAGED)
    extra = os.environ.get("NUDIFF_REGISTRY")
    if extra:
        extra_base, extra_checkpoints = _read_registry(Path(extra).expanduser())
        base, checkpoints = extra_base or base, checkpoints | extra_checkpoints
    return base, list(checkpoints.values())


def _read_registry(path: Path) -> tuple[str, dict[str, Checkpoint]]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        tables = values.get("checkpoints", {}).items()
        listed = {name: Checkpoint(name=name, **table) for name, table in tables}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{path} is no registry of checkpoints: {error}. Nothing was changed; correct it, or "
            "unset NUDIFF_REGISTRY where that names it."
        ) from error
    return str(values.get("base_url", "")), listed


def read_own() -> list[Checkpoint]:
    """The checkpoints that the user added.

    Raises
    ------
    CheckpointError
        Their list cannot be read.
    """
    try:
        return [Checkpoint(**values) for values in read_json(_OWN, list)]
    except TypeError as error:
        raise unreadable(_OWN, error) from error


@contextmanager
def own_changed() -> Iterator[list[Checkpoint]]:
    """The checkpoints that the user added, to be changed; another process waits for the end.

    Raises
    ------
    CheckpointError
        The list cannot be read or written; the old one stays.
    """
    with locked(_OWN):
        checkpoints = read_own()
        yield checkpoints
        write_json(_OWN, [asdict(checkpoint) for checkpoint in checkpoints])
