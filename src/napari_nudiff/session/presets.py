"""Presets: named sampler settings, three built in and any number of the user's."""

from __future__ import annotations

from typing import Any

from psygnal import Signal

from napari_nudiff.checkpoints.cache import read_json, write_json
from napari_nudiff.errors import CheckpointError, RequestError
from napari_nudiff.session.settings import RenderSettings
from napari_nudiff.synthesis.defaults import GUIDANCE, RENDER_STEPS, SAMPLER

_FILE = "presets.json"
_FIELDS = {"sampler": str, "steps": int, "guidance": float}

OURS: dict[str, dict[str, Any]] = {
    # Enough to judge a layout by.
    "Draft": {"sampler": "dpmpp_2m", "steps": 8, "guidance": 1.0},
    "Standard": {"sampler": SAMPLER, "steps": RENDER_STEPS, "guidance": GUIDANCE},
    # Yu et al. 2023: 1000 ancestral steps; s = 2 is what their notebook uses.
    "Paper": {"sampler": "ddpm", "steps": 1000, "guidance": 2.0},
}


class Presets:
    """The presets that there are; the user's are kept in the cache folder."""

    changed = Signal()

    def __init__(self) -> None:
        self._own = _stored()

    def names(self) -> list[str]:
        """Ours first."""
        return [*OURS, *self._own]

    def is_own(self, name: str) -> bool:
        """Whether the user made it, and may remove it."""
        return name in self._own

    def name_of(self, settings: RenderSettings) -> str:
        """The preset that settings are of; "" = none."""
        values = {field: getattr(settings, field) for field in _FIELDS}
        everything = OURS | self._own
        return next((name for name, preset in everything.items() if preset == values), "")

    def apply(self, name: str, settings: RenderSettings) -> None:
        """Set the settings to a preset."""
        for field, value in (OURS | self._own)[name].items():
            setattr(settings, field, value)

    def save(self, name: str, settings: RenderSettings) -> None:
        """Keep settings under a name; one of the user's of that name is replaced.

        Raises
        ------
        RequestError
            The name is empty or built in.
        CheckpointError
            The cache folder cannot be written to.
        """
        name = name.strip()
        if not name or name in OURS:
            raise RequestError(
                f"“{name}” cannot be the name of a preset: it is "
                f"{'taken by a built-in one' if name else 'empty'}. Choose another name."
            )
        own = self._own | {name: {field: getattr(settings, field) for field in _FIELDS}}
        self._write(own)

    def remove(self, name: str) -> None:
        """Forget one of the user's presets."""
        self._write({kept: preset for kept, preset in self._own.items() if kept != name})

    def _write(self, own: dict[str, dict[str, Any]]) -> None:
        write_json(_FILE, own)
        self._own = own
        self.changed.emit()


def _stored() -> dict[str, dict[str, Any]]:
    """The user's presets; what is no preset, or a damaged file, does no harm."""
    try:
        stored = read_json(_FILE, dict)
    except CheckpointError:
        return {}
    return {
        name: {field: preset[field] for field in _FIELDS}
        for name, preset in stored.items()
        if isinstance(preset, dict)
        and all(isinstance(preset.get(field), kind) for field, kind in _FIELDS.items())
    }
