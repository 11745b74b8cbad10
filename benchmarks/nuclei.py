"""Time the encoder against a loop over nuclei, and the decoder against the published one.

Both sides of a comparison run in this process, in turn, and the ratio of each pair of runs is taken
before the median, so that a busy machine slows both.

    python benchmarks/nuclei.py [--labels FILE.tif] [--runs 9] [--json OUT.json]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import tifffile

from napari_nudiff.nuclei.instances import decode_instances, decode_official
from napari_nudiff.nuclei.layout import scatter_nuclei
from napari_nudiff.nuclei.metrics import aji
from napari_nudiff.nuclei.structure import OFFICIAL_MIN_VECTOR_AREA_PX, encode_structure

CROP_PX = 128


def encode_in_a_loop(labels: np.ndarray) -> np.ndarray:
    """Encode as one writes it first: one nucleus after the other, each in the whole image."""
    return _encode_each(labels, ((i, np.s_[:, :]) for i in np.unique(labels)[1:]))


def encode_in_boxes(labels: np.ndarray) -> np.ndarray:
    """Encode one nucleus after the other, each in its bounding box: a careful loop."""
    from scipy.ndimage import find_objects

    boxes = enumerate(find_objects(labels), start=1)
    return _encode_each(labels, ((i, box) for i, box in boxes if box is not None))


def _encode_each(labels, boxes) -> np.ndarray:
    structure = np.zeros((3, *labels.shape), dtype=np.float32)
    structure[0] = labels > 0
    for nucleus, box in boxes:
        mask = labels[box] == nucleus
        position = np.nonzero(mask)
        if len(position[0]) < OFFICIAL_MIN_VECTOR_AREA_PX or min(map(np.ptp, position)) < 1:
            continue
        for plane, p in zip(structure[:0:-1], position, strict=True):
            p = p - p.min()
            distance = (p + 1 - int(p.mean() + 0.5)).astype(np.float32)
            if (distance < 0).any():
                distance[distance < 0] /= -distance.min()
            if (distance > 0).any():
                distance[distance > 0] /= distance.max()
            plane[box][mask] = distance
    return structure


def time_pairs(new: Callable[[], Any], old: Callable[[], Any], runs: int) -> dict[str, float]:
    """Median times in ms and the median of the ratios of `runs` interleaved pairs of runs."""
    new(), old()  # warm up
    times = np.array([[_time(new), _time(old)] for _ in range(runs)])
    new_ms, old_ms = np.median(times, axis=0) * 1e3
    return {"ms": new_ms, "other_ms": old_ms, "ratio": float(np.median(times[:, 1] / times[:, 0]))}


def _time(function: Callable[[], Any]) -> float:
    start = perf_counter()
    function()
    return perf_counter() - start


def compare(labels: np.ndarray, runs: int) -> dict[str, dict[str, float]]:
    """Run every comparison on one layout."""
    structure = encode_structure(labels)
    for loop in (encode_in_a_loop, encode_in_boxes):
        np.testing.assert_allclose(loop(labels), structure, atol=1e-6)
    crop = np.ascontiguousarray(labels[:CROP_PX, :CROP_PX])
    results = {
        f"encode {name}": time_pairs(
            lambda part=part: encode_structure(part), lambda part=part, loop=loop: loop(part), runs
        )
        for name, part, loop in (
            ("vs loop", labels, encode_in_a_loop),
            ("vs loop in boxes", labels, encode_in_boxes),
            (f"{CROP_PX} px vs loop", crop, encode_in_a_loop),
            (f"{CROP_PX} px vs loop in boxes", crop, encode_in_boxes),
        )
    }
    results["decode vs official"] = time_pairs(
        lambda: decode_instances(structure), lambda: decode_official(structure), max(runs // 4, 1)
    ) | {
        "aji": aji(labels, decode_instances(structure)),
        "other_aji": aji(labels, decode_official(structure)),
    }
    return results


def print_table(results: dict[str, dict[str, float]]) -> None:
    """Print one line for each comparison."""
    print(f"{'':34}{'ms':>9}{'other ms':>11}{'ratio':>8}{'AJI':>8}{'other AJI':>11}")
    for name, row in results.items():
        scores = (f"{row[k]:.4f}" if k in row else "" for k in ("aji", "other_aji"))
        line = f"{name:34}{row['ms']:9.2f}{row['other_ms']:11.2f}{row['ratio']:8.1f}"
        print(line + "{:>8}{:>11}".format(*scores))


def main() -> None:
    """Read the arguments, compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path, help="layout to use (default: a scattered one)")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    arguments = parser.parse_args()
    if arguments.labels:
        labels = tifffile.imread(arguments.labels)
    else:
        labels = scatter_nuclei((1000, 1000), density=0.3, mean_area_px=450, min_gap_px=0, seed=0)
    print(f"{labels.shape[0]} x {labels.shape[1]} px, {len(np.unique(labels)) - 1} nuclei")
    results = compare(labels, arguments.runs)
    print_table(results)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
