"""From the network to the disk: base address, transfer with progress, and what can go wrong."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlparse
from urllib.request import url2pathname

from napari_nudiff.checkpoints.cache import cache_folder, read_json, write_json
from napari_nudiff.checkpoints.integrity import fingerprint, intact_path, local_path, place_of
from napari_nudiff.checkpoints.registry import Checkpoint, read_registries
from napari_nudiff.errors import DownloadError

_SETTINGS = "settings.json"
_RETRIES = 3
_CHUNK_BYTES = 1 << 14  # between two looks at whether the user cancelled
_TIMEOUT_S = 15.0  # of silence
_PASSING = (408, 425, 429)  # time-out, too early, too many requests: may go well the next time


class ProgressBar(Protocol):
    """What shows a download: a `tqdm` bar will do, and so will anything with these members."""

    total: Any

    def update(self, n: int, /) -> object:
        """Count bytes; an exception raised here ends the download."""

    def reset(self) -> object:
        """Start again at 0."""

    def close(self) -> object:
        """All is there."""


def base_url() -> str:
    """Address that checkpoints are fetched from; "" where there is none.

    It is ``NUDIFF_BASE_URL``, else what `set_base_url` stored, else the registry's own.

    Raises
    ------
    CheckpointError
        The stored settings or a registry cannot be read.
    """
    stored = read_json(_SETTINGS, dict).get("base_url")
    return str(os.environ.get("NUDIFF_BASE_URL") or stored or read_registries()[0])


def set_base_url(url: str) -> None:
    """Store the address that checkpoints are fetched from, as a preference of this user.

    Parameters
    ----------
    url : str
        An ``http://`` or ``https://`` address, or a folder; "" forgets the stored one.

    Raises
    ------
    DownloadError
        It is no such address; the stored one stays.
    CheckpointError
        The settings cannot be read or written.
    """
    write_json(_SETTINGS, {**read_json(_SETTINGS, dict), "base_url": url and _resolved(url)})


def fetch_checkpoint(checkpoint: Checkpoint, progress: ProgressBar | None = None) -> Path:
    """Make sure that a checkpoint is on this machine and intact; download it where it is not.

    Parameters
    ----------
    checkpoint : Checkpoint
    progress : ProgressBar, optional
        Shows the bytes. Raise in its ``update`` (`napari_nudiff.errors.CancelledError`) to
        cancel; a silent server is noticed after 15 s.

    Returns
    -------
    Path

    Raises
    ------
    DownloadError
        It could not be fetched; the cache is as it was.
    CheckpointError
        An embedded or own file is missing or damaged.
    """
    if checkpoint.embedded or checkpoint.own:
        return intact_path(checkpoint)
    if needs_fetching(checkpoint):
        _download(checkpoint, _address(checkpoint), progress)
    return place_of(checkpoint)


def needs_fetching(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint of a registry must be downloaded: it is not here, or damaged.

    Raises
    ------
    CheckpointError
        Its file cannot be read.
    """
    path = local_path(checkpoint)
    if checkpoint.embedded or checkpoint.own:
        return False
    return path is None or fingerprint(path) != checkpoint.sha256


def _address(checkpoint: Checkpoint) -> str:
    address = checkpoint.url or checkpoint.file
    if "://" not in address:
        base = base_url()
        if not base:
            raise DownloadError(
                f"{checkpoint.name} cannot be fetched: no public host of the checkpoints exists "
                "yet, and no base address is set. Nothing was changed. Set the address of a "
                "server or a folder that has it, in the preferences or as NUDIFF_BASE_URL (the "
                "repository has a folder checkpoints), or add the file itself with "
                "`nudiff models add FILE`."
            )
        address = f"{_resolved(base).rstrip('/')}/{address.lstrip('/')}"
    return _resolved(address)


def _resolved(address: str) -> str:
    """An address with its scheme; that of a folder on this machine is ``file://``."""
    if re.match(r"https?://[^/\s]+|file:///", address):
        return address
    folder = Path(address).expanduser()
    if not folder.is_dir():
        raise DownloadError(
            f"{address!r} is no address that checkpoints can be fetched from; one that starts with "
            "https:// or http://, or an existing folder, is needed. Nothing was changed."
        )
    return folder.absolute().as_uri()


def _download(checkpoint: Checkpoint, url: str, progress: ProgressBar | None) -> None:
    """Download into the cache with pooch: to a temporary file, moved when its hash is right."""
    import pooch

    fetcher = pooch.create(
        path=cache_folder(),
        base_url="",
        registry={checkpoint.file: f"sha256:{checkpoint.sha256}"},
        urls={checkpoint.file: url},
        retry_if_failed=_RETRIES,
    )
    try:
        with _quiet(pooch.get_logger()):
            fetcher.fetch(checkpoint.file, downloader=partial(_transfer, checkpoint, progress))
        if progress is not None:
            progress.close()
    except (OSError, ValueError) as error:  # those of requests are OSErrors
        raise _failure(checkpoint, url, error) from error


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Silence pooch, whose messages would tear the progress bar; errors are raised anyway."""
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _transfer(
    checkpoint: Checkpoint, progress: ProgressBar | None, url: str, target: str, fetcher: object
) -> None:
    """One attempt of pooch; what the server refuses for good is not tried again."""
    if progress is not None:
        progress.reset()
        progress.total = checkpoint.size_bytes
        progress.update(0)  # a chance to cancel while the server cannot be reached
    source = _of_folder(url) if url.startswith("file:") else _of_server(checkpoint, url)
    received = 0
    with open(target, "wb") as file:
        for chunk in source:
            received += len(chunk)
            if received > checkpoint.size_bytes:
                raise _failure(checkpoint, url, _TooLongError())
            file.write(chunk)
            if progress is not None:
                progress.update(len(chunk))


def _of_folder(url: str) -> Iterator[bytes]:
    with open(url2pathname(urlparse(url).path), "rb") as file:
        yield from iter(partial(file.read, _CHUNK_BYTES), b"")


def _of_server(checkpoint: Checkpoint, url: str) -> Iterator[bytes]:
    import requests
    import urllib3

    # Files are compressed already, and their size is known as they are.
    plain = {"Accept-Encoding": "identity"}
    with requests.get(url, headers=plain, stream=True, timeout=_TIMEOUT_S) as answer:
        if 400 <= answer.status_code < 500 and answer.status_code not in _PASSING:
            raise _failure(checkpoint, url, requests.HTTPError(response=answer))
        answer.raise_for_status()
        # What is there at once, so that a cancel acts on a slow server, too. What requests raises
        # in iter_content, urllib3 raises here.
        try:
            yield from iter(partial(answer.raw.read1, _CHUNK_BYTES), b"")
        except urllib3.exceptions.ReadTimeoutError as error:
            raise requests.ReadTimeout(error) from error
        except urllib3.exceptions.HTTPError as error:
            raise requests.exceptions.ChunkedEncodingError(error) from error


class _TooLongError(Exception):
    """A server sends more than a file has."""


def _failure(checkpoint: Checkpoint, url: str, error: Exception) -> DownloadError:
    what, then = _diagnosis(checkpoint, error)
    return DownloadError(
        f"Could not fetch {checkpoint.name} from {url}: {what}. The cache is as it was. {then}."
    )


def _diagnosis(checkpoint: Checkpoint, error: Exception) -> tuple[str, str]:
    """What happened to a download, and what to do; from special errors to general ones."""
    from requests import exceptions

    if isinstance(error, exceptions.HTTPError) and error.response is not None:
        answer = f"the server answered {error.response.status_code} {error.response.reason}"
        return answer, "Check the base address (NUDIFF_BASE_URL or the preferences)"
    if isinstance(error, exceptions.Timeout):
        return f"the server was silent for {_TIMEOUT_S:g} s", "Try again later"
    if isinstance(error, exceptions.ConnectionError):
        reason = f"the server cannot be reached ({str(error)[:300]})"
        return reason, "Check the network, the proxy and the base address"
    if isinstance(error, exceptions.RequestException):
        return f"the transfer broke off ({str(error)[:300]})", "Try again"
    if isinstance(error, _TooLongError):
        what = f"more arrived than the {checkpoint.size_bytes} bytes that are registered"
        return what, "It was deleted. Contact the owner of the server"
    if isinstance(error, FileNotFoundError):
        what = "there is no such file in that folder"
        return what, "Check the base address (NUDIFF_BASE_URL or the preferences)"
    if isinstance(error, ValueError):
        what = f"what arrived has not the registered sha256 {checkpoint.sha256[:12]}…"
        return what, "It was deleted. Try again; if that fails too, contact the owner of the server"
    what = f"it cannot be stored in {cache_folder()} ({error})"
    return what, "Make room there, or set NUDIFF_CACHE to a folder that can be written to"
