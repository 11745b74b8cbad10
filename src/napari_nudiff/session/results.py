"""What was rendered: kept in memory up to a limit, the rest and all that is dear on disk."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_nudiff.dataset.pair_file import read_about, read_pair
from napari_nudiff.errors import NudiffError
from napari_nudiff.session.disk import Disk
from napari_nudiff.session.jobs import InlineExecutor, JobError, JobQueue
from napari_nudiff.session.session_folder import SessionFolder, StoredSession

if TYPE_CHECKING:
    from napari_nudiff.dataset.pair import Pair


@dataclass(frozen=True)
class Result:
    """A rendered image, without its pixels.

    Attributes
    ----------
    id : str
    name : str
        Of its layout.
    spatial : dict
        Where it lies, see `Pair`.
    provenance : dict
        See `Pair`.
    created_utc : str
    starred, applied : bool
    group : str
        Equal for results that differ by no more than their seed, stain and appearance.
    """

    id: str
    name: str
    spatial: dict[str, Any]
    provenance: dict[str, Any]
    created_utc: str
    starred: bool = False
    applied: bool = False
    group: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "group", _group_of(self.provenance))

    @property
    def seed(self) -> int:
        """Its seed."""
        return int(self.provenance.get("request", {}).get("seed", 0))

    @property
    def is_dear(self) -> bool:
        """Whether it must survive a crash."""
        return self.starred or self.applied


class Results:
    """The results of a session, in the order in which they were made.

    Parameters
    ----------
    folder : SessionFolder
        Where to put what is dear at once, and what memory has no room for.
    limit_bytes : int
        Memory for pixels; the result that was used last stays in any case.
    queue : JobQueue, optional
        Where files are written; by default at once, while the caller waits.

    Attributes
    ----------
    autosave : bool
        Whether what is dear is put on disk.
    """

    added = Signal(object)  # Result
    changed = Signal(object)  # Result: its marks, which are on disk by now
    removed = Signal(str)  # id
    failed = Signal(str)  # why results cannot be kept on disk

    def __init__(
        self,
        folder: SessionFolder,
        limit_bytes: int = 500 * 2**20,
        queue: JobQueue | None = None,
    ) -> None:
        self.limit_bytes = limit_bytes
        self.autosave = True
        self._folder = folder
        self._disk = Disk(queue or JobQueue(InlineExecutor()))
        self._results: dict[str, Result] = {}
        self._samples: OrderedDict[str, Pair] = OrderedDict()  # the last used at the end
        self._files: dict[str, Path] = {}
        self._writing: set[str] = set()
        self._disk_failed = self._closed = False

    def __len__(self) -> int:
        return len(self._results)

    def all(self) -> list[Result]:
        """The oldest first."""
        return list(self._results.values())

    def find(self, result_id: str) -> Result:
        """One of them."""
        return self._results[result_id]

    @property
    def nbytes(self) -> int:
        """Memory that their pixels take."""
        return sum(_size_of(sample) for sample in self._samples.values())

    def in_memory(self, result_id: str) -> bool:
        """Whether its pixels need not be read from disk."""
        return result_id in self._samples

    def add(self, sample: Pair, name: str, spatial: dict[str, Any]) -> Result:
        """Take in what was rendered."""
        created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        result = Result(uuid.uuid4().hex, name, spatial, sample.provenance, created)
        self._results[result.id] = result
        self._samples[result.id] = sample
        self._make_room()
        self.added.emit(result)
        return result

    def sample(self, result_id: str) -> Pair:
        """The pixels of a result.

        Raises
        ------
        DatasetError
            They were on disk, and the file is damaged or gone.
        """
        if result_id not in self._samples:
            self._samples[result_id] = self.glimpse(result_id)
            self._make_room()
        self._samples.move_to_end(result_id)
        return self._samples[result_id]

    def glimpse(self, result_id: str) -> Pair:
        """The pixels of a result that are not needed again soon: memory stays as it is.

        Raises
        ------
        DatasetError
            As of `sample`.
        """
        if result_id in self._samples:
            return self._samples[result_id]
        return read_pair(self._files[result_id])

    def pair(self, result_id: str) -> Pair:
        """A result as it is stored.

        Raises
        ------
        DatasetError
            As of `sample`.
        """
        result = self._results[result_id]
        notes = {"created_utc": result.created_utc}
        return replace(
            self.glimpse(result_id), name=result.name, spatial=result.spatial, notes=notes
        )

    def star(self, result_id: str, starred: bool = True) -> None:
        """Mark a result as dear, or no longer."""
        self._mark(result_id, starred=starred)

    def mark_applied(self, result_id: str) -> None:
        """Remember that a result became layers."""
        self._mark(result_id, applied=True)

    def discard(self, *result_ids: str) -> None:
        """Forget results, on disk too."""
        for result_id in result_ids:
            del self._results[result_id]
            self._samples.pop(result_id, None)
            self._files.pop(result_id, None)
            self.removed.emit(result_id)
        self._do(partial(self._folder.forget, result_ids, self.about()))

    def restore(self, stored: StoredSession, *, adopt: bool = False) -> None:
        """Take in the results of a stored session; their pixels are read when they are needed.

        Parameters
        ----------
        stored : StoredSession
        adopt : bool
            Copy them into our folder: theirs will be deleted.

        Raises
        ------
        DatasetError
            They are here, but cannot be copied: theirs must stay.
        """
        fresh = {key: path for key, path in stored.results.items() if key not in self._results}
        restored = [_restored(key, read_about(path), stored.about) for key, path in fresh.items()]
        self._results |= {result.id: result for result in restored}
        self._files |= fresh
        for result in restored:
            self.added.emit(result)
        if adopt:
            self.flush()
            for result_id, path in fresh.items():
                self._files[result_id] = self._folder.write_result(result_id, path)
            self._folder.write_about(self.about())

    def stored(self) -> dict[str, Pair | Path]:
        """All results, in memory or in files, for `session_folder.save_session`."""
        return {result_id: self._source(result_id) for result_id in self._results}

    def about(self) -> dict[str, Any]:
        """Order and marks, as a session folder keeps them."""
        return {
            "order": list(self._results),
            "starred": [result.id for result in self.all() if result.starred],
            "applied": [result.id for result in self.all() if result.applied],
        }

    def flush(self) -> None:
        """Return when all that is to be written is written."""
        self._disk.finish()

    def close(self) -> None:
        """Let go of the folder, and tell nothing any more.

        It stays if something is starred: what was only applied was the user's to save, as a layer.
        """
        if self._closed:
            return
        self._closed = True
        self.flush()
        rest = tuple(result.id for result in self.all() if not (result.starred and self.autosave))
        if len(rest) == len(self):
            self._folder.delete()
        else:
            with suppress(NudiffError):  # it would only be found again, with the others
                self._folder.forget(rest, self.about())
            self._folder.close()

    def _source(self, result_id: str) -> Pair | Path:
        """Its file; what is in memory where there is none, or where it is gone."""
        path = self._files.get(result_id)
        if path is None or (result_id in self._samples and not path.is_file()):
            return self.pair(result_id)
        return path

    def _mark(self, result_id: str, **marks: Any) -> None:
        self._results[result_id] = replace(self._results[result_id], **marks)
        if self.autosave:
            self._save_dear()
            self._do(partial(self._folder.write_about, self.about()), self._confirm, result_id)
        else:
            self._confirm(result_id)

    def _confirm(self, result_id: str) -> None:
        if result_id in self._results and not self._closed:
            self.changed.emit(self._results[result_id])

    def _save_dear(self) -> None:
        """Put on disk what is dear and not there, or could not be written the last time."""
        for result in self.all():
            if result.is_dear and not self._is_ours(result.id):
                self._put(result.id)

    def _is_ours(self, result_id: str) -> bool:
        """Whether its file is in our folder: a restored one may be in another."""
        return self._files.get(result_id) == self._folder.file_of(result_id)

    def _make_room(self) -> None:
        """Drop the pixels used longest ago until the others fit; those with no file get one."""
        excess = self.nbytes - self.limit_bytes
        for result_id in list(self._samples)[:-1]:
            if excess <= 0:
                return
            excess -= _size_of(self._samples[result_id])
            if result_id in self._files:
                del self._samples[result_id]
            else:
                self._put(result_id)

    def _put(self, result_id: str) -> None:
        """Put a result into our folder, once."""
        if result_id not in self._writing:
            self._writing.add(result_id)
            write = partial(self._folder.write_result, result_id, self._source(result_id))
            self._do(write, self._on_put, result_id)

    def _on_put(self, result_id: str) -> None:
        self._writing.discard(result_id)
        if result_id in self._results and self._folder.file_of(result_id).is_file():
            self._files[result_id] = self._folder.file_of(result_id)
            self._disk_failed = False
            if self.nbytes > self.limit_bytes and result_id in list(self._samples)[:-1]:
                del self._samples[result_id]

    def _do(self, action: Any, then: Any = None, *args: Any) -> None:
        """Do something on disk in the background, then something here, whether it failed or not."""

        def on_done(error: JobError | None) -> None:
            self._on_disk(error)
            if then is not None:
                then(*args)

        if not self._closed:
            self._disk.do(action, on_done)

    def _on_disk(self, error: JobError | None) -> None:
        """If it failed the user is told once, and memory keeps everything."""
        if error is not None and not (self._disk_failed or self._closed):
            self._disk_failed = True
            self.failed.emit(
                f"{error} Your results stay in memory as long as napari runs: free some space, or "
                "save those that you want to keep (right click, Save as)."
            )


def _restored(result_id: str, known: dict[str, Any], about: dict[str, Any]) -> Result:
    return Result(
        result_id,
        known["name"],
        known["spatial"],
        known["provenance"],
        str(known["notes"].get("created_utc", "")),
        starred=result_id in about.get("starred", []),
        applied=result_id in about.get("applied", []),
    )


def _size_of(sample: Pair) -> int:
    return int(sample.labels.nbytes + (0 if sample.image is None else sample.image.nbytes))


def _group_of(provenance: dict[str, Any]) -> str:
    request = {
        key: value
        for key, value in provenance.get("request", {}).items()
        if key not in {"seed", "style", "appearance"}
    }
    kind, layout = provenance.get("kind"), provenance.get("layout_sha256")
    known = json.dumps([kind, layout, request], sort_keys=True)
    return hashlib.sha256(known.encode()).hexdigest()[:16]
