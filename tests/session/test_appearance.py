import json
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_nudiff.checkpoints import find_checkpoint
from napari_nudiff.dataset.pair import Pair
from napari_nudiff.session import Session
from napari_nudiff.session.appearance import AppearanceSettings, Reference, takes
from napari_nudiff.session.jobs import InlineExecutor, JobQueue
from napari_nudiff.synthesis.appearance import appearance_of_image

CODE = tuple(round(i / 16 - 0.5, 4) for i in range(16))


@pytest.fixture
def session(tiny_checkpoint: Callable[[str], str]) -> Session:
    made = Session(JobQueue(InlineExecutor()))
    made.rendering.checkpoint = tiny_checkpoint("scaled-image")
    made.rendering.steps = made.layout.steps = 2
    made.layout.checkpoint = tiny_checkpoint("scaled-structure")
    made.layout.height_px = made.layout.width_px = 64
    return made


@pytest.fixture
def made(session) -> Callable[[Callable[[], None]], list[Pair]]:
    """What a deed makes; what fails is raised."""

    def of(deed: Callable[[], None]) -> list[Pair]:
        samples: list[Pair] = []
        listen = session.finished.connect(lambda sample, _: samples.append(sample))
        failures: list[object] = []
        hear = session.failed.connect(lambda error, _: failures.append(error))
        deed()
        session.finished.disconnect(listen)
        session.failed.disconnect(hear)
        assert not failures
        return samples

    return of


@pytest.fixture
def reference() -> Reference:
    pixels = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    return Reference(pixels, 0.5)


def request_of(sample: Pair) -> dict:
    return sample.provenance["request"]


def test_an_appearance_is_drawn_by_the_seed(session, made, layout: NDArray[np.int32]) -> None:
    session.rendering.count = 2
    one, other = made(lambda: session.render(layout))
    assert len(request_of(one)["appearance"]) == 16
    assert request_of(one)["appearance"] != request_of(other)["appearance"]


def test_that_of_a_reference_goes_before(session, made, layout, reference) -> None:
    session.appearance.choose(reference)
    (sample,) = made(lambda: session.render(layout))
    checkpoint = session.rendering.checkpoint
    expected = appearance_of_image(checkpoint, reference.image, reference.um_per_px)
    assert request_of(sample)["appearance"] == list(expected)
    session.appearance.choose(None)
    (sample,) = made(lambda: session.render(layout))
    assert request_of(sample)["appearance"] != list(expected)


def test_a_waiting_job_keeps_what_was_chosen_when_it_was_asked_for(
    session, made, layout, reference
) -> None:
    session.appearance.choose(reference)
    session.job_started.connect(lambda _: session.appearance.choose(None))
    (sample,) = made(lambda: session.render(layout))
    expected = appearance_of_image(session.rendering.checkpoint, reference.image, 0.5)
    assert request_of(sample)["appearance"] == list(expected)


def test_a_recalled_appearance_is_that_of_the_result(session, made, layout) -> None:
    (first,) = made(lambda: session.render(layout))
    session.rendering.seed = 5
    session.recall(request_of(first))
    session.rendering.seed = 5
    (again,) = made(lambda: session.render(layout))
    assert request_of(again)["appearance"] == request_of(first)["appearance"]
    assert session.appearance.is_recalled(session.rendering.checkpoint)


def test_one_that_was_left_to_the_model_is_left_to_it_again(session, made, layout) -> None:
    sha256 = find_checkpoint(session.rendering.checkpoint).sha256
    session.appearance.recall({"appearance": [], "checkpoint_sha256": sha256})
    assert session.appearance.is_recalled(session.rendering.checkpoint)
    (sample,) = made(lambda: session.render(layout))
    assert request_of(sample)["appearance"] == []


def test_a_reference_that_is_too_small_is_said(session, layout, reference) -> None:
    failures = []
    session.failed.connect(lambda error, _: failures.append(str(error)))
    session.appearance.choose(Reference(reference.image[:20], 0.25))
    session.render(layout)
    assert "20 x 96 px; at least 32 px" in failures[0]
    assert not session.busy


def test_an_appearance_of_another_model_is_left_out(
    session, made, layout, reference, tiny_checkpoint
) -> None:
    session.appearance.recall({"appearance": CODE, "checkpoint_sha256": "another"})
    assert not session.appearance.is_recalled(session.rendering.checkpoint)
    (sample,) = made(lambda: session.render(layout))
    assert request_of(sample)["appearance"] != list(CODE)
    session.rendering.checkpoint = tiny_checkpoint("image")
    session.appearance.choose(reference)
    (sample,) = made(lambda: session.render(layout))
    assert request_of(sample)["appearance"] == []


def test_an_edit_looks_like_the_image_around_it(session, made, layout, reference) -> None:
    (base,) = made(lambda: session.render(layout))
    session.appearance.choose(reference)
    edited = np.where(layout == 1, 0, layout)
    (sample,) = made(lambda: session.rerender(base, edited))
    assert request_of(sample)["appearance"] == request_of(base)["appearance"]


def test_settings_are_stored_without_the_pixels(session, reference) -> None:
    session.appearance.recall({"appearance": list(CODE), "checkpoint_sha256": "ab"})
    session.appearance.reference = reference
    stored = json.loads(json.dumps(session.values()))
    session.appearance.choose(None)
    session.apply_values(stored)
    assert session.appearance.code == CODE
    assert session.appearance.checkpoint_sha256 == "ab"
    assert session.appearance.reference is None


def test_what_was_stored_before_there_were_appearances_is_recalled() -> None:
    settings = AppearanceSettings(code=CODE)
    settings.recall({"seed": 3})
    assert settings.code is None


def test_which_models_take_what(tiny_checkpoint) -> None:
    assert takes(tiny_checkpoint("scaled-image"), "appearance")
    assert not takes(tiny_checkpoint("image"), "appearance")
    assert not takes("no such model", "appearance")


# Scale


def test_the_scale_goes_to_models_that_take_it(session, made, layout, tiny_checkpoint) -> None:
    (sample,) = made(lambda: session.render(layout, um_per_px=0.5))
    assert request_of(sample)["um_per_px"] == sample.provenance["um_per_px"] == 0.5
    edited = np.where(layout == 1, 0, layout)
    (edit,) = made(lambda: session.rerender(sample, edited, um_per_px=0.5))
    assert request_of(edit)["um_per_px"] == 0.5
    session.rendering.checkpoint = tiny_checkpoint("image")
    (sample,) = made(lambda: session.render(layout, um_per_px=0.5))
    assert request_of(sample)["um_per_px"] == 0.25


def test_nuclei_are_drawn_at_the_scale_of_those_around(
    session, made, layout, tiny_checkpoint
) -> None:
    mask = np.zeros(layout.shape, dtype=bool)
    mask[:40, 60:] = True
    for checkpoint, expected in (("scaled-structure", 0.5), ("structure", 0.25)):
        session.layout.checkpoint = tiny_checkpoint(checkpoint)
        (inside,) = made(lambda: session.sample_inside(layout, mask, um_per_px=0.5))
        (wide,) = made(lambda: session.extend(layout, (0, 32, 0, 0), um_per_px=0.5))
        assert request_of(inside)["um_per_px"] == request_of(wide)["um_per_px"] == expected


def test_a_new_layout_has_the_scale_of_the_settings(session, made, tiny_checkpoint) -> None:
    session.layout.um_per_px = 0.5
    (sample,) = made(session.sample)
    assert request_of(sample)["um_per_px"] == 0.5
    assert request_of(sample)["mean_area_px"] == session.layout.mean_area_px / 4
    session.layout.checkpoint = tiny_checkpoint("structure")
    failures = []
    session.failed.connect(lambda error, _: failures.append(str(error)))
    session.sample()
    assert "0.25 um per px only" in failures[0]


def test_the_fingerprint_of_a_request_is_that_of_its_model(session, made, layout) -> None:
    (sample,) = made(lambda: session.render(layout))
    found = find_checkpoint(session.rendering.checkpoint)
    assert request_of(sample)["checkpoint_sha256"] == found.sha256
