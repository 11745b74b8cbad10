"""Tools to edit a layout with the mouse; they know napari's layers, not the panels."""
