"""Commands of napari's menus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_nudiff.dataset.pair import Layout
from napari_nudiff.errors import LayoutError
from napari_nudiff.session.settings import LayoutSettings
from napari_nudiff.ui.class_features import classes_in

if TYPE_CHECKING:
    import napari

_STRUCTURE = ("semantic", "horizontal", "vertical")
_SPARSE = 16  # ids up to this many times the number of nuclei have a row each
_TABLE = ("napari", "Features table widget")
_DECIMALS = {"area_um2": 2, "row_px": 1, "col_px": 1}  # worth reading; of ratios three


def new_layout(viewer: napari.Viewer) -> None:
    """Add an empty layout to paint nuclei into."""
    from napari_nudiff.ui.canvas import Canvas

    settings = LayoutSettings()
    canvas = Canvas(viewer)
    empty = np.zeros((settings.height_px, settings.width_px), dtype=np.int32)
    canvas.start_painting(canvas.add_layout(Layout(empty), canvas.new_frame("layout")))
    canvas.close()


def structure_from_labels(viewer: napari.Viewer) -> None:
    """Add the structure maps of the selected layout, hidden: what the models work on.

    Raises
    ------
    LayoutError
        No layout is selected.
    """
    from napari_nudiff.nuclei.structure import encode_structure
    from napari_nudiff.ui.frame import Frame

    layer = _selected_layout(viewer)
    frame = Frame.of(layer)
    for name, plane in zip(_STRUCTURE, encode_structure(np.asarray(layer.data)), strict=True):
        signed = name != "semantic"
        viewer.add_image(
            plane,
            name=f"{frame.name} {name}",
            visible=False,
            colormap="PiYG" if signed else "gray",
            contrast_limits=(-1 if signed else 0, 1),
            metadata={"nudiff_structure": name},
            **frame.spatial,
        )
    _say("Three structure maps were added, hidden: click their eyes to see them.")


def instances_from_structure(viewer: napari.Viewer) -> None:
    """Find the nuclei of the selected structure maps: three images, or one of three planes.

    Raises
    ------
    LayoutError
        Something else is selected.
    """
    from napari_nudiff.nuclei.instances import decode_instances
    from napari_nudiff.ui.frame import Frame

    layers = _selected_maps(viewer)
    planes = [np.asarray(layer.data, dtype=np.float32) for layer in layers]
    structure = planes[0] if len(planes) == 1 else np.stack(planes)
    labels = decode_instances(structure)
    spatial = Frame.of(layers[0]).spatial if len(layers) == 3 else _of_a_plane(layers[0])
    name = layers[0].name.removesuffix(f" {_STRUCTURE[0]}")
    viewer.add_labels(labels, name=f"{name} nuclei", **spatial)


def nuclei_table(viewer: napari.Viewer) -> None:
    """Measure the nuclei of the selected layout and show them in napari's table of features.

    A click on a row brings its nucleus into view.

    Raises
    ------
    LayoutError
        No layout is selected, or its ids are too far apart for a table.
    """
    from napari_nudiff.nuclei.measurements import measure_nuclei

    layer = _selected_layout(viewer)
    table = measure_nuclei(np.asarray(layer.data), _um2_per_px(layer))
    rows = _by_row(table)
    if classes := classes_in(layer.features):
        rows["class"] = np.array([classes.get(i, "") for i in range(len(rows["label"]))])
    layer.features = rows
    if not _open_table(viewer):
        _say(f"“{layer.name}” has {len(table['label'])} nuclei; they were measured as features.")


def copy_report(viewer: napari.Viewer) -> None:
    """Put versions, devices and settings on the clipboard, for a bug report."""
    from qtpy.QtWidgets import QApplication

    from napari_nudiff.ui.report import bug_report

    QApplication.clipboard().setText(bug_report(viewer))
    _say("The report was copied. Paste it into your message or issue.")


# What is selected


def _selected_layout(viewer: Any) -> Any:
    """The one selected Labels layer."""
    from napari.layers import Labels

    found = [layer for layer in viewer.layers.selection if isinstance(layer, Labels)]
    if len(found) != 1:
        raise LayoutError(f"{len(found)} Labels layers are selected. Select one layout.")
    if found[0].multiscale:
        raise LayoutError(f"“{found[0].name}” is multiscale. Select a layout that is in memory.")
    return found[0]


def _selected_maps(viewer: Any) -> list[Any]:
    """Semantic, horizontal and vertical map; or one image with the three as planes."""
    from napari.layers import Image

    chosen = [layer for layer in viewer.layers if layer in viewer.layers.selection]
    found = [layer for layer in chosen if isinstance(layer, Image) and not layer.rgb]
    shapes = {layer.data.shape for layer in found}
    if len(found) == 1 and found[0].ndim == 3:
        return found
    if len(found) != 3 or len(shapes) != 1 or found[0].ndim != 2:
        raise LayoutError(
            f"{len(found)} images of {len(shapes)} sizes are selected. Select three structure maps "
            "of one size (semantic, horizontal, vertical, from the bottom up), or one image with "
            "them as its planes."
        )
    return sorted(found, key=_place_in_structure)  # of maps without a name the order is kept


def _of_a_plane(layer: Any) -> dict[str, Any]:
    """Where a plane of a stack lies."""
    return {key: getattr(layer, key)[-2:] for key in ("scale", "translate", "units")}


def _place_in_structure(layer: Any) -> int:
    name = layer.metadata.get("nudiff_structure", "")
    return _STRUCTURE.index(name) if name in _STRUCTURE else 0


# The table


def _um2_per_px(layer: Any) -> float | None:
    """Area of a pixel; None where the layer is not in units of length."""
    try:
        um = [(1 * unit).to("um").magnitude for unit in layer.units]
    except TypeError:  # pixels
        return None
    return float(np.prod(np.abs(layer.scale) * um))


def _by_row(table: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """A table whose row i is label i, as napari's table of features wants it; gaps are empty."""
    ids = table["label"]
    highest = int(ids.max(initial=0))
    if highest > _SPARSE * (len(ids) + 1):
        raise LayoutError(
            f"There are {len(ids)} nuclei with ids up to {highest}: too far apart for a table with "
            "a row for each id. Renumber the labels from 1 and measure again."
        )
    rows: dict[str, NDArray[Any]] = {"label": np.arange(highest + 1)}
    for name in table.keys() - {"label"}:
        rows[name] = np.full(highest + 1, np.nan)
        rows[name][ids] = np.round(table[name], _DECIMALS.get(name, 3))
    return {name: rows[name] for name in table}


def _open_table(viewer: Any) -> bool:
    """Open napari's table of features; false where this napari has none."""
    from qtpy.QtWidgets import QTableView

    try:
        _, widget = viewer.window.add_plugin_dock_widget(*_TABLE)
    except (KeyError, ValueError):  # napari before 0.6.2
        return False
    rows = widget.findChild(QTableView)
    if rows is not None and not rows.property("nudiff"):
        rows.setProperty("nudiff", True)  # asked for a second time it is the same table
        rows.clicked.connect(lambda _: _show_selected(viewer))
    return True


def _show_selected(viewer: Any) -> None:
    """Bring the nucleus of the selected label into view; its row was clicked."""
    from napari_nudiff.ui.tools.camera import look_at

    layer = viewer.layers.selection.active
    label = getattr(layer, "selected_label", 0)
    if label and layer.ndim == 2 and not layer.multiscale:
        rows, cols = np.nonzero(np.asarray(layer.data) == label)
        if len(rows):
            look_at(viewer, layer, (_span(rows), _span(cols)))


def _span(positions: NDArray[np.intp]) -> slice:
    return slice(int(positions.min()), int(positions.max()) + 1)


def _say(message: str) -> None:
    from napari.utils.notifications import show_info

    show_info(message)
