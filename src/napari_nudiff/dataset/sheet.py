"""Contact sheets: what is in a set, to be looked at before anything is trained on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage.segmentation import find_boundaries

from napari_nudiff.dataset.pair import Pair
from napari_nudiff.files import atomic_path

Colour = tuple[int, int, int]

SHEET_NAME = "contact-sheet-{:03d}.jpg"
COLUMNS, ROWS = 3, 2
CELL_PX = 512
"""Outlines of nuclei at 0.25 to 0.5 um per px can be judged at this size of a tile."""

COLOURS: tuple[Colour, ...] = (
    (0, 158, 255),
    (255, 221, 0),
    (0, 214, 110),
    (255, 94, 0),
    (214, 120, 255),
    (0, 240, 240),
    (255, 130, 170),
    (170, 255, 60),
    (150, 150, 255),
    (205, 160, 110),
)
"""Of the classes in their order, over and over."""

NO_CLASS: Colour = (255, 255, 255)
_PAPER: Colour = (24, 24, 24)
_LINE_PX = 18


def draw_tile(pair: Pair, class_names: Sequence[str], side_px: int = CELL_PX) -> NDArray[np.uint8]:
    """One tile with its nuclei in the colours of their classes, its longer side scaled to a size.

    Parameters
    ----------
    pair : Pair
        Without an image its nuclei are filled, else they are outlined.
    class_names : sequence of str
        Classes of the set; their order gives the colours.
    side_px : int

    Returns
    -------
    ndarray, (h, w, 3), uint8
    """
    height, width = pair.labels.shape
    scale = side_px / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    rows, cols = (
        (np.arange(n) * old) // n for n, old in zip(size[::-1], (height, width), strict=True)
    )
    labels = pair.labels[np.ix_(rows, cols)]
    colours = _colours(pair, class_names)
    if pair.image is None:
        drawn: NDArray[np.uint8] = colours[labels]
        drawn[find_boundaries(labels, mode="inner")] //= 2
        return drawn
    drawn = np.array(Image.fromarray(pair.image).resize(size, Image.Resampling.BICUBIC))
    outline = find_boundaries(labels, mode="inner")
    drawn[outline] = colours[labels[outline]]
    return drawn


class Sheets:
    """Contact sheets of a set, written as they fill: ``contact-sheet-001.jpg`` and so on.

    Parameters
    ----------
    folder : Path
    class_names : sequence of str
    """

    def __init__(self, folder: Path, class_names: Sequence[str]) -> None:
        self._folder = folder
        self._class_names = class_names
        self._drawn: list[tuple[str, NDArray[np.uint8]]] = []
        self._written = 0

    def add(self, name: str, pair: Pair) -> None:
        """Draw a tile."""
        self._drawn.append((name, draw_tile(pair, self._class_names)))
        if len(self._drawn) == COLUMNS * ROWS:
            self.close()

    def close(self) -> None:
        """Write the last sheet, if there is anything on it."""
        if self._drawn:
            self._written += 1
            sheet = Image.fromarray(draw_sheet(self._drawn, self._class_names))
            with atomic_path(self._folder / SHEET_NAME.format(self._written)) as path:
                sheet.save(path, quality=92)
            self._drawn = []


def draw_sheet(
    tiles: Sequence[tuple[str, NDArray[np.uint8]]], class_names: Sequence[str] = ()
) -> NDArray[np.uint8]:
    """Drawn tiles with their names on one sheet, with a legend of the classes.

    Parameters
    ----------
    tiles : sequence of (str, ndarray)
        Of `draw_tile`.
    class_names : sequence of str

    Returns
    -------
    ndarray, (H, W, 3), uint8
    """
    cell = max(max(image.shape[:2]) for _, image in tiles)
    columns = min(COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    size = (columns * (cell + 4), rows * (cell + _LINE_PX + 4) + _LINE_PX * bool(class_names))
    sheet = Image.new("RGB", size, _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(_LINE_PX - 5)
    for place, (name, image) in enumerate(tiles):
        left = (place % columns) * (cell + 4)
        top = (place // columns) * (cell + _LINE_PX + 4)
        pen.text((left + 2, top), name, NO_CLASS, font)
        sheet.paste(Image.fromarray(image), (left, top + _LINE_PX))
    left = 2
    for number, name in enumerate(class_names):
        pen.text((left, size[1] - _LINE_PX), name, COLOURS[number % len(COLOURS)], font)
        left += round(pen.textlength(name, font)) + 16
    return np.array(sheet)


def _colours(pair: Pair, class_names: Sequence[str]) -> NDArray[np.uint8]:
    """The colour of each id."""
    colours = np.full((int(pair.labels.max(initial=0)) + 1, 3), NO_CLASS, dtype=np.uint8)
    colours[0] = _PAPER
    places = {name: place for place, name in enumerate(class_names)}
    for nucleus, name in pair.classes.items():
        if name in places and nucleus < len(colours):
            colours[nucleus] = COLOURS[places[name] % len(COLOURS)]
    return colours
