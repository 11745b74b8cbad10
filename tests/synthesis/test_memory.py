"""What a render takes, and what is done where that is not there."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_nudiff.checkpoints import DEFAULT_IMAGE, default_checkpoint, find_checkpoint, load_model
from napari_nudiff.cli import main
from napari_nudiff.dataset.images import write_layout
from napari_nudiff.diffusion.fused import FusedUNet
from napari_nudiff.diffusion.unet import UNet
from napari_nudiff.errors import LayoutError, RequestError, is_out_of_memory
from napari_nudiff.session import Session
from napari_nudiff.session.jobs import InlineExecutor, JobQueue
from napari_nudiff.synthesis import backoff, tiling
from napari_nudiff.synthesis.device import available_bytes
from napari_nudiff.synthesis.footprint import measure_footprint
from napari_nudiff.synthesis.generation import generate
from napari_nudiff.synthesis.generation_plan import GenerationPlan
from napari_nudiff.synthesis.memory import (
    Footprint,
    estimate_bytes,
    footprint_of,
    remember_footprint,
    window_side_px,
)
from napari_nudiff.synthesis.pipeline import render, sample_layout
from napari_nudiff.synthesis.request import LayoutRequest, RenderRequest
from napari_nudiff.text import memory_text
from napari_nudiff.work import run

from ..networks import IMAGE, STRUCTURE


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("NUDIFF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def request_(tiny_checkpoint) -> RenderRequest:
    return RenderRequest(tiny_checkpoint("image"), steps=2, device="cpu", precision="fp32")


@pytest.fixture
def wide_layout() -> np.ndarray:
    labels = np.zeros((64, 200), dtype=np.int32)
    labels[20:40, 30:60] = 1
    return labels


# Estimates


@pytest.mark.parametrize("size", [(64, 64), (512, 512), (528, 64), (1008, 1504), (4096, 528)])
@pytest.mark.parametrize("window_px", [None, 64, 192, 256, 640])
def test_estimates_know_the_windows_that_tiling_makes(size, window_px) -> None:
    windows = tiling.windows_over(*size, 16, window_px)
    one = (windows[0].height, windows[0].width)
    assert tuple(window_side_px(side, window_px) for side in size) == one
    checkpoint = default_checkpoint("image")
    kept = len(windows) if window_px is None and len(windows) <= tiling.KEPT_CONDITIONINGS else 1
    footprint = footprint_of(checkpoint)
    per_px = footprint.active_bytes_per_px + kept * 2 * footprint.kept_bytes_per_px
    least = footprint.weights_bytes + one[0] * one[1] * per_px
    estimate = estimate_bytes(checkpoint, *size, window_px=window_px)
    assert least < estimate < 1.2 * least + 100 * size[0] * size[1]


def test_less_is_asked_of_less(tiny_checkpoint) -> None:
    checkpoint = default_checkpoint("image")
    whole = estimate_bytes(checkpoint, 512, 512)
    assert estimate_bytes(checkpoint, 256, 256) < whole / 3
    assert estimate_bytes(checkpoint, 512, 512, guided=False) < 0.75 * whole
    assert estimate_bytes(checkpoint, 512, 512, bf16=True) < 0.6 * whole
    assert estimate_bytes(checkpoint, 512, 512, window_px=256) < 0.4 * whole
    assert estimate_bytes(default_checkpoint("structure"), 512, 512) < 0.3 * whole


@pytest.mark.parametrize("role", ["image", "structure"])
def test_the_usual_numbers_are_those_of_the_embedded_models(role) -> None:
    checkpoint = default_checkpoint(role)
    usual = footprint_of(checkpoint)
    counted = measure_footprint(load_model(checkpoint.name).header.network)
    assert usual.weights_bytes == pytest.approx(counted.weights_bytes, rel=0.02)
    assert usual.active_bytes_per_px == pytest.approx(counted.active_bytes_per_px, rel=0.02)
    assert usual.kept_bytes_per_px == pytest.approx(counted.kept_bytes_per_px, rel=0.02)


def test_a_count_is_of_real_tensors() -> None:
    with torch.no_grad():
        modulation = UNet(IMAGE).modulation(torch.zeros(1, 3, 64, 64))
    assert modulation is not None
    real = sum(tensor.nbytes for scale in modulation.scales for tensor in scale) / 64**2
    counted = measure_footprint(IMAGE)
    assert real <= counted.kept_bytes_per_px <= real + 40
    assert counted.weights_bytes == sum(p.nbytes for p in UNet(IMAGE).parameters())
    assert measure_footprint(STRUCTURE).kept_bytes_per_px == 0


def test_what_was_measured_is_remembered_by_fingerprint(cache) -> None:
    checkpoint = default_checkpoint("image")
    remember_footprint(checkpoint, Footprint(1, 2.0, 3.0))
    assert footprint_of(checkpoint) == Footprint(1, 2.0, 3.0)
    assert footprint_of(replace(checkpoint, sha256="other")) != Footprint(1, 2.0, 3.0)
    (cache / "footprints.json").write_text("{")
    assert footprint_of(checkpoint).active_bytes_per_px > 100


@pytest.mark.parametrize(
    ("needed_bytes", "text"),
    [(1.34e9, "about 1.3 GB"), (783e6, "about 780 MB"), (2e5, "about 10 MB")],
)
def test_sizes_are_told_as_people_say_them(needed_bytes, text) -> None:
    assert memory_text(needed_bytes) == text


def test_estimates_need_no_torch() -> None:
    code = (
        "import sys; from napari_nudiff.checkpoints import default_checkpoint;"
        "from napari_nudiff.synthesis.memory import estimate_bytes;"
        "assert estimate_bytes(default_checkpoint('image'), 512, 512) > 5e8;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Windows that a request asks for


def test_a_request_may_choose_its_windows(request_, wide_layout) -> None:
    whole = run(render(wide_layout, request_))
    small = run(render(wide_layout, replace(request_, window_px=64)))
    again = run(render(wide_layout, RenderRequest.from_dict(small.provenance["request"])))
    assert small.provenance["request"]["window_px"] == 64
    assert whole.image is not None
    assert small.image is not None
    assert not np.array_equal(small.image, whole.image)
    np.testing.assert_array_equal(small.image, again.image)


@pytest.mark.parametrize("window_px", [0, -64, 100, 8192])
def test_windows_of_other_sides_are_refused(request_, window_px) -> None:
    with pytest.raises(RequestError, match=f"window_px is {window_px}; expected a multiple of 64"):
        replace(request_, window_px=window_px)


# Not enough memory


def limited(monkeypatch, most_px: int, only: torch.dtype | None = None) -> None:
    """Let the network run out of memory above a number of pixels, or in any dtype but one."""
    encode = FusedUNet.encode

    def scarce(self: FusedUNet, x: torch.Tensor, *args: object, **kwargs: object) -> object:
        too_large = x.shape[-1] * x.shape[-2] > most_px or only not in (None, self.dtype)
        if too_large and x.device.type != "meta":  # where tensors take no memory
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return encode(self, x, *args, **kwargs)

    monkeypatch.setattr(FusedUNet, "encode", scarce)


def notes_of(job) -> tuple[object, list[str]]:
    notes: list[str] = []
    sample = run(job, lambda progress: notes.append(progress.note))
    return sample, [note for note in notes if note]


def test_enough_memory_changes_nothing(request_, wide_layout) -> None:
    sample, notes = notes_of(render(wide_layout, request_))
    assert notes == []
    request = sample.provenance["request"]
    assert (request["window_px"], request["precision"]) == (None, "fp32")


def test_too_little_memory_means_smaller_windows(request_, wide_layout, monkeypatch) -> None:
    limited(monkeypatch, most_px=64 * 128)
    sample, (note,) = notes_of(render(wide_layout, request_))
    assert "64 x 200 px" in note
    assert "windows of 128 px" in note
    assert sample.provenance["request"]["window_px"] == 128
    assert sample.provenance["request"]["precision"] == "fp32"
    again = run(render(wide_layout, RenderRequest.from_dict(sample.provenance["request"])))
    np.testing.assert_array_equal(sample.image, again.image)


def test_still_too_little_memory_means_half_the_digits(request_, wide_layout, monkeypatch) -> None:
    limited(monkeypatch, most_px=10**6, only=torch.bfloat16)
    sample, notes = notes_of(render(wide_layout, request_))
    assert len(notes) == 2
    assert "bf16" in notes[1]
    assert sample.provenance["request"]["precision"] == "bf16"


def test_a_memory_that_is_never_enough_ends_in_advice(request_, wide_layout, monkeypatch) -> None:
    limited(monkeypatch, most_px=10)
    with pytest.raises(RequestError, match=r"not enough memory on cpu.*64 x 200.*about.*smaller"):
        run(render(wide_layout, request_))


def test_a_layout_is_sampled_with_less_too(tiny_checkpoint, monkeypatch) -> None:
    limited(monkeypatch, most_px=64 * 64)
    request = LayoutRequest(
        tiny_checkpoint("structure"), steps=2, device="cpu", height_px=128, width_px=64
    )
    sample, (note,) = notes_of(sample_layout(request))
    assert "windows of 64 px" in note
    assert sample.provenance["request"]["window_px"] == 64


def test_what_cannot_fit_is_not_even_tried(request_, wide_layout, monkeypatch) -> None:
    monkeypatch.setattr(backoff, "available_bytes", lambda device: 1000)
    sample, (note,) = notes_of(render(wide_layout, request_))
    assert "There is not enough memory for 64 x 200 px" in note
    assert "about" in note
    assert sample.provenance["request"]["window_px"] == 128


def test_a_cpu_tells_what_it_has_left() -> None:
    room_bytes = available_bytes(torch.device("cpu"))
    assert room_bytes is None or room_bytes > 1e6
    assert available_bytes(torch.device("meta")) is None


def test_what_is_no_layout_is_refused_as_ever(request_) -> None:
    labels = np.zeros((3, 64, 64), dtype=np.int32)
    with pytest.raises(LayoutError):
        run(render(labels, request_))


def test_other_errors_are_not_tried_again(request_, wide_layout, monkeypatch) -> None:
    calls = []

    def fail(*args: object, **kwargs: object) -> None:
        calls.append(1)
        raise RuntimeError("The size of tensor a (3) must match the size of tensor b (5)")

    monkeypatch.setattr(FusedUNet, "encode", fail)
    with pytest.raises(RuntimeError, match="tensor a"):
        run(render(wide_layout, request_))
    assert len(calls) == 1


def test_a_job_that_is_closed_is_not_tried_again(request_, wide_layout) -> None:
    job = render(wide_layout, request_)
    next(job)
    job.close()
    assert list(job) == []


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"), True),
        (RuntimeError("MPS backend out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), True),
        (RuntimeError("could not create a primitive"), True),
        (RuntimeError("could not create a primitive descriptor for a convolution"), False),
        (RuntimeError("shapes differ"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_an_error_of_memory_is_recognised(error, expected) -> None:
    assert is_out_of_memory(error) is expected


def test_a_used_network_is_measured(request_, wide_layout) -> None:
    checkpoint = find_checkpoint(request_.checkpoint)
    run(render(wide_layout, request_))
    assert footprint_of(checkpoint) == measure_footprint(IMAGE)


# Whoever renders has less of it then


@pytest.fixture
def nudiff(tmp_path, request_, wide_layout):
    """The command, with a layout to render in the working folder."""
    write_layout(tmp_path / "wide.tif", wide_layout)
    small = ["--steps", "2", "--device", "cpu", "--out", tmp_path / "out", "--quiet"]
    return lambda *options: main([str(option) for option in (*options, *small)])


def windows_in(folder: Path) -> list[int | None]:
    records = [json.loads(path.read_text()) for path in sorted(folder.glob("*[0-9e].json"))]
    return [record["request"]["window_px"] for record in records]


def notes_on(capsys) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]


def test_nudiff_render_does_with_less(nudiff, request_, tmp_path, monkeypatch, capsys) -> None:
    limited(monkeypatch, most_px=64 * 128)
    assert nudiff("render", tmp_path / "wide.tif", "--checkpoint", request_.checkpoint) == 0
    (note,) = notes_on(capsys)
    assert "windows of 128 px" in note
    assert windows_in(tmp_path / "out") == [128]
    stored = tmp_path / "out" / "wide.json"
    assert nudiff("render", "--request", stored) == 0
    assert notes_on(capsys) == [], "it is made again as it was"


def test_nudiff_sample_does_with_less(
    nudiff, tiny_checkpoint, tmp_path, monkeypatch, capsys
) -> None:
    limited(monkeypatch, most_px=64 * 64)
    model = ("--checkpoint", tiny_checkpoint("structure"))
    assert nudiff("sample", "--size", 128, 64, *model) == 0
    (note,) = notes_on(capsys)
    assert "windows of 64 px" in note
    assert windows_in(tmp_path / "out") == [64]


@pytest.mark.parametrize(
    "processes", [1, pytest.param(2, marks=pytest.mark.slow)], ids=["alone", "shared"]
)
def test_nudiff_generate_does_with_less_and_says_so(
    nudiff, request_, tmp_path, monkeypatch, capsys, processes
) -> None:
    if processes == 1:
        monkeypatch.setattr(backoff, "available_bytes", lambda device: 1000)
    else:  # as if the machine had little left
        site = tmp_path / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(
            "from napari_nudiff.synthesis import device\ndevice.available_bytes = lambda _: 1000\n"
        )
        paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    plan = ["--count", 3, "--size", 64, 128, "--layouts", "scattered", "--density", 0.1, 0.2]
    model = ["--image-checkpoint", request_.checkpoint]
    assert nudiff("generate", *plan, *model, "--processes", processes) == 0
    notes = notes_on(capsys)
    assert all("There is not enough memory for 64 x 128 px" in note for note in notes)
    assert 1 <= len(notes) <= 2, "the estimate of a network is another once it was measured"
    assert windows_in(tmp_path / "out") == [64, 64, 64]


def test_a_session_does_with_less_too(request_, wide_layout, monkeypatch) -> None:
    limited(monkeypatch, most_px=64 * 128)
    session, notes, made = Session(JobQueue(InlineExecutor())), [], []
    session.rendering.checkpoint, session.rendering.steps = request_.checkpoint, 2
    session.rendering.device = "cpu"
    session.progressed.connect(lambda progress, _: notes.append(progress.note))
    session.finished.connect(lambda sample, _: made.append(sample))
    session.render(wide_layout)
    (note,) = filter(None, notes)
    assert "windows of 128 px" in note
    assert made[0].provenance["request"]["window_px"] == 128


def test_an_item_of_a_plan_does_with_less_and_passes_the_note_on(
    request_, tmp_path, monkeypatch
) -> None:
    limited(monkeypatch, most_px=64 * 64)
    plan = GenerationPlan(
        count=1, layouts="scattered", height_px=64, width_px=128, steps=2, device="cpu",
        image_checkpoint=request_.checkpoint,
    )  # fmt: skip
    _, (note,) = notes_of(generate(plan, tmp_path / "out"))
    assert "windows of 64 px" in note


LIMITED = """
import resource, sys
import numpy as np
from napari_nudiff.synthesis.pipeline import render
from napari_nudiff.synthesis.request import RenderRequest
from napari_nudiff.work import run
import torch

labels = np.zeros((448, 448), dtype=np.int32)
labels[20:40, 30:60] = 1
request = RenderRequest(sys.argv[1], steps=1, guidance=1.2, device="cpu", precision="fp32")
small = np.ascontiguousarray(labels[:64, :64])
run(render(small, request))  # libraries load, threads start
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[2]),) * 2)
sample = run(render(labels, request), lambda progress: progress.note and print(progress.note))
print(sample.provenance["request"]["window_px"])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's here")
def test_a_real_limit_of_memory_is_lived_with(tmp_path) -> None:
    command = [sys.executable, "-c", LIMITED, DEFAULT_IMAGE, str(220_000_000)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    note, window = result.stdout.splitlines()
    assert "windows of 256 px" in note
    assert window == "256"
