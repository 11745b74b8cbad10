"""How nuclei are put into a region."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_nudiff.ui.widgets.fields import Fields, choice, slider
from napari_nudiff.ui.widgets.seed_edit import SeedEdit

_SPACINGS = {"random": "anywhere", "regular": "evenly", "clustered": "in clusters"}


class ScatterForm(QWidget):
    """Density, size and shape of nuclei, and whether ellipses are scattered or a model draws them.

    Parameters
    ----------
    region : QComboBox
        Where.
    """

    scatter_requested = Signal()
    sample_requested = Signal()

    def __init__(self, region: QComboBox, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.region = region
        self.density, self.diameter = slider(5, 60, 1, 0), slider(3, 15, 0.1, 1)
        self.eccentricity, self.gap = slider(0, 0.9, 0.05, 2), slider(0, 12, 1, 0)
        self.spacing, self.seed = choice(_SPACINGS), SeedEdit()
        self.scatter, self.sample = QPushButton("Scatter"), QPushButton("Sample inside")
        self.eccentricity.setValue(0.6)
        self.gap.setValue(1)
        self._lay_out()
        self.scatter.clicked.connect(self.scatter_requested)
        self.sample.clicked.connect(self.sample_requested)

    def options(self) -> dict[str, Any]:
        """What `editing.scatter_in` takes, but for density and size: those are the session's."""
        return {
            "eccentricity": self.eccentricity.value(),
            "min_gap_px": self.gap.value(),
            "spacing": self.spacing.currentData(),
            "seed": self.seed.value(),
        }

    def _lay_out(self) -> None:
        self.scatter.setToolTip("Add smooth ellipses where there is room; other nuclei stay.")
        self.sample.setToolTip("Have the structure model draw the nuclei in the region anew.")
        self.seed.number.setToolTip("The same seed scatters the same nuclei.")
        self.seed.dice.setToolTip("Another seed: other nuclei.")
        fields = Fields()
        fields.add("Region", self.region, "Where. Draw a Shapes layer for a region of your own.")
        fields.add("Density, %", self.density, "How much of the region nuclei cover afterwards.")
        fields.add("Nuclei, µm", self.diameter, "Mean diameter of the nuclei.")
        fields.add("Elongation", self.eccentricity, "0 = round; 0.9 = twice as long as wide.")
        fields.add("Gap, px", self.gap, "At least this much is left between nuclei.")
        fields.add("Where", self.spacing, "How nuclei keep to each other.")
        fields.add("Seed", self.seed)
        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        buttons.addWidget(self.scatter, 1)
        buttons.addWidget(self.sample, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(fields)
        layout.addLayout(buttons)
