"""From a survey of what labs have to a prepared set: cut and write."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nudiff import __version__
from napari_nudiff.dataset.checks import Rules, check_image
from napari_nudiff.dataset.groups import HELD_OUT, TRAIN
from napari_nudiff.dataset.labelling import Foreground
from napari_nudiff.dataset.pair import Pair
from napari_nudiff.dataset.prepared import Entry, Index, Item, check_target, write_set
from napari_nudiff.dataset.problems import problem_csv
from napari_nudiff.dataset.subset import (
    Describe,
    cut,
    describe_patch,
    nuclei_shown,
    read_features,
    select_patches,
    standardised,
)
from napari_nudiff.dataset.survey import PrepareConfig, Record, Survey, Watch, stop_on_errors
from napari_nudiff.errors import DatasetError

Window = tuple[int, int, int, int]
"""Top, left, height, width (pixels)."""

Read = Callable[[Record], Pair]


def prepare(
    out: Path,
    surveyed: Survey,
    config: PrepareConfig,
    *,
    overwrite: bool = False,
    describe: Describe = describe_patch,
    foreground: Foreground | None = None,
    sheets: bool = False,
    watch: Watch = iter,
) -> Index:
    """Write what was surveyed as a prepared set.

    Parameters
    ----------
    out : Path
    surveyed : Survey
    config : PrepareConfig
        That of the survey.
    overwrite : bool
        Replace a prepared set.
    describe : callable
        Features of a patch, for a subset.
    foreground : callable, optional
        That of the survey.
    sheets : bool
        Whether contact sheets are drawn.
    watch : callable, optional
        Shows progress.

    Returns
    -------
    Index

    Raises
    ------
    DatasetError
        There are errors, nothing is left, or ``out`` cannot be written.
    """
    if not config.skip_bad:
        stop_on_errors(surveyed.problems)
    if not surveyed.records:
        raise DatasetError("No image is left to write. See the problems listed.")
    check_target(out, config.sources, overwrite)
    records = surveyed.records
    about = _about(config)
    about["images"] = records[0].has_image
    about["classes"] = sorted(frozenset().union(*(record.class_names for record in records)))
    read = partial(_ready, rules=config.rules, foreground=foreground)
    entries: Iterator[Entry]
    if config.subset_percent is None:
        entries = (_whole(record, read(record)) for record in watch(records))
    else:
        chosen, about["subset"] = _choose_patches(records, config, read, describe, watch)
        entries = _patches(records, chosen, read, watch)
    return write_set(out, entries, about, problem_csv(surveyed.problems), sheets=sheets)


def _ready(record: Record, rules: Rules, foreground: Foreground | None) -> Pair:
    pair, problems = check_image(record.found, rules, foreground)
    if pair is None:
        raise DatasetError(
            f"{record.found.name} changed while it was prepared: {problems[-1].detail}"
        )
    return pair


def _whole(record: Record, pair: Pair) -> Entry:
    height, width = pair.labels.shape
    item = Item(
        name=record.found.name,
        group=record.group,
        split=record.split,
        height_px=height,
        width_px=width,
        nuclei=int(pair.labels.max(initial=0)),
        um_per_px=pair.um_per_px,
        source=record.found.source,
        image_sha256=pair.pixels_sha256(),
        roots=tuple(sorted(pair.roots)),
    )
    return item, pair


def _choose_patches(
    records: Sequence[Record],
    config: PrepareConfig,
    read: Read,
    describe: Describe,
    watch: Watch,
) -> tuple[dict[str, list[Window]], dict[str, Any]]:
    """Windows to keep of each training image, and what they are of all."""
    assert config.subset_percent is not None
    if not records[0].has_image:
        raise DatasetError("A subset is chosen by images, and these are layouts alone.")
    training = [record for record in records if record.split == TRAIN]
    patches, described, nuclei = _describe(training, config, read, describe, watch)
    if config.features:
        features = read_features(config.features, len(patches))
    else:
        features = standardised(np.array(described))
    share = config.subset_percent / 100
    kept = select_patches(
        patches, features, nuclei, share=share, selection=config.selection, seed=config.seed
    )
    chosen: dict[str, list[Window]] = defaultdict(list)
    for image, top, left, height, width in patches[kept].tolist():
        chosen[training[image].found.name].append((top, left, height, width))
    shown, total = (int(nuclei_shown(nuclei, o)[-1]) for o in (kept, np.arange(len(patches))))
    facts = {"patches": len(kept), "of_patches": len(patches), "nuclei": shown, "of_nuclei": total}
    return chosen, facts


def _describe(
    training: Sequence[Record],
    config: PrepareConfig,
    read: Read,
    describe: Describe,
    watch: Watch,
) -> tuple[NDArray[np.int64], list[NDArray[np.floating]], list[NDArray[np.int64]]]:
    """All patches, their features, and the nuclei in each."""
    patches, features, nuclei = [], [], []
    count = 0
    for number, record in enumerate(watch(training)):
        pair = read(record)
        height, width = pair.labels.shape
        for window in cut((height, width), config.patch_px, config.stride_px):
            part = _cut(pair, window)
            patches.append((number, *window))
            if not config.features:
                features.append(describe(part.pixels, part.labels))
            ids = np.unique(part.labels)
            nuclei.append(ids[ids > 0].astype(np.int64) + count)
        count += record.nuclei
    if not patches:
        raise DatasetError("No image is left to train on, so there is nothing to take a subset of.")
    return np.array(patches, dtype=np.int64), features, nuclei


def _patches(
    records: Sequence[Record], chosen: dict[str, list[Window]], read: Read, watch: Watch
) -> Iterator[Entry]:
    """Held-out images whole, of training images the chosen windows."""
    for record in watch([r for r in records if r.split == HELD_OUT or r.found.name in chosen]):
        pair = read(record)
        if record.split == HELD_OUT:
            yield _whole(record, pair)
        else:
            yield from (_patch(record, pair, window) for window in chosen[record.found.name])


def _patch(record: Record, pair: Pair, window: Window) -> Entry:
    item, part = _whole(record, _cut(pair, window).relabelled())
    top, left = window[:2]
    name = f"{record.found.name}_y{top:05d}_x{left:05d}"
    return replace(item, name=name, cut_from=record.found.name, top_px=top, left_px=left), part


def _cut(pair: Pair, window: Window) -> Pair:
    top, left, height, width = window
    return pair.window(np.s_[top : top + height, left : left + width])


def _about(config: PrepareConfig) -> dict[str, Any]:
    """Facts about a set; of paths only the last part."""
    arguments = asdict(config)
    del arguments["licence"], arguments["citation"]
    arguments["sources"] = [Path(source).resolve().name for source in config.sources]
    arguments["rules"]["class_names"] = dict(config.rules.class_names)
    for name in ("features", "segmenter"):
        if path := getattr(config, name):
            arguments[name] = Path(path).name
            with _readable(path, name).open("rb") as file:
                arguments[f"{name}_sha256"] = sha256(file.read()).hexdigest()
    return {
        "licence": config.licence,
        "citation": config.citation,
        "made_by": f"napari-nudiff {__version__}, nudiff data prepare",
        "arguments": arguments,
    }


def _readable(path: Path, what: str) -> Path:
    if not Path(path).is_file():
        raise DatasetError(f"The file of {what} {path} does not exist. Check the path.")
    return Path(path)
