"""Nuclei by hand: tools for the mouse, edits of what is selected, regions, the canvas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app_model.types import KeyCode, KeyMod
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QShortcut, QSpinBox, QVBoxLayout, QWidget

from napari_nudiff.errors import NudiffError
from napari_nudiff.session import Session
from napari_nudiff.session.settings import draw_seed
from napari_nudiff.ui.bind import bind
from napari_nudiff.ui.canvas import Canvas
from napari_nudiff.ui.diameter import area_px, diameter_um
from napari_nudiff.ui.frame import scale_of
from napari_nudiff.ui.regions import RegionCombo
from napari_nudiff.ui.tools.camera import look_at
from napari_nudiff.ui.tools.editor import LayoutEditor
from napari_nudiff.ui.tools.ellipse_tool import EllipseTool
from napari_nudiff.ui.tools.guide import Guide
from napari_nudiff.ui.tools.operations import Operations
from napari_nudiff.ui.tools.select_tool import SelectTool, selection_outline
from napari_nudiff.ui.tools.split_tool import SplitTool
from napari_nudiff.ui.tools.stamp_tool import BANKS, StampTool
from napari_nudiff.ui.tools.tool import Tool
from napari_nudiff.ui.tools.toolbox import Toolbox
from napari_nudiff.ui.widgets.caption import Caption
from napari_nudiff.ui.widgets.extend_form import ExtendForm
from napari_nudiff.ui.widgets.fields import Fields, choice
from napari_nudiff.ui.widgets.glyph_button import GlyphButton
from napari_nudiff.ui.widgets.scatter_form import ScatterForm
from napari_nudiff.ui.widgets.section import Section
from napari_nudiff.ui.widgets.step_edit import StepEdit
from napari_nudiff.ui.widgets.tool_bar import ToolBar, ToolItem

_TOOLS = (
    ToolItem("select", "arrow", "Select and move", "Click, Shift+click, drag. Esc leaves it."),
    ToolItem("ellipse", "ellipse", "New nucleus", "Drag from corner to corner. Esc leaves it."),
    ToolItem("stamp", "stamp", "Stamp", "A click adds a sampled nucleus. Esc leaves it."),
    ToolItem("split", "cut", "Split along a line", "Drag across a nucleus. Esc leaves it."),
)
_DEEDS = (
    ToolItem("copy", "copy", "Duplicate", "Copy the selected nuclei (Ctrl+D)."),
    ToolItem("merge", "merge", "Merge", "Make one of the selected nuclei that touch."),
    ToolItem("necks", "necks", "Split at necks", "Split the selected nuclei where narrow."),
    ToolItem("delete", "bin", "Delete", "Remove the selected nuclei (Del)."),
)
_HINTS = {
    "": "Take a tool to edit whole nuclei; napari's brush stays as it is. Ctrl+Z takes steps back.",
    "select": "Click a nucleus; Shift adds. Drag: move · Ctrl+drag: turn · Alt+drag: resize.",
    "ellipse": "Drag from corner to corner. Shift: a circle · Ctrl: from the centre.",
    "stamp": "Each click adds a nucleus as its outline shows; the next one is another.",
    "split": "Drag a line across a nucleus, from outside to outside.",
}
_OVERLAPS = {
    "under": "go under the others",
    "over": "cover the others",
    "refuse": "must not touch",
}
_SMOOTHINGS = {"Smooth outlines a little": 1.0, "Smooth outlines strongly": 3.0}


class NucleiPanel(QWidget):
    """Edits the nuclei of a layout; each edit is one step of napari's own undo.

    Parameters
    ----------
    session : Session
    canvas : Canvas

    Attributes
    ----------
    editor : LayoutEditor
        The layout and its selected nuclei.
    """

    sample_inside_requested = Signal(object)  # (H, W), bool
    extend_requested = Signal(object)  # Extension
    message_requested = Signal(str)

    def __init__(self, session: Session, canvas: Canvas) -> None:
        super().__init__()
        self._viewer = canvas.viewer
        self._create_tools()
        self._create_widgets()
        self._lay_out()
        self._fill_menu()
        self._connect()
        layout, scatter = session.layout, self.scatter
        self._bindings = [
            bind(layout, "density", scatter.density, lambda d: 100 * d, lambda p: round(p) / 100),
            bind(layout, "mean_area_px", scatter.diameter, diameter_um, area_px),
        ]
        self._on_tool_changed("")
        self._on_layer_changed()
        self._on_selection_changed()

    def set_layer(self, layer: Any) -> None:
        """Edit this layout; None = none."""
        self.editor.set_layer(layer)

    def show_nuclei(self, ids: int | list[int]) -> None:
        """Select nuclei and bring the camera to them."""
        if self.editor.layer is None:
            return
        self.editor.select([ids] if isinstance(ids, int) else ids)
        if self.editor.ids:
            look_at(self._viewer, self.editor.layer, self.editor.bounds)

    def close(self) -> bool:
        """Take everything off the viewer; a second time does nothing.

        The widget itself goes with its dock, and may be gone already.
        """
        for signal in (self.toolbox.active_changed, self.editor.selection_changed):
            signal.disconnect()
        self.toolbox.close()
        self.editor.close()
        self.region.release()
        for guide in self._guides:
            guide.close()
        for binding in self._bindings:
            binding.release()
        self._bindings = []
        return True

    def _create_tools(self) -> None:
        self.editor = LayoutEditor()
        self.operations = Operations(self.editor)
        self._outline, guide = Guide(self._viewer), Guide(self._viewer)
        self._guides = self._outline, guide
        self.stamp = StampTool(guide)
        tools: dict[str, Tool] = {
            "select": SelectTool(guide),
            "ellipse": EllipseTool(guide),
            "stamp": self.stamp,
            "split": SplitTool(guide),
        }
        keys = {"select": self._selection_keys()}
        self.toolbox = Toolbox(self._viewer, self.editor, tools, keys)

    # What it looks like

    def _create_widgets(self) -> None:
        self.tool_bar, self._fields = ToolBar(_TOOLS, _DEEDS), Fields()
        self.hint = Caption()
        self.turn, self.resize_by = _turn_edit(), _resize_edit()
        self.bank, self.overlap = choice(BANKS), choice(_OVERLAPS)
        self.region = RegionCombo(self._viewer, lambda: self.editor.ids)
        self.scatter, self.extend = ScatterForm(self.region), ExtendForm()
        self.scatter_section = Section("Scatter nuclei in a region", self.scatter)
        self.extend_section = Section("Extend the canvas", self.extend)

    def _lay_out(self) -> None:
        fields = self._fields
        fields.add("Turn", self.turn, "Turn each selected nucleus about its own centre.")
        fields.add("Resize", self.resize_by, "Resize each selected nucleus about its own centre.")
        fields.add("Shapes", self.bank, "Where the stamp takes its shapes from.")
        fields.add("Overlap", self.overlap, "What nuclei do where they come to lie on others.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        for widget in (self.tool_bar, self.hint):
            layout.addWidget(widget)
        layout.addLayout(fields)
        layout.addWidget(self.scatter_section)
        layout.addWidget(self.extend_section)

    def _fill_menu(self) -> None:
        operations, menu = self.operations, self.tool_bar.menu
        menu.addAction("Fill holes", operations.fill_holes)
        for title, scale_px in _SMOOTHINGS.items():
            menu.addAction(title, lambda scale_px=scale_px: operations.smooth(scale_px))
        menu.addAction("Separate unconnected parts", operations.separate)
        menu.addSeparator()
        menu.addAction("Remove specks", operations.remove_specks)
        menu.addAction("Renumber without gaps", operations.renumber)

    # What it does

    def _connect(self) -> None:
        editor, toolbox, operations = self.editor, self.toolbox, self.operations
        self.tool_bar.tool_requested.connect(self._on_tool_requested)
        self.tool_bar.deed_requested.connect(self._on_deed)
        toolbox.active_changed.connect(self._on_tool_changed)
        editor.layer_changed.connect(self._on_layer_changed)
        editor.selection_changed.connect(self._on_selection_changed)
        editor.refused.connect(self.message_requested.emit)
        self.turn.stepped.connect(operations.turn)
        self.resize_by.stepped.connect(self._on_resize)
        self.bank.currentIndexChanged.connect(self._on_bank_changed)
        self.overlap.currentIndexChanged.connect(self._on_overlap_changed)
        self.scatter.scatter_requested.connect(self._on_scatter)
        self.scatter.sample_requested.connect(self._on_sample_inside)
        self.scatter.seed.dice_requested.connect(lambda: self.scatter.seed.setValue(draw_seed()))
        self.extend.extend_requested.connect(self.extend_requested)
        escape = QShortcut(QKeySequence("Escape"), self)
        escape.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        escape.activated.connect(toolbox.leave)

    def _selection_keys(self) -> dict[int, Callable[[], object]]:
        operations = self.operations
        shift = int(KeyMod.Shift)
        return {
            int(KeyCode.Delete): operations.delete,
            int(KeyCode.Backspace): operations.delete,
            int(KeyMod.CtrlCmd) | int(KeyCode.KeyD): operations.duplicate,
            int(KeyCode.UpArrow): lambda: operations.nudge(-1, 0),
            int(KeyCode.DownArrow): lambda: operations.nudge(1, 0),
            int(KeyCode.LeftArrow): lambda: operations.nudge(0, -1),
            int(KeyCode.RightArrow): lambda: operations.nudge(0, 1),
            shift | int(KeyCode.LeftArrow): lambda: self.turn.forth.click(),
            shift | int(KeyCode.RightArrow): lambda: self.turn.back.click(),
            shift | int(KeyCode.UpArrow): lambda: self.resize_by.forth.click(),
            shift | int(KeyCode.DownArrow): lambda: self.resize_by.back.click(),
        }

    def _on_tool_requested(self, name: str) -> None:
        if name:
            self.toolbox.take(name)
        else:
            self.toolbox.leave()

    def _on_tool_changed(self, name: str) -> None:
        self.tool_bar.show_tool(name)
        self.hint.setText(_HINTS[name])
        self._fields.show(self.bank, name == "stamp")
        for control in (self.turn, self.resize_by):
            self._fields.show(control, name == "select")

    def _on_deed(self, name: str) -> None:
        operations = self.operations
        {
            "copy": operations.duplicate,
            "merge": operations.merge,
            "necks": operations.split_at_necks,
            "delete": operations.delete,
        }[name]()

    def _on_layer_changed(self) -> None:
        self.setEnabled(self.editor.layer is not None)

    def _on_selection_changed(self) -> None:
        editor, count = self.editor, len(self.editor.ids)
        for name, button in self.tool_bar.deeds.items():
            button.setEnabled(count > (name == "merge"))
        for control in (self.turn, self.resize_by):
            control.setEnabled(count > 0)
        if count:
            self._outline.show(editor.layer, selection_outline(editor))
        else:
            self._outline.clear()

    def _on_resize(self, percent: int) -> None:
        factor = 1 + abs(percent) / 100
        self.operations.resize(factor if percent > 0 else 1 / factor)

    def _on_bank_changed(self, _: int) -> None:
        self.stamp.bank = self.bank.currentData()
        if self.toolbox.active == "stamp":
            self.stamp.start(self.editor)

    def _on_overlap_changed(self, _: int) -> None:
        self.editor.overlap = self.overlap.currentData()

    def _on_scatter(self) -> None:
        mask = self._region_mask()
        if mask is not None:
            scale = scale_of(self.editor.layer)
            self.operations.scatter(
                mask,
                density=self.scatter.density.value() / 100,
                mean_area_px=area_px(self.scatter.diameter.value(), scale.um_per_px),
                **self.scatter.options(),
            )

    def _on_sample_inside(self) -> None:
        mask = self._region_mask()
        if mask is not None:
            self.sample_inside_requested.emit(mask)

    def _region_mask(self) -> Any:
        """The chosen region, or None after a message to the user."""
        try:
            return self.region.mask_in(self.editor.layer)
        except NudiffError as error:
            self.message_requested.emit(str(error))
            return None


def _turn_edit() -> StepEdit:
    return StepEdit(
        QSpinBox(minimum=1, maximum=180, value=15, suffix="°"),
        GlyphButton("turn right", "Turn right", "Each about its own centre (Shift+→)."),
        GlyphButton("turn left", "Turn left", "Each about its own centre (Shift+←)."),
    )


def _resize_edit() -> StepEdit:
    return StepEdit(
        QSpinBox(minimum=1, maximum=200, value=10, suffix=" %"),
        GlyphButton("smaller", "Smaller", "Each about its own centre (Shift+↓)."),
        GlyphButton("larger", "Larger", "Each about its own centre (Shift+↑)."),
    )
