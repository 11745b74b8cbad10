"""The configuration of a training run."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from napari_nudiff.diffusion.unet import UNetConfig
from napari_nudiff.errors import RequestError

Role = Literal["structure", "image"]


@dataclass(frozen=True)
class TrainConfig:
    """Everything that determines a training run; it is stored in the header of its weights."""

    # "structure": noise -> structure maps. "image": structure maps -> H&E image.
    role: Role = "image"
    # Folder with images/*.png and labels/*.tif of the same stems.
    data: str = ""
    # Where checkpoints, the loss log and the sample grids go.
    out: str = "runs/nudiff"
    # Stems (shell patterns) kept out of training; their loss is logged instead.
    held_out: tuple[str, ...] = ()
    # Side of the square training crops (pixels).
    crop_px: int = 128
    batch_crops: int = 16
    # Length of the run; one step sees batch_crops crops.
    steps: int = 4000
    learning_rate: float = 4e-4
    warmup_steps: int = 200
    # From this fraction of the run on the learning rate falls linearly ...
    decay_from: float = 0.7
    # ... to this fraction of itself. Texture appears during this decay.
    decay_to: float = 0.02
    weight_decay: float = 0.01
    gradient_clip: float = 1.0
    ema_decay: float = 0.9995
    # How often the structure, and the global numbers, are hidden from the network.
    drop_structure: float = 0.15
    drop_globals: float = 0.1
    # How often the stain of a crop is varied (channel-wise, in optical density).
    stain_jitter: float = 0.5
    seed: int = 0
    device: str = "auto"
    # Arithmetic of the network; weights and optimiser are float32.
    precision: Literal["bf16", "fp32"] = "bf16"
    # A checkpoint and a sample grid every so many steps.
    save_steps: int = 500
    log_steps: int = 20
    network: UNetConfig = field(default_factory=UNetConfig)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `from_dict` reads them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainConfig:
        """Build a configuration; unknown names are errors.

        Raises
        ------
        RequestError
            A name is unknown.
        """
        values = dict(values)
        network = UNetConfig(**_checked(UNetConfig, values.pop("network", {})))
        return cls(network=network, **_checked(cls, values))

    def with_overrides(self, **values: Any) -> TrainConfig:
        """A copy with the given values that are not None."""
        return replace(self, **{k: v for k, v in values.items() if v is not None})


def load_config(path: Path) -> TrainConfig:
    """Read a configuration from a TOML file.

    Raises
    ------
    RequestError
        The file is missing, is no TOML, or has a name that no setting has.
    """
    try:
        values = tomllib.loads(Path(path).read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise RequestError(f"Cannot read the training configuration {path}: {error}") from error
    return TrainConfig.from_dict(values)


def recipe(role: str) -> TrainConfig:
    """The shipped recipe of the compact model of a role."""
    return load_config(Path(__file__).parent / "recipes" / f"compact-{role}.toml")


def _checked(cls: type, values: dict[str, Any]) -> dict[str, Any]:
    known = {f.name for f in fields(cls)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise RequestError(
            f"Unknown training setting {', '.join(unknown)}; known are {', '.join(sorted(known))}."
        )
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
