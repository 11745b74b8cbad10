"""Whether a set is what its manifest says: every file, every pair, every format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_nudiff.dataset.export.manifest import read_manifest, read_set_index
from napari_nudiff.dataset.export.plan import Row
from napari_nudiff.dataset.export.split import torn_families
from napari_nudiff.dataset.export.writing import CHECKSUMS, PROVENANCE, files_of_set, sha256_of
from napari_nudiff.dataset.pair import Layout, pixels_sha256
from napari_nudiff.dataset.problems import Problem
from napari_nudiff.dataset.readers.labelled import LabelledImage
from napari_nudiff.dataset.writers import FORMATS
from napari_nudiff.dataset.writers.member import Format
from napari_nudiff.dataset.writers.pannuke import windows_in
from napari_nudiff.errors import DatasetError, NudiffError
from napari_nudiff.files import parse_json
from napari_nudiff.work import Progress, Work


def verify_set(folder: Path) -> Work[list[Problem]]:
    """Read everything again and compare it.

    Parameters
    ----------
    folder : Path

    Yields
    ------
    Progress

    Returns
    -------
    list of Problem
        Empty where all is in order.

    Raises
    ------
    DatasetError
        The folder is no exported set.
    """
    folder = Path(folder)
    index = require_set(folder)
    rows = read_manifest(folder)
    problems = yield from _check_files(folder)
    problems += _check_rows(rows, index)
    for name in index["formats"]:
        problems += yield from _check_format(folder / name, FORMATS[name], rows)
    return problems


def require_set(folder: Path) -> dict[str, Any]:
    """The index of a set.

    Raises
    ------
    DatasetError
        The folder is no exported set.
    """
    index = read_set_index(folder)
    if index is None:
        raise DatasetError(
            f"{folder} is no exported set: there is no dataset.json of one in it. Give the folder "
            "that nudiff export wrote."
        )
    return index


def provenance_in(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and provenance of every pair of a set."""
    for path in sorted((Path(folder) / PROVENANCE).glob("*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                entry = parse_json(line)
                yield entry["name"], entry["provenance"]


def images_in(folder: Path) -> dict[str, LabelledImage]:
    """Every pair of a set by its name, from the first of its formats that keeps whole images.

    Raises
    ------
    DatasetError
        It has none.
    """
    for name in require_set(folder)["formats"]:
        if not FORMATS[name].cuts:
            return {entry.name: entry for entry in FORMATS[name].read(Path(folder) / name)}
    raise DatasetError(f"{folder} holds patches only; whole images are needed for this.")


def _check_files(folder: Path) -> Work[list[Problem]]:
    try:
        lines = (folder / CHECKSUMS).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        return [Problem("error", CHECKSUMS, "missing file", str(error))]
    told = {path: sha256 for sha256, _, path in (line.partition("  ") for line in lines)}
    there = set(files_of_set(folder))
    problems = [Problem("error", path, "missing file", "") for path in sorted(told.keys() - there)]
    problems += [
        Problem("warning", path, "unknown file", "it is not of this set")
        for path in sorted(there - told.keys())
    ]
    for number, path in enumerate(sorted(told.keys() & there)):
        yield Progress("files", number, len(told))
        if sha256_of(folder / path) != told[path]:
            problems.append(Problem("error", path, "changed file", "its checksum differs"))
    return problems


def _check_rows(rows: tuple[Row, ...], index: dict[str, Any]) -> list[Problem]:
    problems = []
    counts = dict(Counter(row.split for row in rows))
    if counts != index["splits"]:
        detail = f"manifest.csv has {counts}, dataset.json {index['splits']}"
        problems.append(Problem("error", "manifest.csv", "counts differ", detail))
    torn = torn_families([r.lineage for r in rows], [r.split for r in rows])
    problems += [
        Problem("error", f"lineage {family}", "torn lineage", "it lies in several splits")
        for family in torn
    ]
    return problems


def _check_format(folder: Path, form: Format, rows: tuple[Row, ...]) -> Work[list[Problem]]:
    wanted = {name: row for row in rows for name in _names(row, form)}
    try:
        found = {entry.name: entry for entry in form.read(folder)}
    except (NudiffError, OSError, ValueError, KeyError) as error:
        return [Problem("error", form.name, "cannot be read", str(error))]
    missing, extra = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    problems = [Problem("error", name, "missing pair", f"in {form.name}") for name in missing]
    problems += [Problem("error", name, "unknown pair", f"in {form.name}") for name in extra]
    for number, name in enumerate(sorted(wanted.keys() & found.keys())):
        yield Progress(form.name, number, len(wanted))
        problems += _check_pair(found[name], wanted[name], form)
    return problems


def _names(row: Row, form: Format) -> list[str]:
    count = len(windows_in((row.height_px, row.width_px))) if form.cuts else 1
    return [row.name] if count == 1 else [f"{row.name}_{i:03d}" for i in range(count)]


def _check_pair(entry: LabelledImage, row: Row, form: Format) -> list[Problem]:
    where = f"{form.name}/{row.split}"
    try:
        loaded = entry.load()
    except (NudiffError, OSError, ValueError, KeyError) as error:
        return [Problem("error", entry.name, "cannot be read", f"in {where}: {error}")]
    assert loaded.image is not None  # only layouts have none, and they are not exported
    complaints = []
    if entry.group != row.split:
        complaints.append(f"it lies in {entry.group}")
    if form.cuts:
        pass  # parts of an image have no fingerprint of their own; their file has
    elif pixels_sha256(loaded.image) != row.image_sha256:
        complaints.append("its pixels are not those of the manifest")
    elif form.exact and Layout(loaded.labels).nuclei_sha256() != row.nuclei_sha256:
        complaints.append("its nuclei are not those of the manifest")
    elif (
        not form.exact and (count := len(np.unique(loaded.labels[loaded.labels > 0]))) != row.nuclei
    ):
        complaints.append(f"{count} nuclei were read, {row.nuclei} are in the manifest")
    return [Problem("error", entry.name, "pair differs", f"in {where}: {c}") for c in complaints]
