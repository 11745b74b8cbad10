import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

from napari_nudiff.dataset.images import read_layout, read_rgb, write_layout, write_rgb
from napari_nudiff.errors import DatasetError, LayoutError


def test_images_survive_and_lose_only_their_alpha(tmp_path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 4), dtype=np.uint8)
    image[..., 3] = 255
    iio.imwrite(tmp_path / "rgba.png", image)
    assert np.array_equal(read_rgb(tmp_path / "rgba.png"), image[..., :3])
    write_rgb(tmp_path / "new" / "rgb.png", image[..., :3])
    assert np.array_equal(read_rgb(tmp_path / "new" / "rgb.png"), image[..., :3])


@pytest.mark.parametrize(("highest", "dtype"), [(65535, np.uint16), (65536, np.uint32)])
def test_layouts_keep_their_ids_in_the_smallest_type_that_holds_them(tmp_path, highest, dtype):
    labels = np.array([[0, 1], [2, highest]])
    write_layout(tmp_path / "x.tif", labels)
    back = read_layout(tmp_path / "x.tif")
    assert back.dtype == dtype
    assert np.array_equal(back, labels)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_compressed_layouts_are_read(tmp_path, compression) -> None:
    labels = np.arange(64, dtype=np.uint16).reshape(8, 8)
    tifffile.imwrite(tmp_path / "x.tif", labels, compression=compression)
    assert np.array_equal(read_layout(tmp_path / "x.tif"), labels)


def test_images_that_are_not_rgb_are_refused_by_name(tmp_path) -> None:
    iio.imwrite(tmp_path / "grey.png", np.zeros((5, 5), np.uint8))
    with pytest.raises(DatasetError, match=r"grey\.png"):
        read_rgb(tmp_path / "grey.png")
    with pytest.raises(DatasetError, match="does not exist"):
        read_rgb(tmp_path / "nowhere.png")


def test_arrays_with_pickles_are_not_loaded(tmp_path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DatasetError, match=r"x\.npy"):
        read_layout(tmp_path / "x.npy")


def test_a_colour_image_is_no_layout(tmp_path) -> None:
    iio.imwrite(tmp_path / "rgb.png", np.zeros((5, 5, 3), np.uint8))
    with pytest.raises(LayoutError, match=r"rgb\.png"):
        read_layout(tmp_path / "rgb.png")
