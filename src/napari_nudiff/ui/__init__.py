"""The napari plugin: docks, panels and widgets; the only room that knows Qt and napari."""
