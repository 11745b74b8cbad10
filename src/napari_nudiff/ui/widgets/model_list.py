"""A list of checkpoints: those on this machine first."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QListWidget,
    QListWidgetItem,
    QSizePolicy,
    QWidget,
)

from napari_nudiff.session.catalogue import Entry
from napari_nudiff.ui.widgets.accent import HEMATOXYLIN_LIGHT, HINT_TINT
from napari_nudiff.ui.widgets.model_card import ModelCard
from napari_nudiff.ui.widgets.title import Title

_NAME = Qt.ItemDataRole.UserRole
_CARD_HEIGHT_PX, _TITLE_HEIGHT_PX = 54, 32
_USUAL_HEIGHT_PX = 2 * _TITLE_HEIGHT_PX + 6 * _CARD_HEIGHT_PX


class ModelList(QListWidget):
    """Cards of checkpoints below the titles of two groups; one card is chosen."""

    chosen_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._cards: dict[str, ModelCard] = {}
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setMinimumHeight(_TITLE_HEIGHT_PX + 2 * _CARD_HEIGHT_PX)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Expanding)
        self.setStyleSheet(
            "ModelList { background: transparent; border: 0px; padding: 0px; outline: 0px; }"
            "ModelList::item { border-left: 3px solid transparent; border-radius: 3px; }"
            f"ModelList::item:selected {{ background: {HINT_TINT}; "
            f"border-left: 3px solid {HEMATOXYLIN_LIGHT}; }}"
            "ModelList::item:hover:!selected { background: rgba(128, 128, 128, 30); }"
        )
        self.currentItemChanged.connect(lambda: self.chosen_changed.emit())

    def show_entries(self, entries: Sequence[Entry]) -> None:
        """List checkpoints anew; the chosen one stays chosen if it is still there."""
        chosen = self.chosen_name()
        with QSignalBlocker(self):
            self.clear()
            self._cards = {}
            self._add_group("On this machine", [e for e in entries if e.state != "not fetched"])
            self._add_group("To download", [e for e in entries if e.state == "not fetched"])
            self.choose(chosen if chosen in self._cards else next(iter(self._cards), ""))
        self.setMaximumHeight(max(self._content_height_px(), self.minimumHeight()))
        self.updateGeometry()
        self.chosen_changed.emit()

    def sizeHint(self) -> QSize:
        """High enough for all cards of a short list; a long one has more where there is room."""
        return QSize(super().sizeHint().width(), min(self._content_height_px(), _USUAL_HEIGHT_PX))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Make the cards as wide as the list; Qt would wait for the next change of it."""
        super().resizeEvent(event)
        self.doItemsLayout()

    def _content_height_px(self) -> int:
        rows = sum(self.sizeHintForRow(row) for row in range(self.count()))
        return int(rows) + 2 * int(self.frameWidth())

    def choose(self, name: str) -> None:
        """Choose a checkpoint by its name, where it is listed."""
        for row in range(self.count()):
            if self.item(row).data(_NAME) == name and name:
                self.setCurrentRow(row)

    def chosen_name(self) -> str:
        """Name of the chosen one; "" if there is none."""
        item = self.currentItem()
        return "" if item is None else str(item.data(_NAME) or "")

    def chosen(self) -> Entry | None:
        """The chosen one."""
        card = self._cards.get(self.chosen_name())
        return None if card is None else card.entry

    def card(self, name: str) -> ModelCard | None:
        """The card of a checkpoint."""
        return self._cards.get(name)

    def names(self) -> list[str]:
        """Names of the listed checkpoints, from the top down."""
        return list(self._cards)

    def _add_group(self, title: str, entries: Sequence[Entry]) -> None:
        if entries:
            self._add(Title(title), _TITLE_HEIGHT_PX).setFlags(Qt.ItemFlag.NoItemFlags)
        for entry in entries:
            card = self._cards[entry.checkpoint.name] = ModelCard(entry)
            item = self._add(card, _CARD_HEIGHT_PX)
            item.setData(_NAME, entry.checkpoint.name)
            words = f"{entry.checkpoint.name}, {entry.checkpoint.role} model, {entry.state}"
            item.setData(Qt.ItemDataRole.AccessibleTextRole, words)
            item.setToolTip(f"{entry.checkpoint.name}: {entry.checkpoint.licence}")

    def _add(self, widget: QWidget, height_px: int) -> QListWidgetItem:
        item = QListWidgetItem(self)
        item.setSizeHint(QSize(0, height_px))
        self.setItemWidget(item, widget)
        return item
