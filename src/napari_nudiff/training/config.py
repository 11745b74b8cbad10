"""The configuration of a training run, and the recipes that ship with the package."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, fields, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal, TypeVar

from napari_nudiff.diffusion.unet import UNetConfig
from napari_nudiff.errors import RequestError

Role = Literal["structure", "image"]
COMPACT_IMAGE = UNetConfig(cond_channels=3, conditions=("style",))
_CONDITIONS = {
    "image": ("style", "resolution", "appearance"),
    "structure": ("density", "resolution"),
}

_FOLDER = Path(__file__).parent / "recipes"
_Config = TypeVar("_Config")


@dataclass(frozen=True)
class Stage:
    """A part of a run with crops and rates of its own; the stages of a run follow each other."""

    # Length of the stage; one step sees batch_crops crops, over all processes.
    steps: int = 4000
    # Side of the square training crops (pixels).
    crop_px: int = 128
    batch_crops: int = 16
    learning_rate: float = 4e-4
    # The rate climbs to learning_rate over these steps; with "restarts" at the start of each cycle.
    warmup_steps: int = 200
    # "decay": constant, then linear to decay_to. "constant". "restarts": warm-up and cosine to 0,
    # again every cycle_steps (the authors' image model).
    schedule: Literal["decay", "constant", "restarts"] = "decay"
    # From this fraction of the stage on the learning rate falls linearly ...
    decay_from: float = 0.7
    # ... to this fraction of itself. Texture appears during this decay.
    decay_to: float = 0.02
    cycle_steps: int = 10_000
    # How often the structure, and each condition on the whole image, is hidden from the network.
    drop_structure: float = 0.15
    drop_globals: float = 0.1


@dataclass(frozen=True)
class TrainConfig:
    """Everything that determines a training run; it is stored in the header of its weights."""

    # "structure": noise -> structure maps. "image": structure maps -> H&E image.
    role: Role = "image"
    # Folders with images/*.png and labels/*.tif of the same stems, as `nudiff data prepare` makes.
    data: tuple[str, ...] = ()
    # Resolutions to train at (um per px), crops in equal shares; finer images are reduced to each.
    # Empty: every image as it is.
    um_per_px: tuple[float, ...] = ()
    # Where checkpoints, the log and the sample grids go.
    out: str = "runs/nudiff"
    # Stems (shell patterns) kept out of training; their loss is logged instead. Empty: the split
    # that the data set brings along.
    held_out: tuple[str, ...] = ()
    # Weights to begin with instead of random ones: the name of a checkpoint, or a file.
    start_from: str = ""
    # "v": velocity, min-SNR weight (the compact models). "eps": noise and its variance, MSE + VB
    # (the authors').
    objective: Literal["v", "eps"] = "v"
    stages: tuple[Stage, ...] = (Stage(),)
    # "adamw", or "adam": the authors' for the image model, whose weight decay is an L2 penalty.
    optimizer: Literal["adamw", "adam"] = "adamw"
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.01
    # Largest norm of the gradient; 0 = not limited.
    gradient_clip: float = 1.0
    ema_decay: float = 0.9995
    # Also write the weights as they are, without averaging: the authors sampled from these.
    keep_raw: bool = False
    # Crops begin at multiples of this many pixels; 0 = anywhere. (The authors: patches, 128.)
    crop_stride_px: int = 0
    # Whether flips and turns also turn the vectors of the maps. The authors' did not.
    turn_vectors: bool = True
    # How often the stain of a crop is varied (channel-wise, in optical density).
    stain_jitter: float = 0.5
    seed: int = 0
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    # Arithmetic of the network; weights and optimiser are float32. fp16 needs a GPU.
    precision: Literal["bf16", "fp16", "fp32"] = "bf16"
    # The crops of a step are computed in so many parts, to save memory; the result is the same.
    accumulate: int = 1
    # Whether torch.compile makes faster code of the network first (minutes).
    compile: bool = False
    # Processes that prepare crops; -1 = none on a CPU, as many as there are cores on a GPU.
    workers: int = -1
    # A checkpoint and a sample grid every so many steps.
    save_steps: int = 500
    log_steps: int = 20
    network: UNetConfig = COMPACT_IMAGE

    @property
    def steps(self) -> int:
        """Length of the whole run."""
        return sum(stage.steps for stage in self.stages)

    @property
    def crop_px(self) -> int:
        """Side of the largest crops."""
        return max(stage.crop_px for stage in self.stages)

    def stage_at(self, step: int) -> tuple[Stage, int]:
        """The stage of a step, and the number of the step within it."""
        for stage, end in zip(self.stages, accumulate(s.steps for s in self.stages), strict=True):
            if step < end:
                return stage, step - (end - stage.steps)
        return self.stages[-1], self.stages[-1].steps

    def scaled(self, steps: int) -> TrainConfig:
        """A shorter or longer run: every stage and its warm-up in proportion, ``steps`` in all."""
        ratio = steps / self.steps
        ends = [round(end * ratio) for end in accumulate(s.steps for s in self.stages)]
        lengths = [end - start for start, end in zip([0, *ends], ends, strict=False)]
        stages = tuple(
            replace(s, steps=length, warmup_steps=min(s.warmup_steps, length // 4))
            for s, length in zip(self.stages, lengths, strict=True)
            if length
        )
        return replace(self, stages=stages)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `from_dict` reads them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainConfig:
        """Build a configuration; unknown names are errors.

        Raises
        ------
        RequestError
            A name is unknown, or a value makes no sense.
        """
        values = dict(values)
        if "network" in values:
            values["network"] = _network(values["network"])
        if isinstance(values.get("data"), str):  # one folder, as in runs of earlier versions
            values["data"] = (values["data"],) if values["data"] else ()
        if "stages" in values:
            values["stages"] = [_build(Stage, stage) for stage in values["stages"]]
        config = _build(cls, values)
        config.check()
        return config

    def with_overrides(self, **values: Any) -> TrainConfig:
        """A copy with the given values that are not None."""
        return replace(self, **{k: v for k, v in values.items() if v is not None})

    def check(self) -> None:
        """Make sure that the values fit each other.

        Raises
        ------
        RequestError
            They do not.
        """
        for wrong, complaint in self._complaints():
            if wrong:
                raise RequestError(f"This training cannot run: {complaint}")

    def _complaints(self) -> list[tuple[bool, str]]:
        net, c = self.network, self
        outputs = net.in_channels * (1 if c.objective == "v" else 2)
        return [
            (not c.stages, "it has no stage."),
            (
                any(s.steps < 1 or s.batch_crops < 1 for s in c.stages),
                "every stage needs at least one step and one crop per batch.",
            ),
            (
                any(s.crop_px % net.multiple_px or s.crop_px < net.multiple_px for s in c.stages),
                f"crop_px must be a multiple of {net.multiple_px}, which the network halves to 1.",
            ),
            (
                any(s.batch_crops % c.accumulate for s in c.stages) if c.accumulate > 0 else True,
                f"accumulate = {c.accumulate} does not divide every stage's batch_crops.",
            ),
            (
                net.out_channels != outputs,
                f"objective {c.objective!r} needs {outputs} network.out_channels, not "
                f"{net.out_channels}.",
            ),
            (
                (c.role == "image") != (net.cond_channels > 0),
                "an image model needs network.cond_channels = 3 and a structure model 0; it is "
                f"{net.cond_channels} and role = {c.role!r}.",
            ),
            (
                not set(net.conditions) <= set(_CONDITIONS[c.role]),
                f"network.conditions are {', '.join(net.conditions)}; the {c.role} model knows "
                f"{', '.join(_CONDITIONS[c.role])}.",
            ),
            (isinstance(c.data, str), f"data is {c.data!r}; a list of folders is expected."),
            (any(um <= 0 for um in c.um_per_px), "every um_per_px must be above 0."),
            (c.save_steps < 1 or c.log_steps < 1, "save_steps and log_steps must be at least 1."),
        ]


def load_config(path: Path) -> TrainConfig:
    """Read a configuration from a TOML file.

    Raises
    ------
    RequestError
        The file is missing, is no TOML, or has a name or a value that makes no sense.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RequestError(f"Cannot read the training configuration {path}: {error}") from error
    return TrainConfig.from_dict(values)


def recipe(role: str, name: str = "compact") -> TrainConfig:
    """A shipped recipe.

    Parameters
    ----------
    role : str
        "structure" or "image".
    name : str
        "compact" or "official".

    Raises
    ------
    RequestError
        There is no such recipe.
    """
    path = _FOLDER / f"{name}-{role}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in _FOLDER.glob("*.toml")))
        raise RequestError(f"There is no recipe {name}-{role}; known are {known}.")
    return load_config(path)


def _network(values: dict[str, Any]) -> UNetConfig:
    _check_names(UNetConfig, set(values) - {"global_channels"})
    try:
        return UNetConfig.from_dict(values)
    except (KeyError, TypeError) as error:
        raise RequestError(f"The network of this training makes no sense: {error}.") from error


def _build(cls: type[_Config], values: dict[str, Any]) -> _Config:
    _check_names(cls, set(values))
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def _check_names(cls: type[Any], names: set[str]) -> None:
    known = {f.name for f in fields(cls)}
    if unknown := sorted(names - known):
        raise RequestError(
            f"Unknown training setting {', '.join(unknown)}; known are {', '.join(sorted(known))}."
        )
