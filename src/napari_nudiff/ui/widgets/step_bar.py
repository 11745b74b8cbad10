"""Progress through the steps of a job."""

from __future__ import annotations

from qtpy.QtWidgets import QProgressBar, QWidget

from napari_nudiff.ui.widgets.accent import EOSIN, HEMATOXYLIN_LIGHT


class StepBar(QProgressBar):
    """A thin bar in the stain's colours; it keeps its place while it is hidden."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTextVisible(False)
        self.setFixedHeight(5)
        policy = self.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.setSizePolicy(policy)
        self.setStyleSheet(
            "QProgressBar { border: 0px; padding: 0px; border-radius: 2px; "
            "background-color: rgba(128, 128, 128, 60); }"
            "QProgressBar::chunk { border-radius: 2px; background-color: qlineargradient("
            f"x1: 0, y1: 0, x2: 1, y2: 0, stop: 0 {HEMATOXYLIN_LIGHT}, stop: 1 {EOSIN}); }}"
        )
        self.hide()

    def show_step(self, step: int, steps: int) -> None:
        """Show steps done, of how many; 0 = unknown, shown as busy."""
        self.setRange(0, steps)
        self.setValue(step)
        self.show()
