"""Getting checkpoints that are not on this machine yet, with the bytes as they come."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from napari_nudiff.checkpoints import (
    Checkpoint,
    fetch_checkpoint,
    find_checkpoint,
    needs_fetching,
)
from napari_nudiff.errors import CancelledError
from napari_nudiff.session.catalogue import catalogue
from napari_nudiff.work import Progress, Work

_TICK_S = 0.1  # between two reports
_SPEED_OVER_S = 3.0
_GOODBYE_S = 1.0  # that who cancels waits for the partial file to be gone


def fetching(name: str) -> Work[None]:
    """Get a checkpoint that is not on this machine yet; nothing to do where it is.

    Two that want the same checkpoint share one download: it ends, within a chunk, when the last of
    them is closed.

    Parameters
    ----------
    name : str
        Of a checkpoint, or a path.

    Yields
    ------
    Progress
        Bytes of how many, ten times a second.

    Raises
    ------
    DownloadError
        It could not be fetched; the cache is as it was.
    CheckpointError
        There is no such checkpoint.
    """
    checkpoint = find_checkpoint(name)
    if not needs_fetching(checkpoint):
        return
    with _joined(checkpoint) as download:
        yield Progress("fetch", 0, checkpoint.size_bytes)
        while not download.wait(_TICK_S):
            yield Progress("fetch", download.done_bytes, checkpoint.size_bytes)
        if download.error is not None:
            raise download.error
        yield Progress("fetch", checkpoint.size_bytes, checkpoint.size_bytes)


class Speed:
    """How fast bytes come, over the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def bytes_per_s(self, done_bytes: int, now_s: float) -> float | None:
        """Speed after so many bytes; None as long as nothing can be said.

        Parameters
        ----------
        done_bytes : int
        now_s : float
            Time of any clock.
        """
        if self._seen and done_bytes < self._seen[-1][1]:
            self._seen.clear()  # another attempt, from the start
        self._seen.append((now_s, done_bytes))
        while now_s - self._seen[0][0] > _SPEED_OVER_S:
            self._seen.popleft()
        first_s, first_bytes = self._seen[0]
        elapsed_s = now_s - first_s
        return (done_bytes - first_bytes) / elapsed_s if elapsed_s > 0.5 else None


class _Download:
    """One transfer in a thread of its own; it is the progress bar that `fetch_checkpoint` fills.

    The thread is no daemon: a process that ends waits until the partial file is gone.
    """

    total = 0

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.done_bytes = 0
        self.followers = 0
        self.error: Exception | None = None
        self._unwanted = False
        self._thread = threading.Thread(target=self._run, name=f"fetch {checkpoint.name}")
        self._thread.start()

    @property
    def usable(self) -> bool:
        """Whether one more may follow it."""
        return self._thread.is_alive() and not self._unwanted

    def wait(self, timeout_s: float) -> bool:
        """Whether it ended within a time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def end(self) -> None:
        """Stop it with the next chunk; a silent server is noticed after some seconds."""
        self._unwanted = True
        self._thread.join(_GOODBYE_S)

    def update(self, n: int, /) -> None:
        if self._unwanted:
            raise CancelledError("Cancelled.")
        self.done_bytes += n

    def reset(self) -> None:
        self.done_bytes = 0

    def close(self) -> None: ...

    def _run(self) -> None:
        try:
            fetch_checkpoint(self.checkpoint, self)
        except Exception as error:  # whoever follows raises it
            self.error = error
        else:
            catalogue.mark(self.checkpoint.name, damaged=False)


_downloads: dict[str, _Download] = {}
_lock = threading.Lock()


@contextmanager
def _joined(checkpoint: Checkpoint) -> Iterator[_Download]:
    """The running download of a checkpoint, or a new one; the last who leaves ends it."""
    with _lock:
        download = _downloads.get(checkpoint.sha256)
        if download is None or not download.usable:
            download = _downloads[checkpoint.sha256] = _Download(checkpoint)
        download.followers += 1
    try:
        yield download
    finally:
        with _lock:
            download.followers -= 1
            is_last = download.followers == 0
            if is_last and _downloads.get(checkpoint.sha256) is download:
                del _downloads[checkpoint.sha256]
        if is_last:
            download.end()
