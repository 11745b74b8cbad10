"""JSON files of unknown origin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_nudiff.errors import DatasetError
from napari_nudiff.files import parse_json

_SNIFFED_BYTES = 1 << 16


def mentions(path: Path, *words: str) -> bool:
    """Whether the beginning or the end of a file holds one of some words."""
    with path.open("rb") as file:
        text = file.read(_SNIFFED_BYTES)
        file.seek(max(0, path.stat().st_size - _SNIFFED_BYTES))
        text += file.read()
    return any(word.encode() in text for word in words)


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    DatasetError
        It is damaged.
    """
    try:
        return parse_json(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"Cannot read {path.name} as JSON: {error}") from error
