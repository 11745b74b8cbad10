import subprocess
import sys
from importlib.resources import files

import numpy as np
import pytest

from napari_nudiff import sample_data
from napari_nudiff.checkpoints import default_checkpoint
from napari_nudiff.dataset.pair_file import read_pair
from napari_nudiff.nuclei.structure import validate_layout

SAMPLES = [
    sample_data.sampled_layout,
    sample_data.rendered_pair,
    sample_data.generated_layout,
    sample_data.large_layout,
]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda function: function.__name__)
def test_samples_carry_resolution_axes_and_licence(sample) -> None:
    for _, attributes, kind in sample():
        assert kind in {"image", "labels"}
        assert attributes["scale"] == (0.25, 0.25)
        assert attributes["units"] == ("um", "um")
        assert attributes["axis_labels"] == ("y", "x")
        assert attributes["metadata"]["licence"]


def test_the_samples_are_of_the_default_models() -> None:
    """After a change of the default models: python scripts/make_sample_data.py."""
    (layout,), (image, labels) = sample_data.sampled_layout(), sample_data.rendered_pair()
    for (_, attributes, _), role in ((layout, "structure"), (image, "image"), (labels, "image")):
        default, provenance = default_checkpoint(role), attributes["metadata"]["nudiff"]
        assert provenance["synthetic"] is True
        assert provenance["request"]["checkpoint"] == default.name
        assert provenance["request"]["checkpoint_sha256"] == default.sha256
        assert attributes["metadata"]["licence"] == default.licence


def test_the_licence_ships_beside_the_data() -> None:
    text = (files("napari_nudiff.sample_data") / "LICENSE.md").read_text(encoding="utf-8")
    assert "CC BY 4.0" in text
    assert "synthetic" in text


def test_no_other_image_ships_with_the_package() -> None:
    endings = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".npy", ".npz", ".nudiff", ".svs"}
    found = [p for p in walk(files("napari_nudiff")) if f".{p.name.rpartition('.')[2]}" in endings]
    assert [path.name for path in found] == [sample_data.RENDERED_PAIR]


def walk(folder):
    for path in folder.iterdir():
        yield from walk(path) if path.is_dir() else [path]


def test_the_sampled_layout_is_a_layout_of_many_nuclei() -> None:
    labels = validate_layout(sample_data.sampled_layout()[0][0])
    assert labels.shape == (512, 512)
    assert len(np.unique(labels)) > 100


def test_the_pair_lies_on_itself() -> None:
    (image, attributes, kind), (labels, _, _) = sample_data.rendered_pair()
    assert kind == "image"
    assert attributes["rgb"] is True
    assert image.dtype == np.uint8
    assert image.shape == (*labels.shape, 3)
    # Nuclei are the darker part of H&E: a shifted or transposed layout would not be.
    assert image[labels > 0].mean() < image[labels == 0].mean() - 20


def test_the_file_opens_as_the_same_pair() -> None:
    pair = read_pair(files("napari_nudiff.sample_data") / sample_data.RENDERED_PAIR)
    (image, _, _), (labels, _, _) = sample_data.rendered_pair()
    assert np.array_equal(pair.image, image)
    assert np.array_equal(pair.labels, labels)
    assert pair.spatial["scale"] == [0.25, 0.25]


def test_the_generated_layout_is_the_same_each_time_and_as_dense_as_asked() -> None:
    (labels, attributes, _), (again, _, _) = (sample_data.generated_layout()[0] for _ in range(2))
    assert np.array_equal(labels, again)
    assert validate_layout(labels).shape == (256, 256)
    assert (labels > 0).mean() == pytest.approx(attributes["metadata"]["density"], abs=0.05)


def test_layers_do_not_share_metadata() -> None:
    (_, image, _), (_, labels, _) = sample_data.rendered_pair()
    image["metadata"]["nudiff"]["request"]["seed"] = -1
    assert labels["metadata"]["nudiff"]["request"]["seed"] >= 0


def test_napari_makes_layers_of_them() -> None:
    layers = pytest.importorskip("napari.layers")
    for sample in SAMPLES:
        for layer_data in sample():
            layer = layers.Layer.create(*layer_data)
            assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]


def test_samples_need_neither_torch_nor_napari() -> None:
    code = (
        "import sys; sys.modules.update(torch=None, napari=None);"
        "from napari_nudiff.sample_data import generated_layout, rendered_pair;"
        "rendered_pair(); generated_layout()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
