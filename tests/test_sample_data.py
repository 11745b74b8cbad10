import subprocess
import sys
from importlib.resources import files

import numpy as np
import pytest

from napari_nudiff import sample_data
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


@pytest.mark.parametrize("sample", SAMPLES[:2], ids=lambda function: function.__name__)
def test_real_data_are_attributed(sample) -> None:
    for _, attributes, _ in sample():
        assert attributes["metadata"]["licence"] == "CC BY 4.0"
        assert "Naylor" in attributes["metadata"]["citation"]
        assert "10.5281/zenodo.1175282" in attributes["metadata"]["source"]
        assert "connected components" in attributes["metadata"]["changes"]


def test_the_licence_ships_beside_the_data() -> None:
    text = (files("napari_nudiff.sample_data") / "LICENSE.md").read_text(encoding="utf-8")
    assert "CC BY 4.0" in text
    assert "Naylor" in text


def test_the_real_layout_is_a_layout_of_many_nuclei() -> None:
    labels = validate_layout(sample_data.sampled_layout()[0][0])
    assert labels.shape == (512, 512)
    assert labels.dtype == np.uint16
    assert len(np.unique(labels)) == 192


def test_the_pair_lies_on_itself() -> None:
    (image, attributes, kind), (labels, _, _) = sample_data.rendered_pair()
    assert kind == "image"
    assert attributes["rgb"] is True
    assert image.dtype == np.uint8
    assert image.shape == (*labels.shape, 3)
    # Nuclei are the darker part of H&E: a shifted or transposed layout would not be.
    assert image[labels > 0].mean() < image[labels == 0].mean() - 20


def test_the_generated_layout_is_the_same_each_time_and_as_dense_as_asked() -> None:
    (labels, attributes, _), (again, _, _) = (sample_data.generated_layout()[0] for _ in range(2))
    assert np.array_equal(labels, again)
    assert validate_layout(labels).shape == (256, 256)
    assert (labels > 0).mean() == pytest.approx(attributes["metadata"]["density"], abs=0.05)


def test_callers_do_not_share_metadata() -> None:
    sample_data.sampled_layout()[0][1]["metadata"]["licence"] = "changed"
    assert sample_data.sampled_layout()[0][1]["metadata"]["licence"] == "CC BY 4.0"


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
