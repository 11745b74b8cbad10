"""The state that a run is resumed from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch

from napari_nudiff.errors import DatasetError, RequestError
from napari_nudiff.files import atomic_path, parse_json
from napari_nudiff.training.config import TrainConfig

STATE = "state.pt"


def write_state(folder: Path, config: TrainConfig, values: dict[str, Any]) -> None:
    """Replace the state of a run; the old one stays until the new one is whole.

    Raises
    ------
    DatasetError
        It cannot be written, for one because the disk is full.
    """
    with atomic_path(folder / STATE) as staged:
        try:
            torch.save(values | {"config": json.dumps(config.to_dict())}, staged)
        except RuntimeError as error:  # torch's error for a full disk
            raise OSError(str(error).splitlines()[0]) from error


def read_state(folder: Path, config: TrainConfig, device: torch.device) -> dict[str, Any] | None:
    """The state of a run that is to go on; None where there is none.

    Lengths, rates and the like may have changed since; what cannot change is what the weights are
    and what they were trained on.

    Raises
    ------
    DatasetError
        The state is damaged.
    RequestError
        The run in this folder is another one.
    """
    path = folder / STATE
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        before = TrainConfig.from_dict(parse_json(state["config"]))
    except Exception as error:  # torch raises many types for damaged files
        raise DatasetError(
            f"{path} cannot be resumed from ({type(error).__name__}: {str(error)[:200]}). Nothing "
            "was changed. Give --restart to begin anew, or another --out."
        ) from error
    for name in ("role", "network", "objective", "optimizer", "seed", "held_out"):
        if (old := getattr(before, name)) != (new := getattr(config, name)):
            raise RequestError(
                f"The run in {folder} was begun with {name} = {old}, not {new}. It was left as it "
                "is. Use the same setting to go on with it, another --out, or --restart."
            )
    return state


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary folders of a run that was killed while it wrote."""
    for leftover in folder.glob(".new-*"):
        shutil.rmtree(leftover, ignore_errors=True)
