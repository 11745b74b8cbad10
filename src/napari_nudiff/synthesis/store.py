"""What a large render keeps on disk while it works: bands of float images in plain files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from napari_nudiff.errors import DatasetError


class BandFile:
    """A float32 canvas in a file, read and written by rows.

    It is read explicitly and not mapped: pages of a map count as memory of the process.

    Parameters
    ----------
    path : Path
        File to make; it takes its full size on disk as it is written.
    size : (int, int)
        Height and width in pixels.
    channels : int
    """

    def __init__(self, path: Path, size: tuple[int, ...], channels: int) -> None:
        height, width = size
        self._row_shape = (width, channels)  # channels last, as the networks take them
        self._row_bytes = 4 * width * channels
        self._file = path.open("w+b")
        self._file.truncate(self._row_bytes * height)

    def read(self, top: int, rows: int) -> Tensor:
        """Rows of the canvas, (1, C, rows, W), channels last in memory."""
        values = np.empty((rows, *self._row_shape), dtype=np.float32)
        self._file.seek(top * self._row_bytes)
        self._file.readinto(values.data.cast("B"))
        return torch.from_numpy(values).permute(2, 0, 1)[None]

    def write(self, top: int, values: Tensor) -> None:
        """Replace rows of the canvas by ``values`` (1, C, rows, W)."""
        rows = values[0].permute(1, 2, 0).contiguous().cpu().numpy()
        self._file.seek(top * self._row_bytes)
        self._file.write(rows.data.cast("B"))

    def close(self) -> None:
        """Release the file."""
        self._file.close()


class SamplerState:
    """x and the last x0 of a canvas, on disk.

    Parameters
    ----------
    folder : Path
    size, channels
        As of a `BandFile`.
    """

    def __init__(self, folder: Path, size: tuple[int, ...], channels: int) -> None:
        self.x = BandFile(folder / "x.f32", size, channels)
        self.x0 = BandFile(folder / "x0.f32", size, channels)

    def __enter__(self) -> SamplerState:
        return self

    def __exit__(self, *_: object) -> None:
        self.x.close()
        self.x0.close()


@contextmanager
def staged_folder(out: Path, needed_bytes: int) -> Iterator[Path]:
    """A folder beside ``out`` for unfinished work; what has the name of ``out`` in it becomes that.

    It is called ``<out>.unfinished-...`` and goes away when the block ends, however it ends. Only
    a process that is killed leaves it behind; then it can be deleted by hand.

    Parameters
    ----------
    out : Path
        Folder that appears whole or not at all.
    needed_bytes : int
        What the work takes on disk, at most.

    Raises
    ------
    DatasetError
        ``out`` is there already, the disk has no room, or it cannot be written to.
    """
    require_new(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _require_space(out, needed_bytes)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f"{out.name}.unfinished-") as name:
            yield Path(name)
            (Path(name) / out.name).rename(out)
    except OSError as error:
        raise DatasetError(
            f"Cannot write {out}: {error}. Nothing was kept; what was there before is as it was."
        ) from error


def require_new(out: Path) -> None:
    """Refuse to write where something is."""
    if out.exists():
        raise DatasetError(
            f"{out} is there already; nothing was rendered and it is as it was. Choose another "
            "name, or delete it first."
        )


def _require_space(out: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(out.parent).free
    if free_bytes < needed_bytes:
        raise DatasetError(
            f"{out} needs up to {_gb(needed_bytes)} GB of disk space while it is rendered, and "
            f"{_gb(free_bytes)} GB are free there. Nothing was written. Make room, or choose a "
            "folder on another disk."
        )


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f}"
