"""Images of real slides: none is in the repository, so what needs some looks for them outside."""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("NUDIFF_DATA") or Path(__file__).parents[2] / "shared" / "data")


def real_data(name: str) -> Path:
    """A folder of real data; the test is skipped where there is none."""
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"needs real data in {folder}; NUDIFF_DATA names another folder than {DATA}")
    return folder
