"""Numbers as people say them; no torch, nothing but the standard library."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """A time span in the two units that matter."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours / 24:.1f} days"


def size_text(size_bytes: float) -> str:
    """A size in decimal units: "15.3 MB"."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if size_bytes >= scale:
            return f"{size_bytes / scale:.1f} {unit}"
    return f"{size_bytes / 1e3:.0f} kB"


def memory_text(needed_bytes: float) -> str:
    """An estimate in steps of two figures: "about 1.3 GB"."""
    if needed_bytes < 1e9:
        return f"about {max(round(needed_bytes / 1e7) * 10, 10)} MB"
    return f"about {size_text(needed_bytes)}"
