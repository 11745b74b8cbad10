"""A list of small pictures in groups."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QRect, QRectF, QSize, Qt, Signal
from qtpy.QtGui import (
    QColor,
    QFont,
    QKeyEvent,
    QPainter,
    QPainterPath,
    QPen,
    QResizeEvent,
)
from qtpy.QtWidgets import (
    QAbstractItemView,
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from napari_nudiff.ui.widgets.accent import EOSIN, HEMATOXYLIN_LIGHT
from napari_nudiff.ui.widgets.thumbnail import thumbnail

SIDE_PX = 84  # at least: pictures share the width of the list
_PICTURE_PX = 112  # what they are made for, in pixels of the screen
_CAPTION_PX, _HEADING_PX, _GAP_PX = 16, 20, 4
_KEY, _MARKS, _HEADING = (Qt.ItemDataRole.UserRole + i for i in range(3))


class Marks(NamedTuple):
    """What is drawn on a thumbnail."""

    starred: bool = False
    applied: bool = False


class ThumbnailList(QListWidget):
    """Pictures in groups, each group under a heading; the newest first.

    Keys: Enter applies, S stars, Delete discards, Space shows or hides.
    """

    shown = Signal(object)  # key, or None
    applied = Signal(str)
    starred = Signal(str)
    discarded = Signal(list)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setViewMode(QListWidget.ViewMode.IconMode)
        self.setResizeMode(QListWidget.ResizeMode.Adjust)
        self.setMovement(QListWidget.Movement.Static)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSpacing(0)
        self.setItemDelegate(_Delegate(self))
        self.setStyleSheet("QListWidget { background: transparent; border: 0px; }")
        self._items: dict[str, QListWidgetItem] = {}
        self._headings: dict[str, QListWidgetItem] = {}
        self._visible_key: str | None = None
        self.itemClicked.connect(lambda item: self._on_clicked(item))
        self.itemDoubleClicked.connect(lambda item: self.applied.emit(item.data(_KEY)))

    def add(
        self, key: str, group: str, heading: str, text: str, image: NDArray[np.uint8] | None = None
    ) -> None:
        """Add a picture (H, W, 3) at the front of its group, and put the group first.

        Without an image there is a place for it, see `set_image`.
        """
        if group not in self._headings:
            self._headings[group] = self._heading_item()
            self.insertItem(0, self._headings[group])
        else:
            self._put_first(group)
        self._headings[group].setData(_HEADING, heading)
        item = QListWidgetItem(text)
        item.setData(_KEY, key)
        self._items[key] = item
        self.insertItem(1, item)
        self.mark(key, Marks())
        if image is not None:
            self.set_image(key, image)

    def set_image(self, key: str, image: NDArray[np.uint8]) -> None:
        """Fill the place of a picture (H, W, 3)."""
        picture = thumbnail(image, round(_PICTURE_PX * self.devicePixelRatioF()))
        self._items[key].setData(Qt.ItemDataRole.DecorationRole, picture)

    def set_heading(self, group: str, heading: str) -> None:
        """Change the text above a group; "" takes it away."""
        item = self._headings[group]
        item.setData(_HEADING, heading)
        if not heading:
            self.takeItem(self.row(item))
            del self._headings[group]

    def mark(self, key: str, marks: Marks) -> None:
        """Change what is drawn on a picture."""
        item = self._items[key]
        item.setData(_MARKS, marks)
        said = [name for name, on in marks._asdict().items() if on]
        item.setData(Qt.ItemDataRole.AccessibleTextRole, ", ".join([item.text(), *said]))

    def remove(self, key: str) -> None:
        """Take a picture away."""
        self.takeItem(self.row(self._items.pop(key)))
        if self._visible_key == key:
            self._visible_key = None

    @property
    def shown_key(self) -> str | None:
        """The picture whose image is shown somewhere large; None = none is."""
        return self._visible_key

    def keys(self) -> list[str]:
        """All pictures, as they are seen."""
        items = (self.item(row) for row in range(self.count()))
        return [item.data(_KEY) for item in items if item.data(_KEY)]

    def selected_keys(self) -> list[str]:
        """The pictures that are selected, as they are seen."""
        selected = {item.data(_KEY) for item in self.selectedItems()}
        return [key for key in self.keys() if key in selected]

    def select(self, key: str | None) -> None:
        """Select one picture as that which is shown, without a signal; None = none is shown."""
        self._visible_key = key
        if key is not None:
            self.clearSelection()
            item = self._items[key]
            self.setCurrentItem(item)
            self.scrollToItem(item)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """What the keys of the list do."""
        keys, key = self.selected_keys(), event.key()
        if key in {Qt.Key.Key_Return, Qt.Key.Key_Enter} and keys and not event.modifiers():
            self.applied.emit(keys[0])
        elif key == Qt.Key.Key_S and not event.modifiers():
            for chosen in keys:
                self.starred.emit(chosen)
        elif key in {Qt.Key.Key_Delete, Qt.Key.Key_Backspace} and keys:
            self.discarded.emit(keys)
        elif key == Qt.Key.Key_Space and keys:
            self._show(None if self._visible_key == keys[0] else keys[0])
        else:
            super().keyPressEvent(event)
            if key in {Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Down}:
                self._on_clicked(self.currentItem())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Let the pictures share the new width."""
        super().resizeEvent(event)
        self.scheduleDelayedItemsLayout()

    def row_width_px(self) -> int:
        """Width of a row of pictures: Qt breaks rows one pixel before the place of a scroll bar."""
        bar = self.style().pixelMetric(QStyle.PixelMetric.PM_ScrollBarExtent, None, self)
        return max(self.maximumViewportSize().width() - bar - 1, SIDE_PX + _GAP_PX)

    def _heading_item(self) -> QListWidgetItem:
        item = QListWidgetItem()
        item.setFlags(Qt.ItemFlag.NoItemFlags)
        return item

    def _put_first(self, group: str) -> None:
        """Move a heading and the pictures under it to the top."""
        row, selected = self.row(self._headings[group]), self.selectedItems()
        if row == 0:
            return
        last = row
        while last + 1 < self.count() and self.item(last + 1).data(_KEY):
            last += 1
        for place in range(last - row + 1):
            self.insertItem(place, self.takeItem(row + place))
        for item in selected:
            item.setSelected(True)

    def _on_clicked(self, item: QListWidgetItem | None) -> None:
        if item is not None and item.data(_KEY) and len(self.selected_keys()) == 1:
            self._show(item.data(_KEY))

    def _show(self, key: str | None) -> None:
        self._visible_key = key
        self.shown.emit(key)


class _Delegate(QStyledItemDelegate):
    """Draws pictures, their captions and marks, and headings."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Any) -> QSize:
        """A heading is a row; the pictures of a row are as large as there is room for them."""
        width = self.parent().row_width_px()
        if index.data(_HEADING) is not None:
            return QSize(width, _HEADING_PX)
        cell = width // (width // (SIDE_PX + _GAP_PX))
        return QSize(cell, cell + _CAPTION_PX)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Any) -> None:
        """Draw one of them."""
        painter.save()
        painter.setRenderHints(
            QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform
        )
        heading = index.data(_HEADING)
        if heading is None:
            self._paint_picture(painter, option, index)
        else:
            self._paint_text(painter, option.rect, heading, option, dim=True)
        painter.restore()

    def _paint_picture(self, painter: QPainter, option: QStyleOptionViewItem, index: Any) -> None:
        corner = option.rect.topLeft()
        side = option.rect.width() - _GAP_PX
        frame = QRectF(corner.x() + 2, corner.y() + 2, side, side)
        path = QPainterPath()
        path.addRoundedRect(frame, 4, 4)
        painter.setClipPath(path)
        picture = index.data(Qt.ItemDataRole.DecorationRole)
        if picture is None:
            painter.fillRect(frame, QColor(128, 128, 128, 40))
        else:
            painter.drawPixmap(frame, picture, QRectF(picture.rect()))
        painter.setClipping(False)
        if option.state & QStyle.StateFlag.State_Selected:
            painter.setPen(QPen(QColor(HEMATOXYLIN_LIGHT), 3))
            painter.drawRoundedRect(frame.adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
        self._paint_marks(painter, frame, index.data(_MARKS))
        below = QRect(corner.x() + 2, int(frame.bottom()) + 1, side, _CAPTION_PX)
        self._paint_text(painter, below, index.data(Qt.ItemDataRole.DisplayRole), option, dim=False)

    @staticmethod
    def _paint_marks(painter: QPainter, frame: QRectF, marks: Marks) -> None:
        for shown, sign, left in (
            (marks.starred, "★", frame.right() - 20),
            (marks.applied, "✓", frame.left() + 3),
        ):
            if shown:
                badge = QRectF(left, frame.top() + 3, 17, 17)
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(QColor(255, 255, 255, 220))
                painter.drawEllipse(badge)
                painter.setPen(QColor(EOSIN))
                painter.drawText(badge, Qt.AlignmentFlag.AlignCenter, sign)

    @staticmethod
    def _paint_text(
        painter: QPainter, rect: QRect, text: str, option: QStyleOptionViewItem, *, dim: bool
    ) -> None:
        font = QFont(option.font)
        font.setPointSizeF(8)
        painter.setFont(font)
        colour = QColor(option.palette.text().color())
        colour.setAlphaF(0.6 if dim else 0.85)
        painter.setPen(colour)
        align = Qt.AlignmentFlag.AlignLeft if dim else Qt.AlignmentFlag.AlignHCenter
        fitting = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, rect.width())
        painter.drawText(rect, align | Qt.AlignmentFlag.AlignVCenter, fitting)
