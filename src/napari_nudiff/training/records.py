"""What a run leaves to look at: its log as CSV, TensorBoard and a plot; and reading it back."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_nudiff.errors import DatasetError
from napari_nudiff.files import atomic_path, parse_json
from napari_nudiff.training.config import TrainConfig

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONFIG = "config.json"
LOG = "log.csv"
PLOT = "loss.png"
GRIDS = "grids"


@dataclass(frozen=True)
class Record:
    """One line of a run's log.

    Attributes
    ----------
    step : int
        Steps done.
    loss : float
        Mean loss since the line before, over all processes.
    held_out_loss : float or None
        Loss of the averaged network on fixed held-out crops, where it was computed.
    learning_rate : float
    crops_per_s : float
        Training crops per second, over all processes.
    seconds : float
        Time spent training so far, over all resumptions.
    """

    step: int
    loss: float
    held_out_loss: float | None
    learning_rate: float
    crops_per_s: float
    seconds: float


class RunLog:
    """Writes a run's records, as CSV and where TensorBoard is installed for it too.

    Parameters
    ----------
    folder : Path
    config : TrainConfig
    step : int
        Where the run begins or goes on: later records, of work that was lost, are dropped.
    """

    def __init__(self, folder: Path, config: TrainConfig, step: int) -> None:
        self.folder = folder
        kept = [record for record in read_log(folder) if record.step <= step]
        with atomic_path(folder / CONFIG) as staged:
            staged.write_text(json.dumps(config.to_dict(), indent=1), encoding="utf-8")
        with atomic_path(folder / LOG) as staged:
            staged.write_text(_header() + "".join(map(_line, kept)), encoding="utf-8")
        self._board = _tensorboard(folder, step)

    def add(self, record: Record) -> None:
        """Append a record."""
        with (self.folder / LOG).open("a", encoding="utf-8", newline="") as file:
            file.write(_line(record))
        if self._board is not None:
            for name, value in asdict(record).items():
                if name != "step" and value is not None:
                    self._board.add_scalar(name, value, record.step)

    def add_picture(self, step: int, picture: NDArray[np.uint8]) -> None:
        """Show a sample grid in TensorBoard."""
        if self._board is not None:
            self._board.add_image("samples", picture, step, dataformats="HWC")

    def close(self) -> None:
        """Write what is still in memory."""
        if self._board is not None:
            self._board.close()


def read_log(folder: Path) -> list[Record]:
    """The records of a run; none where it has not begun.

    Raises
    ------
    DatasetError
        The log is damaged.
    """
    path = Path(folder) / LOG
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    # A run that was killed may have written half a line.
    complete = [line for line in lines if line.endswith("\n")]
    try:
        return [_record(row) for row in csv.DictReader(complete)]
    except (KeyError, ValueError, TypeError) as error:
        raise DatasetError(
            f"{path} is no log of a training run ({type(error).__name__}: {error}). Nothing was "
            "changed; move it away to begin a new one."
        ) from error


def read_config(folder: Path) -> TrainConfig:
    """The configuration that a run was started with.

    Raises
    ------
    DatasetError
        The folder holds no run.
    """
    path = Path(folder) / CONFIG
    try:
        return TrainConfig.from_dict(parse_json(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{folder} holds no training run: {path} cannot be read ({error}). Give the folder "
            "that was --out of nudiff train."
        ) from error


def plot_losses(records: Sequence[Record], path: Path) -> None:
    """Draw training and held-out loss against the step.

    Raises
    ------
    DatasetError
        The picture cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([r.step for r in records], [r.loss for r in records], lw=1, label="training")
    held_out = [(r.step, r.held_out_loss) for r in records if r.held_out_loss is not None]
    if held_out:
        axes.plot(*zip(*held_out, strict=True), "o-", ms=4, label="held out, averaged weights")
    axes.set(xlabel="step", ylabel="loss", yscale="log")
    axes.grid(alpha=0.3, which="both")
    axes.legend(frameon=False)
    with atomic_path(path) as staged:
        FigureCanvasAgg(figure).print_png(staged)


def _tensorboard(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:  # it is in the extra "train", but a run does without
        return None
    return SummaryWriter(folder / "tensorboard", purge_step=step + 1)


def _header() -> str:
    return _row([f.name for f in fields(Record)])


def _line(record: Record) -> str:
    values = asdict(record).values()
    return _row(["" if v is None else f"{v:.7g}" for v in values])


def _row(values: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def _record(row: dict[str, str]) -> Record:
    values = {name: float(value) if value else None for name, value in row.items()}
    return Record(**{**values, "step": int(row["step"])})  # type: ignore[arg-type]
