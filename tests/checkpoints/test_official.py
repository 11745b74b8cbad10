"""What is said of files that end in .pt but are no weights."""

import os
from pathlib import Path

import pytest
import torch

from napari_nudiff.checkpoints import add_checkpoint
from napari_nudiff.checkpoints.official import open_official
from napari_nudiff.errors import CheckpointError

from .conftest import GOLDEN_PT


class Code:
    """What a malicious file would do when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("it was run",)


def written(path: Path, kind: str) -> Path:
    whole = GOLDEN_PT.read_bytes()
    contents = {"empty": b"", "cut short": whole[: len(whole) // 2], "text": b"hello\n"}
    objects = {
        "code": {"weight": Code()},
        "whole module": torch.nn.Linear(2, 2),
        "training state": {"state_dict": {"weight": torch.zeros(2)}, "step": 3},
        "another network": {"weight": torch.zeros(2)},
    }
    if kind in contents:
        path.write_bytes(contents[kind])
    elif kind != "missing":
        legacy = kind == "legacy, cut short"
        torch.save(
            objects.get(kind, {"weight": torch.zeros(4000)}),
            path,
            _use_new_zipfile_serialization=not legacy,
        )
        if legacy:
            path.write_bytes(path.read_bytes()[:4000])
    return path


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("missing", "does not exist"),
        ("empty", "is empty.*again"),
        ("cut short", "damaged or cut short.*again"),
        ("legacy, cut short", "damaged or cut short.*again"),
        ("text", r"is no file of torch.*ema_\*\.pt"),
        ("code", r"would run code.*(posix|nt)\.mkdir.*weights alone"),
        ("whole module", r"would run code.*Linear.*weights alone"),
        ("training state", r"no Nudiff U-Net.*ema_\*\.pt"),
        ("another network", r"no Nudiff U-Net.*ema_\*\.pt"),
    ],
)
def test_each_kind_of_wrong_file_is_explained(tmp_path, cache, monkeypatch, kind, said) -> None:
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path / "model.pt", kind)
    with pytest.raises(CheckpointError, match=f"model.pt.*{said}") as caught:
        add_checkpoint(path, "mine")
    assert "weights_only" not in str(caught.value), "no advice to run it all the same"
    assert not (tmp_path / "it was run").exists()
    assert not cache.exists()


def test_the_authors_files_open() -> None:
    model = open_official(GOLDEN_PT, 32)
    assert model.header.role == "structure"
    assert model.header.network.head_channels == 32


def test_heads_without_width_are_refused() -> None:
    with pytest.raises(CheckpointError, match="attention head is 0 channels"):
        open_official(GOLDEN_PT, 0)


WRAPPINGS = {
    "parallel.pt": lambda state: {f"module.{key}": value for key, value in state.items()},
    "compiled.pth": lambda state: {f"_orig_mod.module.{k}": v for k, v in state.items()},
    "lightning.ckpt": lambda state: {
        "epoch": 3,
        "state_dict": {f"model.{key}": value for key, value in state.items()},
    },
    "averaged.pt.tar": lambda state: {
        "model": {key: value * 0 for key, value in state.items()},
        "ema": state,
    },
    "hub.bin": lambda state: state,
}


@pytest.mark.parametrize("name", WRAPPINGS)
def test_weights_are_found_however_a_trainer_wraps_them(tmp_path, name) -> None:
    state = torch.load(GOLDEN_PT, weights_only=True)
    torch.save(WRAPPINGS[name](state), tmp_path / name)
    found = open_official(tmp_path / name, 32).unet.state_dict()
    expected = open_official(GOLDEN_PT, 32).unet.state_dict()
    assert all(torch.equal(found[key], expected[key]) for key in expected)
