"""Pairs that may be reviewed or go into a training set, wherever they are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from napari_nudiff.dataset.checks import Rules, check_image
from napari_nudiff.dataset.export.lineage import roots_of
from napari_nudiff.dataset.groups import group_of
from napari_nudiff.dataset.pair import Pair, PairRef
from napari_nudiff.dataset.pair_file import EXTENSION, read_about, read_pair
from napari_nudiff.dataset.problems import is_error
from napari_nudiff.dataset.readers import LabelledImage, find_images
from napari_nudiff.dataset.readers.json_file import mentions
from napari_nudiff.dataset.sample import labels_beside, read_provenance, read_sample
from napari_nudiff.dataset.writers.marked import read_mark
from napari_nudiff.errors import DatasetError
from napari_nudiff.files import parse_json

SESSION_FILE = "session.json"
_RESULTS = "results"


def find_candidates(source: Path) -> list[PairRef[Pair]]:
    """List the synthetic pairs of a source, in the order of their names.

    Parameters
    ----------
    source : Path
        A ``.nudiff`` file, a session folder, or a folder with ``.nudiff`` files or with what
        ``nudiff render`` and ``nudiff generate`` write.

    Raises
    ------
    DatasetError
        It does not exist, or holds none.
    """
    source = Path(source)
    if source.is_file() and source.suffix == EXTENSION:
        return [candidate_of_file(source)]
    if not source.is_dir():
        raise DatasetError(
            f"{source} is neither a folder nor a {EXTENSION} file. Give a session folder, or the "
            "folder that `nudiff generate` or `nudiff render` wrote to."
        )
    found = list(_of_session(source) if _is_session(source) else _of_folder(source))
    if not found:
        raise DatasetError(
            f"{source} holds no synthetic pairs: no {EXTENSION} files, and no X.png with "
            "X_labels.tif and X.json. Real images are given as real ones."
        )
    return found


def candidate_of_file(path: Path, *, starred: bool = False, applied: bool = False) -> PairRef[Pair]:
    """A pair in a ``.nudiff`` file."""
    return PairRef(
        path.stem,
        str(path),
        partial(_load_pair, path),
        synthetic=True,
        about=partial(_about, path),
        starred=starred,
        applied=applied,
    )


def candidate_of(pair: Pair, *, starred: bool = False, applied: bool = False) -> PairRef[Pair]:
    """A synthetic pair that is in memory."""
    return PairRef(
        pair.name,
        pair.name,
        lambda: pair,
        synthetic=True,
        about=lambda: pair.provenance,
        starred=starred,
        applied=applied,
    )


def find_real(source: Path, rules: Rules | None = None) -> list[PairRef[Pair]]:
    """List the labelled real images of a source, in any format that ``nudiff data`` reads.

    Those among them that say in themselves that they are synthetic, as exported ones do, are
    listed as that.

    Parameters
    ----------
    source : Path
    rules : Rules, optional
        How they are checked and mended.

    Raises
    ------
    DatasetError
        It does not exist, or holds none.
    """
    images, _ = find_images(source)
    return [_of_image(found, rules or Rules()) for found in images]


def _of_image(found: LabelledImage, rules: Rules) -> PairRef[Pair]:
    mark = _mark_of(found)
    is_synthetic = bool(mark.get("synthetic"))
    return PairRef(
        found.name,
        found.source,
        partial(_load_image, found, rules, mark),
        group="" if is_synthetic else group_of(found.name, found.group),
        held_out=found.held_out,
        synthetic=is_synthetic,
        about=lambda: mark,
    )


def _mark_of(found: LabelledImage) -> dict[str, Any]:
    try:
        return read_mark(found.path) if found.path is not None else {}
    except Exception:  # the decoders raise many types for damaged files, which loading will tell
        return {}


def _load_image(found: LabelledImage, rules: Rules, mark: dict[str, Any]) -> Pair:
    checked, problems = check_image(found, rules)
    if checked is None:
        complaints = "; ".join(f"{p.what}: {p.detail}" for p in problems if is_error(p))
        raise DatasetError(f"{found.source} cannot be used: {complaints}.")
    if checked.image is None:
        raise DatasetError(f"{found.source} is a layout without an image. Render it first.")
    known = {} if checked.um_per_px is None else {"um_per_px": checked.um_per_px}
    # What a mark tells beside its lineage is of the image as it was exported.
    told = mark if mark.get("synthetic") else {}
    lineage = {**_lineage(told), "roots": sorted(checked.roots | roots_of(mark))}
    provenance = {"synthetic": False, "source": found.source, **told, **known, "lineage": lineage}
    return replace(checked, provenance=provenance)


def _lineage(provenance: Mapping[str, Any]) -> Mapping[str, Any]:
    told = provenance.get("lineage")
    return told if isinstance(told, Mapping) else {}


def _is_session(folder: Path) -> bool:
    return (folder / SESSION_FILE).is_file()


def _of_session(folder: Path) -> Iterator[PairRef[Pair]]:
    about = _session(folder)
    order = {name: place for place, name in enumerate(about["order"])}
    files = sorted(
        (folder / _RESULTS).glob(f"*{EXTENSION}"),
        key=lambda path: (order.get(path.stem, len(order)), path.name),
    )
    for path in files:
        starred, applied = (path.stem in about[key] for key in ("starred", "applied"))
        yield candidate_of_file(path, starred=starred, applied=applied)


def _session(folder: Path) -> dict[str, list[str]]:
    """Ids of a session's results; results are worth more than this file, so it may be damaged."""
    try:
        told = parse_json((folder / SESSION_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        told = {}
    told = told if isinstance(told, Mapping) else {}
    keys = ("order", "starred", "applied")
    return {key: told[key] if isinstance(told.get(key), list) else [] for key in keys}


def _of_folder(folder: Path) -> Iterator[PairRef[Pair]]:
    """Of its folders too; a session among them counts as one, without its layouts."""
    for path in sorted(p for p in folder.iterdir() if not p.name.startswith(".")):
        if path.is_dir():
            yield from _of_session(path) if _is_session(path) else _of_folder(path)
        elif path.suffix == EXTENSION:
            yield candidate_of_file(path)
        elif path.suffix == ".json" and _is_sample(path):
            load, about = partial(read_sample, path), partial(read_provenance, path)
            yield PairRef(path.stem, str(path), load, synthetic=True, about=about)


def _is_sample(path: Path) -> bool:
    has_files = path.with_suffix(".png").is_file() and labels_beside(path) is not None
    return has_files and mentions(path, '"layout_sha256"')


def _about(path: Path) -> dict[str, Any]:
    provenance: dict[str, Any] = read_about(path)["provenance"]
    return provenance


def _load_pair(path: Path) -> Pair:
    pair = read_pair(path)
    if pair.image is None:
        raise DatasetError(f"{path} holds a layout without an image. Render it first.")
    return pair
