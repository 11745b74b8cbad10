"""A large image as napari shows it."""

import numpy as np

from napari_nudiff.dataset.pyramid import PyramidWriter, open_pyramid


def test_napari_shows_the_levels_as_rgb(tmp_path, make_napari_viewer) -> None:
    image = np.random.default_rng(0).integers(0, 256, (700, 600, 3), dtype=np.uint8)
    labels = np.ones((700, 600), dtype=np.int32)
    writer = PyramidWriter(tmp_path / "x.zarr", labels.shape, um_per_px=0.25)
    writer.write_image(0, image)
    writer.write_labels(0, labels)
    list(writer.write_levels())
    writer.finish({})
    pyramid = open_pyramid(tmp_path / "x.zarr")
    viewer = make_napari_viewer()
    shown = viewer.add_image(pyramid.image, rgb=True, multiscale=True)
    nuclei = viewer.add_labels(pyramid.labels, multiscale=True)
    assert shown.rgb
    assert shown.level_shapes.tolist() == [[700, 600], [350, 300]]
    assert nuclei.level_shapes.tolist() == shown.level_shapes.tolist()
    seen = np.asarray(shown.data[shown.data_level])
    assert np.array_equal(seen, image if shown.data_level == 0 else pyramid.image[1][...])
    assert shown.thumbnail[..., :3].std() > 0
