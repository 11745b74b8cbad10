import json

import pytest
import torch

from napari_nudiff.errors import RequestError
from napari_nudiff.synthesis import device
from napari_nudiff.synthesis.device import resolve_device, resolve_precision

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NUDIFF_CACHE", str(tmp_path))
    device._bf16_is_faster.cache_clear()
    yield
    device._bf16_is_faster.cache_clear()


def test_the_measured_precision_is_kept_for_the_next_process(tmp_path) -> None:
    """Or a busy machine would render other bytes than an idle one."""
    first = resolve_precision("auto", CPU)
    path = tmp_path / "precision.json"
    (answer,) = json.loads(path.read_text()).values()
    assert answer is (first == "bf16")
    path.write_text(json.dumps({key: not answer for key in json.loads(path.read_text())}))
    device._bf16_is_faster.cache_clear()
    assert resolve_precision("auto", CPU) != first


def test_a_cache_that_cannot_be_read_does_not_stop_a_render(tmp_path) -> None:
    (tmp_path / "precision.json").write_text("{")
    assert resolve_precision("auto", CPU) in {"bf16", "fp32"}


def test_a_chosen_precision_stands() -> None:
    assert resolve_precision("fp32", CPU) == "fp32"
    assert resolve_precision("bf16", CPU) == "bf16"


@pytest.mark.parametrize("name", ["abacus", "cpu:7", "cuda:99"])
def test_devices_that_are_not_there_are_named(name: str) -> None:
    with pytest.raises(RequestError, match=name):
        resolve_device(name)
