"""How many pairs and nuclei each split has."""

from __future__ import annotations

from collections import Counter

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_nudiff.dataset.export.plan import Plan
from napari_nudiff.ui.widgets.caption import Caption

_MOST_CLASSES = 4


class BalanceTable(QWidget):
    """Splits below each other; synthetic, real, nuclei and the classes beside each other."""

    def __init__(self) -> None:
        super().__init__()
        self._grid = QWidget()
        self.notes = Caption()
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(4)
        self._layout.addWidget(self._grid)
        self._layout.addWidget(self.notes)
        self.clear("Choose pairs and formats.")

    def show_plan(self, plan: Plan) -> None:
        """Show what a set would hold."""
        self._replace(_rows(plan))
        self.notes.setText(_notes(plan))

    def clear(self, why: str) -> None:
        """Show that there is nothing to show, and why."""
        self._replace([])
        self.notes.setText(why)

    def cells(self) -> list[list[str]]:
        """The texts, row by row, with the heads."""
        return [list(row) for row in self._rows]

    def _replace(self, rows: list[list[str]]) -> None:
        self._rows = rows
        grid = QWidget()
        cells = QGridLayout(grid)
        cells.setContentsMargins(0, 0, 0, 0)
        cells.setHorizontalSpacing(10)
        cells.setVerticalSpacing(2)
        for number, row in enumerate(rows):
            for column, text in enumerate(row):
                label = Caption(text) if number == 0 else QLabel(text)
                label.setWordWrap(False)
                side = Qt.AlignmentFlag.AlignLeft if column == 0 else Qt.AlignmentFlag.AlignRight
                label.setAlignment(side)
                cells.addWidget(label, number, column)
        cells.setColumnStretch(0, 1)
        self._layout.replaceWidget(self._grid, grid)
        self._grid.deleteLater()
        self._grid = grid
        grid.setVisible(bool(rows))


def _rows(plan: Plan) -> list[list[str]]:
    classes = plan.class_names if 1 < len(plan.class_names) <= _MOST_CLASSES else ()
    rows = [["", "synthetic", "real", "nuclei", *classes]]
    for split in plan.counts:
        inside = plan.in_split(split)
        synthetic = sum(row.synthetic for row in inside)
        counts: Counter[str] = sum((Counter(row.class_counts) for row in inside), Counter())
        numbers = [synthetic, len(inside) - synthetic, counts.total()]
        numbers += [counts[name] for name in classes]
        rows.append([split, *(f"{number:,}" for number in numbers)])
    return rows


def _notes(plan: Plan) -> str:
    lineages = len({row.lineage for row in plan.rows})
    lines = [f"{lineages:,} lineages (layouts or patients), none torn apart"]
    lines += [
        f"no {split}: too few lineages to part with one"
        for split in ("val", "test")
        if getattr(plan.options, split) and split not in plan.counts
    ]
    lines += [f"left out, {reason}: {count:,}" for reason, count in plan.left_out.items()]
    lines += plan.warnings
    sides = sorted({row.um_per_px for row in plan.rows if row.um_per_px is not None})
    if len(sides) > 1:
        lines.append(f"pixels of several sizes: {', '.join(f'{s:g}' for s in sides)} µm")
    return "\n".join(lines)
