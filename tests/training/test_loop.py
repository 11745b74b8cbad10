"""Training on small real files: what a run leaves, resumes and refuses."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_nudiff.dataset.images import write_layout, write_rgb
from napari_nudiff.diffusion.weights import load_weights, read_header
from napari_nudiff.errors import DatasetError, RequestError
from napari_nudiff.training.config import Stage, TrainConfig
from napari_nudiff.training.loop import train
from napari_nudiff.training.records import read_log

from ..networks import IMAGE, STRUCTURE

EPS = replace(IMAGE, out_channels=6, null_token=False)


def finish(config: TrainConfig, **kwargs: bool) -> dict[str, torch.Tensor]:
    for _ in train(config, **kwargs):
        pass
    return weights(Path(config.out))


def weights(out: Path) -> dict[str, torch.Tensor]:
    state = torch.load(out / "state.pt", weights_only=True)
    return {f"{part}.{k}": v for part in ("unet", "ema") for k, v in state[part].items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


VARIANTS = {
    "image": {},
    "structure": {"role": "structure", "network": STRUCTURE},
    "eps": {"objective": "eps", "network": EPS, "optimizer": "adam"},
    "dropout": {"network": replace(IMAGE, dropout=0.3)},
}


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_a_resumed_run_has_the_weights_of_an_unbroken_one(config, tmp_path, variant) -> None:
    config = replace(config, **variant)
    unbroken = finish(replace(config, out=str(tmp_path / "unbroken")))
    broken = train(config)
    for progress in broken:
        if progress.done == 3:  # one step after the last save: it must be done again
            break
    broken.close()
    assert same(unbroken, finish(config))


def launch(config: TrainConfig, tmp_path: Path, *before: str) -> subprocess.Popen[bytes]:
    """Train in a process of its own."""
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    code = (
        "import json, sys, torch; torch.set_num_threads(1);"
        "from napari_nudiff.training.config import TrainConfig;"
        "from napari_nudiff.training.loop import train;"
        "values = json.load(open(sys.argv[1]));"
        "[None for _ in train(TrainConfig.from_dict(values))]"
    )
    (tmp_path / "run.py").write_text(code)
    command = [sys.executable, *before, str(tmp_path / "run.py"), str(tmp_path / "config.json")]
    return subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_weights_of_an_unbroken_one(config, tmp_path) -> None:
    """kill -9 at random moments, while it computes or writes, until it gets through."""
    config = replace(config, stages=(Stage(steps=12, crop_px=32, batch_crops=2),), save_steps=1)
    done = launch(replace(config, out=str(tmp_path / "unbroken")), tmp_path)
    assert done.wait(120) == 0, done.stderr.read().decode()
    rng = random.Random(0)
    for _ in range(3):
        run = launch(config, tmp_path)
        state = Path(config.out) / "state.pt"
        before = state.stat().st_mtime_ns if state.exists() else 0
        while run.poll() is None and (not state.exists() or state.stat().st_mtime_ns == before):
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    run = launch(config, tmp_path)
    assert run.wait(120) == 0, run.stderr.read().decode()
    assert same(weights(tmp_path / "unbroken"), weights(Path(config.out)))
    steps = [r.step for r in read_log(Path(config.out))]
    assert steps == list(range(1, 13))
    assert not list(Path(config.out).glob(".new-*"))


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(config, tmp_path) -> None:
    config = replace(config, stages=(Stage(steps=6, crop_px=32, batch_crops=4),), save_steps=3)
    one, two = (replace(config, out=str(tmp_path / name)) for name in ("one", "two"))
    finish(one)
    run = launch(two, tmp_path, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    assert run.wait(240) == 0, run.stderr.read().decode()[-3000:]
    losses = [[r.loss for r in read_log(Path(c.out))] for c in (one, two)]
    assert len(losses[0]) == 6
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert "2 x cpu" in read_header(Path(two.out) / "image.safetensors").card["hardware"]


def test_a_batch_in_parts_gives_the_same_weights(config, tmp_path) -> None:
    whole = finish(replace(config, out=str(tmp_path / "whole")))
    parts = finish(replace(config, out=str(tmp_path / "parts"), accumulate=2))
    for key, value in whole.items():
        assert torch.allclose(value, parts[key], atol=2e-5), key


def test_a_full_disk_leaves_the_last_good_state(config, tmp_path) -> None:
    """A limit on the size of files stands in for the disk: writes fail half-way, as on one."""
    import resource

    finish(config)
    before = (Path(config.out) / "state.pt").read_bytes()
    longer = replace(config, stages=(config.stages[0], replace(config.stages[1], steps=4)))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(DatasetError, match=r"Cannot write .*state\.pt"):
            finish(longer)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (Path(config.out) / "state.pt").read_bytes() == before
    finish(longer)
    assert read_log(Path(config.out))[-1].step == 6


def test_a_run_leaves_checkpoint_log_plot_and_grids(config) -> None:
    seen = list(train(config))
    out = Path(config.out)
    assert [(p.done, p.total) for p in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    log = read_log(out)
    assert [r.step for r in log] == [1, 2, 3, 4]
    assert [r.held_out_loss is not None for r in log] == [False, True, False, True]
    assert seen[1].note == f"step 2: held-out loss {log[1].held_out_loss:.4f}"
    assert [f"loss {r.loss:.4f}, " in p.detail for r, p in zip(log, seen, strict=True)] == [
        True
    ] * 4
    assert sorted(p.name for p in (out / "grids").iterdir()) == ["0000002.png", "0000004.png"]
    assert (out / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert list((out / "tensorboard").iterdir())
    header = load_weights(out / "image.safetensors").header
    assert header.role == "image"
    assert header.card["steps_done"] == 4
    assert header.card["images"] == ["a_1", "a_2"]


def test_the_card_tells_of_changed_plans_and_of_no_folder(config) -> None:
    finish(config)
    longer = replace(config, stages=(config.stages[0], replace(config.stages[1], steps=4)))
    finish(longer)
    header = read_header(Path(config.out) / "image.safetensors")
    assert [plan["from_step"] for plan in header.card["plans"]] == [0, 4]
    assert header.card["plans"][1]["config"]["stages"][1]["steps"] == 4
    assert str(Path(config.data[0]).parent) not in json.dumps(header.card)


def test_raw_weights_are_kept_on_request(config) -> None:
    finish(replace(config, keep_raw=True))
    averaged, raw = (
        load_weights(Path(config.out) / f"image{kind}.safetensors").unet.state_dict()
        for kind in ("", "-raw")
    )
    assert not same(averaged, raw)


def test_a_run_can_begin_with_the_weights_of_another(config, tmp_path) -> None:
    first = finish(config)
    still = Stage(steps=1, crop_px=32, batch_crops=2, learning_rate=0.0)
    second = replace(config, stages=(still,), out=str(tmp_path / "second"))
    made = finish(replace(second, start_from=str(Path(config.out) / "image.safetensors")))
    key = "unet.out_conv.weight"
    assert torch.allclose(made[key], first["ema.out_conv.weight"], atol=1e-3)  # stored as float16
    with pytest.raises(RequestError, match="another shape"):
        finish(
            replace(
                second,
                start_from=str(Path(config.out) / "image.safetensors"),
                network=replace(IMAGE, base_channels=32),
                out=str(tmp_path / "third"),
            )
        )


def test_the_held_out_loss_falls(config) -> None:
    """On the same crops and noise each time, so that little training is enough to see it."""
    stage = Stage(steps=60, crop_px=64, batch_crops=4, warmup_steps=2)
    finish(replace(config, stages=(stage,), save_steps=20))
    log = read_log(Path(config.out))
    losses = [r.held_out_loss for r in log if r.held_out_loss is not None]
    assert len(losses) == 3
    assert losses[2] < losses[1] < losses[0]


def test_divergence_is_told_and_not_saved(config) -> None:
    finish(config)
    before = (Path(config.out) / "state.pt").read_bytes()
    wild = replace(config.stages[1], steps=30, learning_rate=1e30)
    with pytest.raises(DatasetError, match="diverged"):
        finish(replace(config, stages=(config.stages[0], wild)))
    assert (Path(config.out) / "state.pt").read_bytes() == before


def test_another_run_in_the_folder_is_left_alone(config) -> None:
    finish(config)
    before = (Path(config.out) / "state.pt").read_bytes()
    with pytest.raises(RequestError, match="role"):
        finish(replace(config, role="structure", network=STRUCTURE))
    assert (Path(config.out) / "state.pt").read_bytes() == before
    (Path(config.out) / "state.pt").write_bytes(before[: len(before) // 2])
    with pytest.raises(DatasetError, match="cannot be resumed from"):
        finish(config)
    assert finish(config, resume=False)


def test_data_that_cannot_be_used_is_refused(config, data, tmp_path) -> None:
    with pytest.raises(DatasetError, match=r"images/\*\.png"):
        finish(replace(config, data=(str(tmp_path),)))
    with pytest.raises(DatasetError, match="smaller than"):
        finish(replace(config, stages=(Stage(crop_px=512),)))
    with pytest.raises(DatasetError, match="none is left"):
        finish(replace(config, held_out=("*",)))
    write_rgb(tmp_path / "images" / "lonely.png", np.zeros((80, 80, 3), np.uint8))
    with pytest.raises(DatasetError, match="lonely"):
        finish(replace(config, data=(str(tmp_path),)))
    write_layout(tmp_path / "labels" / "lonely.tif", np.zeros((70, 80), np.int32))
    with pytest.raises(DatasetError, match="same size"):
        finish(replace(config, data=(str(tmp_path),)))
