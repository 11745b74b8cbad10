"""A row of buttons: tools, of which one at most is down, and deeds."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QMenu, QWidget

from napari_nudiff.ui.widgets.glyph_button import GlyphButton


class ToolItem(NamedTuple):
    """A button: what it is called, how it looks, what it says of itself."""

    key: str
    glyph: str
    name: str
    tooltip: str


class ToolBar(QWidget):
    """Tools to the left, deeds to the right, and a menu of what is used less often.

    Parameters
    ----------
    tools, deeds : sequence of ToolItem
    """

    tool_requested = Signal(str)  # "" = none
    deed_requested = Signal(str)

    def __init__(
        self, tools: Iterable[ToolItem], deeds: Iterable[ToolItem], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.tools = {item.key: _button(item, checkable=True) for item in tools}
        self.deeds = {item.key: _button(item) for item in deeds}
        self.more = GlyphButton("dots", "More", "Clean up the selected nuclei, or all.")
        self.menu = QMenu(self)
        self.more.setMenu(self.menu)
        self._lay_out()
        for key, button in self.tools.items():
            button.clicked.connect(partial(self._on_tool_clicked, key))
        for key, button in self.deeds.items():
            button.clicked.connect(partial(self._on_deed_clicked, key))

    def show_tool(self, active: str) -> None:
        """Show which tool is active; "" = none."""
        for key, button in self.tools.items():
            button.setChecked(key == active)

    def _lay_out(self) -> None:
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for button in self.tools.values():
            layout.addWidget(button)
        layout.addStretch(1)
        for button in self.deeds.values():
            layout.addWidget(button)
        layout.addWidget(self.more)

    def _on_tool_clicked(self, key: str, checked: bool) -> None:
        self.tool_requested.emit(key if checked else "")

    def _on_deed_clicked(self, key: str, _: bool) -> None:
        self.deed_requested.emit(key)


def _button(item: ToolItem, *, checkable: bool = False) -> GlyphButton:
    return GlyphButton(item.glyph, item.name, item.tooltip, checkable=checkable)
