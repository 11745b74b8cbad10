import json

import numpy as np
import pytest
import torch

from napari_nudiff.dataset.sample import unpack_layout
from napari_nudiff.diffusion.fused import FusedUNet
from napari_nudiff.diffusion.weights import Header, write_weights
from napari_nudiff.errors import CheckpointError, LayoutError, RequestError
from napari_nudiff.synthesis import pipeline
from napari_nudiff.synthesis.pipeline import render, sample_layout
from napari_nudiff.synthesis.replay import request_of
from napari_nudiff.synthesis.request import LayoutRequest, RenderRequest
from napari_nudiff.work import Progress, run

from ..networks import IMAGE, STRUCTURE, randomised


@pytest.fixture
def request_(tiny_checkpoint) -> RenderRequest:
    return RenderRequest(checkpoint=tiny_checkpoint("image"), steps=3, seed=5, precision="fp32")


def changed(request: RenderRequest, **values) -> RenderRequest:
    return RenderRequest.from_dict(request.to_dict() | values)


def test_render_fits_the_layout_and_reports_each_step(layout, request_) -> None:
    seen: list[Progress] = []
    sample = run(render(layout, request_), seen.append)
    assert sample.image.shape == (72, 100, 3)
    assert sample.image.dtype == np.uint8
    assert np.array_equal(sample.labels, layout)
    assert [(p.stage, p.done) for p in seen] == [("load", 0)] + [("render", i) for i in (1, 2, 3)]
    assert np.array_equal(seen[-1].preview(), sample.image)


def test_a_preview_that_nobody_looks_at_is_not_computed(layout, request_, monkeypatch) -> None:
    computed = []
    image_of = pipeline.image_of
    monkeypatch.setattr(pipeline, "image_of", lambda *args: computed.append(1) or image_of(*args))
    seen: list[Progress] = []
    sample = run(render(layout, request_), seen.append)
    assert len(computed) == 1, "that of the result"
    first, *_, last = (progress.preview() for progress in seen if progress.preview)
    assert np.array_equal(last, sample.image)
    assert not np.array_equal(first, last), "each is that of its step, whenever it is computed"


def test_the_same_request_gives_the_same_bytes_and_another_seed_does_not(layout, request_) -> None:
    first, again = (run(render(layout, request_)) for _ in range(2))
    assert np.array_equal(first.image, again.image)
    assert first.provenance == again.provenance
    other = run(render(layout, changed(request_, seed=6)))
    assert np.mean(first.image != other.image) > 0.5


def test_the_provenance_alone_makes_the_image_again(layout, request_) -> None:
    request = changed(request_, sampler="dpmpp_2m_sde", style=[0.5, 0.3, 0.6, 0.2, 0.2, 0.2])
    sample = run(render(layout, request))
    stored = json.loads(json.dumps(sample.provenance))
    assert np.array_equal(unpack_layout(stored["layout"]), layout)
    assert np.array_equal(run(request_of(stored)).image, sample.image)


@pytest.mark.parametrize("setting", [{"guidance": 3.0}, {"style": [0.9] * 6}, {"steps": 4}])
def test_every_setting_matters(layout, request_, setting) -> None:
    plain = run(render(layout, request_)).image
    assert not np.array_equal(run(render(layout, changed(request_, **setting))).image, plain)


def test_the_layout_matters_where_it_changed(layout, request_) -> None:
    request = changed(request_, guidance=1.0)
    moved = np.where(layout == 2, 0, layout)
    a, b = (run(render(labels, request)).image.astype(int) for labels in (layout, moved))
    assert np.abs(a - b).max() > 0


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.int64, np.uint64])
def test_the_integer_type_of_the_layout_does_not_matter(layout, request_, dtype) -> None:
    plain = run(render(layout, request_))
    other = run(render(layout.astype(dtype), request_))
    assert np.array_equal(plain.image, other.image)
    assert plain.provenance == other.provenance


def test_an_empty_layout_renders(request_) -> None:
    sample = run(render(np.zeros((64, 64), np.uint8), request_))
    assert sample.image.std() > 0


@pytest.mark.parametrize(
    "labels",
    [
        np.zeros((63, 200), int),
        np.zeros((64, 64, 3), np.uint8),
        np.zeros((64, 64)),
        np.full((64, 64), -1),
        np.full((64, 64), 2**40),
    ],
    ids=["small", "rgb", "float", "negative", "huge ids"],
)
def test_bad_layouts_are_refused_before_any_work(labels, request_) -> None:
    with pytest.raises(LayoutError):
        next(render(labels, request_))


def test_the_encoder_runs_once_a_step_and_the_modulation_once(
    layout, request_, monkeypatch
) -> None:
    calls = {"encode": 0, "decode": 0, "modulation": 0}
    for name in calls:
        original = getattr(FusedUNet, name)

        def counted(self, *args, _name=name, _original=original, **kwargs):
            calls[_name] += 1
            return _original(self, *args, **kwargs)

        monkeypatch.setattr(FusedUNet, name, counted)
    run(render(layout, changed(request_, guidance=1.2)))
    assert calls == {"encode": 3, "decode": 6, "modulation": 2}
    run(render(layout, changed(request_, guidance=1.0)))
    assert calls == {"encode": 6, "decode": 9, "modulation": 3}


def test_closing_the_generator_stops_the_work(layout, request_) -> None:
    job = render(layout, changed(request_, steps=1000))
    next(job)
    next(job)
    job.close()
    with pytest.raises(StopIteration):
        next(job)


def test_sampled_layouts_are_labels_of_the_asked_size(tiny_checkpoint) -> None:
    request = LayoutRequest(
        checkpoint=tiny_checkpoint("structure"), height_px=70, width_px=90, steps=3, seed=2
    )
    sample = run(sample_layout(request))
    assert sample.image is None
    assert sample.labels.shape == (70, 90)
    assert np.issubdtype(sample.labels.dtype, np.integer)
    again = run(request_of(json.loads(json.dumps(sample.provenance))))
    assert np.array_equal(again.labels, sample.labels)


def test_a_model_of_the_other_role_is_refused(layout, tiny_checkpoint) -> None:
    with pytest.raises(CheckpointError, match="needed here"):
        run(render(layout, RenderRequest(checkpoint=tiny_checkpoint("structure"))))


def test_another_version_of_the_checkpoint_is_refused(layout, request_) -> None:
    with pytest.raises(CheckpointError, match="another version"):
        run(render(layout, changed(request_, checkpoint_sha256="0" * 64)))


def test_a_device_that_is_not_there_is_refused(layout, request_) -> None:
    missing = "cuda:99" if torch.cuda.is_available() else "cuda"
    with pytest.raises(RequestError, match=missing):
        run(render(layout, changed(request_, device=missing)))


@pytest.mark.parametrize("role", ["image", "structure"])
def test_numbers_that_are_not_finite_become_no_image(tmp_path, layout, role) -> None:
    config = IMAGE if role == "image" else STRUCTURE
    unet = randomised(config)
    for parameter in unet.parameters():
        parameter.mul_(1e30)
    path = tmp_path / "huge.safetensors"
    write_weights(path, unet, Header(role, config), torch.float32)
    values = {"checkpoint": str(path), "steps": 2, "device": "cpu", "precision": "fp32"}
    with pytest.raises(RequestError, match="not finite"):
        if role == "image":
            run(render(layout, RenderRequest(**values)))
        else:
            run(sample_layout(LayoutRequest(**values, height_px=64, width_px=64)))
