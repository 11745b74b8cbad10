"""Where the files of models lie, and how to bring more."""

from __future__ import annotations

from qtpy.QtCore import QUrl, Signal
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_nudiff.checkpoints import cache_folder, free_bytes, used_bytes
from napari_nudiff.errors import CheckpointError
from napari_nudiff.text import size_text
from napari_nudiff.ui.widgets.caption import Caption


class CachePanel(QWidget):
    """Add a file, open the folder of the cache, and see how full the disk is."""

    add_requested = Signal()
    failed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.add, self.open = QPushButton("Add file…"), QPushButton("Open folder")
        self.usage = Caption()
        self._lay_out()
        self.add.clicked.connect(self.add_requested)
        self.open.clicked.connect(self._on_open)
        self.refresh()

    def refresh(self) -> None:
        """Look again how much room is taken."""
        self.usage.setText(_usage())
        self.usage.setToolTip(str(cache_folder()))

    def _on_open(self) -> None:
        folder = cache_folder()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self.failed.emit(f"Cannot make the folder {folder}: {error}. Set NUDIFF_CACHE.")
            return
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))

    def _lay_out(self) -> None:
        self.add.setToolTip(
            "Add a .safetensors file of napari-nudiff, or a .pt file of the official Nudiff code. "
            "It is copied; yours stays where it is."
        )
        self.open.setToolTip("Show the folder of fetched and added files.")
        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        buttons.addWidget(self.add, 1)
        buttons.addWidget(self.open, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(buttons)
        layout.addWidget(self.usage)


def _usage() -> str:
    taken = used_bytes()
    used = f"The cache takes {size_text(taken)}" if taken else "The cache is empty"
    try:
        return f"{used}; {size_text(free_bytes())} are free on its disk."
    except CheckpointError:
        return f"{used}."
