"""Small widgets that know neither the session nor napari."""
