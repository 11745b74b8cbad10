"""The authors' files, opened, and what is wrong with those that are none."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from napari_nudiff.errors import CheckpointError

if TYPE_CHECKING:
    from napari_nudiff.diffusion.weights import Model

_ADVICE = (
    "Choose a model*.pt or ema_*.pt file of the official Nudiff code, or a .safetensors file of "
    "napari-nudiff."
)
_AGAIN = "Copy or download it again."
_WITHOUT_CODE = "Ask its author for the weights alone (a state_dict)."


def open_official(path: Path, head_channels: int) -> Model:
    """Load one of the authors' files; no code in it is run.

    Parameters
    ----------
    path : Path
    head_channels : int
        Width of an attention head, which is not in the file.

    Raises
    ------
    CheckpointError
        It is missing, empty, cut short, needs code to be run, or holds something else.
    """
    from napari_nudiff.diffusion.weights import load_official

    if path.is_file() and not path.stat().st_size:
        raise _refusal(path, "is empty", _AGAIN)
    try:
        return load_official(path, head_channels=head_channels)
    except CheckpointError as error:
        if not path.is_file() or head_channels < 1:
            raise
        raise _diagnosis(path, error) from error


def _diagnosis(path: Path, error: CheckpointError) -> CheckpointError:
    """What a complaint about a file means, and what to do."""
    if "loaded safely" not in str(error):  # it was read, and holds something else
        return CheckpointError(f"{error} Nothing was changed. {_ADVICE}")
    cause = str(error.__cause__)
    code = re.search(r"unsupported (?:global|class).*?(\w+(?:\.\w+)+)", cause, re.IGNORECASE)
    if code:
        what = f"would run code when it is opened ({code[1]}), which weights do not need"
        return _refusal(path, f"{what}; it was not opened", _WITHOUT_CODE)
    if isinstance(error.__cause__, EOFError) or "EOF" in cause or _is_archive(path):
        return _refusal(path, "is damaged or cut short", _AGAIN)
    return _refusal(path, "is no file of torch, though its name ends as if", _ADVICE)


def _is_archive(path: Path) -> bool:
    """Whether a file begins like those of torch, which are zip archives."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _refusal(path: Path, what: str, then: str) -> CheckpointError:
    return CheckpointError(f"{path} {what}. Nothing was changed. {then}")
