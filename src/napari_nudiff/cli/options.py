"""Options that several commands share."""

from __future__ import annotations

from typing import Any


def add_quiet(p: Any) -> None:
    """Add ``--quiet``."""
    p.add_argument("--quiet", action="store_true", help="no progress bar")
