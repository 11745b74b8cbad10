"""Many pairs from one plan: shared among processes, gone on with after an interruption.

Of item i the files ``<i>.png``, ``<i>_labels.tif`` and ``<i>.json`` are written, the JSON last: an
item with its JSON is complete. Nothing else needs to be remembered.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from napari_nudiff.checkpoints import find_checkpoint
from napari_nudiff.dataset.images import read_layout, write_text
from napari_nudiff.dataset.pair import Layout, Pair, turned
from napari_nudiff.dataset.sample import write_sample
from napari_nudiff.errors import DatasetError, LayoutError, RequestError
from napari_nudiff.files import parse_json
from napari_nudiff.nuclei.layout import relabel_contiguous, scatter_nuclei, split_disconnected
from napari_nudiff.nuclei.perturbation import perturb
from napari_nudiff.synthesis.device import available_bytes, resolve_device, using_threads
from napari_nudiff.synthesis.generation_plan import (
    GenerationPlan,
    Item,
    item_of,
    layout_request,
    with_count,
)
from napari_nudiff.synthesis.pipeline import render, sample_layout
from napari_nudiff.work import Progress, Work, part_of

PLAN = "plan.json"
SCHEMA = 2  # in the first, networks were computed operation by operation
_LEFTOVER_S = 600  # temporary folders this old were left by a process that was killed
_BYTES_A_PROCESS = 1_000_000_000  # on a CPU, at 256 px
_DENSITY, _MEAN_AREA_PX = 0.2, 350.0  # scattered, where none is asked for
_WAITING = 4  # finished pairs that wait for the disk
GO_ON = "Complete pairs are kept; run the same command again to go on."
Labels = NDArray[np.integer]


def generate(plan: GenerationPlan, out: Path, *, rank: int = 0, ranks: int = 1) -> Work[None]:
    """Make the items of a plan that are missing in a folder.

    Parameters
    ----------
    plan : GenerationPlan
    out : Path
    rank, ranks : int
        Of the processes that share the work, which this one is, of how many: it makes the items
        whose number leaves this remainder.

    Yields
    ------
    Progress
        Pairs of this process that are complete, of how many; after each step of one, too.

    Raises
    ------
    DatasetError
        The folder holds something else, the items of another plan, or cannot be written to. What
        is complete stays.
    LayoutError, RequestError, CheckpointError
        As of `sample_layout`, `render` and `require_known`.
    """
    out = Path(out)
    require_known(plan)
    plan = with_fingerprints(plan)
    plan = begin(plan, out)
    _delete_leftovers(out)
    own = range(rank, plan.count, ranks)
    missing = [number for number in own if not path_of(out, number).is_file()]
    done = len(own) - len(missing)
    with _alone(out, rank, ranks), using_threads(1), _Writer(out) as writer:
        for number in missing:
            if path_of(out, number).is_file():  # by processes that share the work in another way
                done += 1
                continue
            now = Progress("pair", done, len(own))
            writer.write(number, (yield from part_of(now, make(plan, number))))
            for _ in writer.written(_WAITING):
                done += 1
                yield Progress("pair", done, len(own))
        for _ in writer.written():
            done += 1
            yield Progress("pair", done, len(own))


def make(plan: GenerationPlan, number: int) -> Work[Pair]:
    """Make one item of a plan.

    Parameters
    ----------
    plan : GenerationPlan
        With fingerprints, where layouts are given.
    number : int

    Returns
    -------
    Pair
        Its provenance makes it again without the plan, and tells the lineage of its layout.
    """
    item = item_of(plan, number)
    labels, lineage = yield from _first_layout(plan, item)
    if plan.perturb:
        labels = perturb(labels, plan.perturb, item.perturb_seed)
        lineage["perturbed"] = {"share": plan.perturb, "seed": item.perturb_seed}
    sample = yield from render(labels, item.render)
    lineage |= {"layouts": plan.layouts, "plan_sha256": plan.sha256, "item": number}
    more = {"lineage": lineage, "threads": torch.get_num_threads()}
    return replace(sample, provenance=sample.provenance | more)


def best_processes(plan: GenerationPlan) -> int:
    """How many processes a machine has room for: one a core, or a GPU."""
    device = resolve_device(plan.device)
    if device.type == "cuda":
        return torch.cuda.device_count() if plan.device in {"auto", "cuda"} else 1
    if device.type != "cpu":
        return 1
    available = available_bytes(device)
    room = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if available is not None:
        room = min(room, available // _BYTES_A_PROCESS)
    return max(1, min(room, plan.count))


def begin(plan: GenerationPlan, out: Path) -> GenerationPlan:
    """Write the plan into a folder, or check that it is the one that is there.

    Returns
    -------
    GenerationPlan
        The plan, to be computed as the pairs that are there were.

    Raises
    ------
    DatasetError
        Something else is there, or it cannot be written to.
    """
    stored = read_plan(out)
    if stored is None:
        if _holds_files(out):
            raise DatasetError(
                f"{out} holds other files. Nothing was written. Give an empty folder or a new one."
            )
        stored = plan
    elif stored.sha256 != plan.sha256:
        changed = [k for k in plan.to_dict() if plan.deciding().get(k) != stored.deciding().get(k)]
        raise DatasetError(
            f"{out} holds pairs of another plan ({', '.join(changed)} differ). Nothing was "
            "written. Give another folder, or the plan that is there: "
            f"nudiff generate --plan {out / PLAN}"
        )
    count = max(plan.count, stored.count)
    if not (out / PLAN).is_file() or count != stored.count:
        content = {"kind": "nudiff generation plan", "schema": SCHEMA}
        plan = replace(plan, literal=stored.literal)
        write_text(out / PLAN, json.dumps(content | with_count(plan, count).to_dict(), indent=1))
    return replace(plan, literal=stored.literal)


def _holds_files(out: Path) -> bool:
    try:
        return any(not path.name.startswith(".") for path in out.iterdir())
    except FileNotFoundError:
        return False
    except OSError as error:
        raise DatasetError(
            f"Cannot use {out} as a folder: {error}. Nothing was written. Give another --out."
        ) from error


def read_plan(out: Path) -> GenerationPlan | None:
    """The plan of a folder; None where there is none.

    Raises
    ------
    DatasetError
        It is damaged.
    """
    path = Path(out) / PLAN
    if not path.is_file():
        return None
    return plan_in(path)


def plan_in(path: Path) -> GenerationPlan:
    """The plan in a JSON file that a run wrote.

    Raises
    ------
    DatasetError
        It is damaged, or of a newer version.
    """
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
        kind, schema = content.pop("kind"), content.pop("schema")
        if kind != "nudiff generation plan" or schema not in (1, SCHEMA):
            raise ValueError("it is of another version")
        if schema == 1:
            content["literal"] = True
        return GenerationPlan.from_dict(content)
    except (OSError, ValueError, KeyError, AttributeError, RequestError) as error:
        raise DatasetError(f"Cannot read the plan {path}: {error}") from error


def path_of(out: Path, number: int) -> Path:
    """The file that is there when an item is complete."""
    return Path(out) / f"{stem_of(number)}.json"


def stem_of(number: int) -> str:
    """Name of the files of an item."""
    return f"{number:06d}"


def require_known(plan: GenerationPlan) -> None:
    """Check that the models of a plan can be given what it asks for.

    Raises
    ------
    RequestError
        One cannot.
    CheckpointError
        There is no such model.
    """
    image = find_checkpoint(plan.image_checkpoint)
    varies = plan.appearance_spread or plan.appearances
    if varies and "appearance" not in image.conditions:
        raise RequestError(
            f"{image.name} takes no appearance. Nothing was written. Choose a model that does "
            "(nudiff models list), or leave the appearance out."
        )
    drawn = [find_checkpoint(plan.structure_checkpoint)] if plan.layouts == "sampled" else []
    for checkpoint in [image, *drawn]:
        if plan.um_per_px is not None and not checkpoint.makes(plan.um_per_px):
            raise RequestError(
                f"{checkpoint.name} makes {checkpoint.um_per_px:g} um per px only; the plan is of "
                f"{plan.um_per_px:g}. Nothing was written. Choose a model that knows several "
                f"resolutions (nudiff models list), or take --um-per-px {checkpoint.um_per_px:g}."
            )


def with_fingerprints(plan: GenerationPlan) -> GenerationPlan:
    """The plan with the fingerprints of the layouts that are given, which are all read once.

    Raises
    ------
    DatasetError, LayoutError
        A layout cannot be read, is too small, or is another than when the plan was made.
    """
    if plan.layouts != "given":
        return plan
    found = tuple(Layout(_given(plan, number)).sha256() for number in range(len(plan.given)))
    if plan.given_sha256 not in {(), found}:
        raise DatasetError(
            "The given layouts are not those that the plan was made with: their fingerprints "
            "differ. Nothing was written. Give the same files, or a new folder."
        )
    return replace(plan, given_sha256=found)


# Layouts


def _first_layout(plan: GenerationPlan, item: Item) -> Work[tuple[Labels, dict[str, Any]]]:
    """A layout before it is perturbed, and where it comes from."""
    if plan.layouts == "sampled":
        sample = yield from sample_layout(layout_request(plan, item))
        origin = {name: sample.provenance[name] for name in ("request", "checkpoint")}
        return sample.labels, {"root": Layout(sample.labels).sha256(), "origin": origin}
    if plan.layouts == "scattered":
        return _scattered(plan, item)
    return _cut(plan, item)


def _scattered(plan: GenerationPlan, item: Item) -> tuple[Labels, dict[str, Any]]:
    density = _DENSITY if item.density is None else item.density
    area_px = item.mean_area_px or _MEAN_AREA_PX
    size = (plan.height_px, plan.width_px)
    labels = scatter_nuclei(size, density=density, mean_area_px=area_px, seed=item.layout_seed)
    origin = {"density": density, "mean_area_px": area_px, "seed": item.layout_seed}
    return labels, {"root": Layout(labels).sha256(), "origin": origin}


def _cut(plan: GenerationPlan, item: Item) -> tuple[Labels, dict[str, Any]]:
    """A part of a given layout, turned; its lineage is that of the whole."""
    given = _given(plan, item.given)
    whole = turned(given, item.turns, item.mirrored)
    top, left = (
        round(share * (side - wanted))
        for share, side, wanted in zip(
            item.corner, whole.shape, (plan.height_px, plan.width_px), strict=True
        )
    )
    part = whole[top : top + plan.height_px, left : left + plan.width_px]
    origin = {
        "file": Path(plan.given[item.given]).name,
        "turns": item.turns,
        "mirrored": item.mirrored,
        "top_px": top,
        "left_px": left,
    }
    labels = relabel_contiguous(split_disconnected(part))
    # Another file of the same nuclei, such as a binary mask, gives them other ids.
    roots = [Layout(given).foreground_sha256()]
    return labels, {"root": plan.given_sha256[item.given], "roots": roots, "origin": origin}


def _given(plan: GenerationPlan, number: int) -> Labels:
    """A given layout, mended as `checks.check_image` does: so its fingerprint is the same."""
    path = Path(plan.given[number])
    labels = relabel_contiguous(split_disconnected(relabel_contiguous(read_layout(path))))
    fits = min(labels.shape) >= max(plan.height_px, plan.width_px) or (
        not plan.turn and labels.shape[0] >= plan.height_px and labels.shape[1] >= plan.width_px
    )
    if not fits:
        raise LayoutError(
            f"{path} is {labels.shape[0]} x {labels.shape[1]} px; parts of {plan.height_px} x "
            f"{plan.width_px} px shall be taken of it. Leave it out, or ask for a smaller --size."
        )
    return labels


# Writing


class _Writer:
    """Writes pairs in a thread of its own, so that the device need not wait for the disk."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="write pairs")
        self._waiting: deque[tuple[int, Future[Any]]] = deque()

    def write(self, number: int, sample: Pair) -> None:
        """Write a pair soon."""
        writing = self._pool.submit(write_sample, self._out, stem_of(number), sample)
        self._waiting.append((number, writing))

    def written(self, most_waiting: int = 0) -> Iterator[int]:
        """Numbers of pairs that are on the disk by now; waits while more than so many are not.

        Raises
        ------
        DatasetError
            One could not be written.
        """
        while self._waiting and (len(self._waiting) > most_waiting or self._waiting[0][1].done()):
            number, writing = self._waiting.popleft()
            try:
                writing.result()
            except DatasetError as error:
                raise DatasetError(f"{error} {GO_ON}") from error
            yield number

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        """Let the disk finish, also where the work was interrupted."""
        self._pool.shutdown()


@contextmanager
def _alone(out: Path, rank: int, ranks: int) -> Iterator[None]:
    """Two processes with the same share would do everything twice."""
    lock = FileLock(out / f".share-{rank}-of-{ranks}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise DatasetError(
            f"Another process is making share {rank + 1} of {ranks} of {out}. Wait for it, or "
            "share the work with --shard."
        ) from error
    except OSError as error:
        raise DatasetError(f"Cannot write {out}: {error}. Nothing was changed.") from error
    try:
        yield
    finally:
        lock.release()


def _delete_leftovers(out: Path) -> None:
    """Temporary folders of processes that were killed."""
    for path in out.glob(".new-*"):
        try:
            is_old = time.time() - path.stat().st_mtime > _LEFTOVER_S
        except OSError:
            continue  # another process has just deleted it
        if is_old:
            shutil.rmtree(path, ignore_errors=True)
