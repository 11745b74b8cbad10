import json
from collections.abc import Callable

import numpy as np
import pytest
from psygnal import EmitLoopError

from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.errors import CancelledError, LayoutError, RequestError
from napari_nudiff.session import Session
from napari_nudiff.session.jobs import InlineExecutor, Job, JobError, JobQueue, Pace
from napari_nudiff.session.settings import LayoutSettings, RenderSettings
from napari_nudiff.synthesis.request import LayoutRequest, RenderRequest
from napari_nudiff.work import Progress


class Heard:
    """Everything a session says, in order."""

    def __init__(self, session: Session) -> None:
        self.said: list[tuple] = []
        for name in ("job_started", "progressed", "finished", "failed", "cancelled"):
            getattr(session, name).connect(lambda *args, n=name: self.said.append((n, *args)))
        session.busy_changed.connect(lambda busy: self.said.append(("busy", busy)))

    def names(self) -> list[str]:
        return [name for name, *_ in self.said]

    def of(self, name: str) -> list[tuple]:
        return [rest for said, *rest in self.said if said == name]


class Later:
    """An executor that waits to be told what becomes of its jobs."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def run(self, job: Job) -> None:
        self.jobs.append(job)


@pytest.fixture
def session(tiny_checkpoint: Callable[[str], str]) -> Session:
    made = Session(JobQueue(InlineExecutor()))
    made.rendering.checkpoint = tiny_checkpoint("image")
    made.rendering.steps = 3
    made.layout.checkpoint = tiny_checkpoint("structure")
    made.layout.steps = 2
    made.layout.height_px = made.layout.width_px = 64
    return made


def test_render_tells_its_steps_and_hands_the_source_back(session, layout) -> None:
    heard = Heard(session)
    session.render(layout, source="mine")
    assert heard.names() == [
        "busy", "job_started", *["progressed"] * 4, "finished", "busy",
    ]  # fmt: skip
    ((sample, source),) = heard.of("finished")
    assert source == "mine"
    assert sample.image.shape == (72, 100, 3)
    assert json.dumps(sample.provenance)
    assert {source for _, source in heard.of("progressed")} == {"mine"}


def test_sample_draws_a_seed_that_the_provenance_knows(session) -> None:
    heard = Heard(session)
    session.sample()
    ((sample, _),) = heard.of("finished")
    request = sample.provenance["request"]
    assert request["seed"] == session.layout.seed
    assert request["density"] == session.layout.density
    assert sample.labels.shape == (64, 64)


def test_the_style_is_part_of_the_request(session, layout) -> None:
    heard = Heard(session)
    session.stain.reference = (0.5, 0.3, 0.6, 0.2, 0.2, 0.2)
    session.render(layout)
    ((sample, _),) = heard.of("finished")
    assert sample.provenance["request"]["style"] == [0.5, 0.3, 0.6, 0.2, 0.2, 0.2]


def test_bad_layouts_fail_with_the_cores_words(session) -> None:
    heard = Heard(session)
    session.render(np.zeros((40, 80), dtype=int))
    session.render(np.zeros((80, 80)))
    small, floats = (error for error, _ in heard.of("failed"))
    assert isinstance(small, JobError)
    assert "40 x 80" in str(small)
    assert "Traceback" in small.report
    assert "float64" in str(floats)
    assert not session.busy


def test_a_batch_has_seeds_in_a_row_and_its_first_is_the_single_image(session, layout) -> None:
    heard = Heard(session)
    session.rendering.seed = 7
    session.rendering.count = 3
    session.render(layout)
    session.render(layout, count=1)
    samples = [sample for sample, _ in heard.of("finished")]
    seeds = [sample.provenance["request"]["seed"] for sample in samples]
    assert seeds == [7, 8, 9, 7]
    assert np.array_equal(samples[0].image, samples[3].image)
    assert not np.array_equal(samples[0].image, samples[1].image)


def test_jobs_stand_in_line_where_they_are_told_to(tiny_checkpoint, layout) -> None:
    later = Later()
    session = Session(JobQueue(later))
    session.render(layout, source="active")
    session.render(layout, source="back")
    session.render(layout, source="front", place="front")
    assert [job.source for job in session.waiting] == ["front", "back"]
    assert session.active.source == "active"
    gone = []
    session.cancelled.connect(gone.append)
    session.render(layout, source="instead", place="instead")
    assert gone == ["front", "back"]
    assert session.cancelling, "its last step still runs"
    later.jobs[0].end()
    assert gone == ["front", "back", "active"]
    assert session.active.source == "instead"
    session.cancel_all()
    later.jobs[1].end("sample")
    assert gone[-1] == "instead"
    assert not session.busy


def test_a_part_of_an_image_is_rendered_again_and_the_rest_stays(session, layout) -> None:
    heard = Heard(session)
    session.render(layout)
    ((base, _),) = heard.of("finished")
    edited = np.where(layout == layout.max(), 0, layout)
    session.editing.strength = 0.5
    session.rerender(base, edited, source="edit")
    (_, (sample, source)) = heard.of("finished")
    assert source == "edit"
    assert sample.provenance["kind"] == "edit"
    assert sample.provenance["request"]["strength"] == 0.5
    assert base.provenance.items() > sample.provenance["parent"].items(), "but for the layout"
    differs = (sample.image != base.image).any(axis=2)
    assert differs.any()
    assert not differs[0].all()


def test_there_must_be_an_image_to_change(session, layout) -> None:
    with pytest.raises(RequestError, match="Render the whole layout first"):
        session.rerender(Pair(Layout(layout)), layout)


def test_nuclei_are_sampled_in_a_region_as_dense_as_around(session, layout) -> None:
    heard = Heard(session)
    mask = np.zeros(layout.shape, dtype=bool)
    mask[:40, 60:] = True
    session.sample_inside(layout, mask)
    session.extend(layout, (0, 32, 0, 0))
    inside, extended = (sample for sample, _ in heard.of("finished"))
    assert inside.provenance["request"]["density"] is None
    assert np.array_equal(inside.labels[60:, :40], layout[60:, :40])
    assert extended.labels.shape == (72, 132)


@pytest.mark.parametrize("at", [0, 1, 2])
def test_cancel_ends_before_the_next_step(session, layout, at) -> None:
    heard = Heard(session)
    session.progressed.connect(lambda progress, _: session.cancel() if progress.done == at else 0)
    session.render(layout)
    assert len(heard.of("progressed")) == at + 1
    assert heard.names()[-2:] == ["cancelled", "busy"]


def test_a_listener_that_fails_leaves_nobody_busy(session, layout) -> None:
    def fail(*_) -> None:
        raise ValueError("no")

    session.finished.connect(fail)
    heard = Heard(session)
    with pytest.raises(EmitLoopError):
        session.render(layout)
    assert not session.busy
    assert heard.said[-1] == ("busy", False)
    session.finished.disconnect(fail)
    session.render(layout)
    assert "finished" in heard.names()


def test_cancelling_nothing_does_nothing(session) -> None:
    session.cancel()
    assert not session.busy


def test_a_closed_session_is_silent(session, layout) -> None:
    heard = Heard(session)
    session.progressed.connect(lambda *_: session.close())
    session.render(layout)
    assert "finished" not in heard.names()
    assert "cancelled" not in heard.names()


def test_the_queue_goes_on_after_an_error(session, layout) -> None:
    heard = Heard(session)
    session.render(np.zeros((1, 1), dtype=int))
    session.render(layout)
    assert heard.names().count("finished") == 1


def steps(*, error: BaseException | None = None):
    yield Progress("render")
    if error is not None:
        raise error
    return "sample"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (LayoutError("The layout is bad."), "The layout is bad."),
        (RuntimeError("CUDA out of memory"), "not enough memory"),
        (MemoryError(), "not enough memory"),
        (RuntimeError("could not create a primitive"), "not enough memory"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (StopIteration(), "Something went wrong"),
    ],
)
def test_every_exception_becomes_a_job_error(error, words) -> None:
    job = Job(steps(error=error))
    InlineExecutor().run(job)
    assert isinstance(job.outcome, JobError)
    assert not isinstance(job.outcome, RuntimeError)
    assert words in str(job.outcome)


def test_a_cancelled_download_is_no_error() -> None:
    job = Job(steps(error=CancelledError("Cancelled.")))
    InlineExecutor().run(job)
    assert job.done
    assert job.outcome is None


def test_cancelling_closes_the_work() -> None:
    closed = []

    def work():
        try:
            yield Progress("render", 1)
            yield Progress("render", 2)
        finally:
            closed.append(True)

    job = Job(work())
    job.progressed.connect(lambda job, progress: job.cancel())
    InlineExecutor().run(job)
    assert closed == [True]
    assert job.outcome is None


def test_jobs_run_one_after_another_in_order() -> None:
    later, order = Later(), []
    queue = JobQueue(later)
    jobs = [Job(steps(), i) for i in range(3)]
    for job in jobs:
        job.started.connect(lambda job: order.append(job.source))
        queue.add(job)
    assert order == [0]
    queue.cancel(jobs[1])
    assert jobs[1].done
    jobs[0].end("sample")
    assert order == [0, 2]


def test_the_pace_leaves_loading_out() -> None:
    pace = Pace()
    assert pace.remaining_s(0, 10, 0.0) is None
    assert pace.remaining_s(1, 10, 5.0) is None
    assert pace.remaining_s(2, 10, 6.0) == pytest.approx(8.0)
    assert pace.remaining_s(10, 10, 14.0) == 0


def test_the_defaults_are_those_of_the_core() -> None:
    assert RenderSettings().request(RenderRequest) == RenderRequest()
    assert LayoutSettings().request("auto").checkpoint == LayoutRequest().checkpoint


@pytest.mark.parametrize(
    ("group", "name", "value", "words"),
    [
        ("rendering", "steps", 0, "steps is 0; expected 1 to 1000"),
        ("rendering", "sampler", "euler", "sampler is 'euler'; expected one of dpmpp_2m"),
        ("editing", "strength", 2.0, "strength is 2.0"),
        ("layout", "height_px", 32, "height_px is 32"),
    ],
)
def test_a_bad_setting_fails_at_the_click(session, layout, group, name, value, words) -> None:
    heard = Heard(session)
    setattr(getattr(session, group), name, value)
    with pytest.raises(RequestError, match=words):
        if group == "layout":
            session.sample()
        else:
            session.rerender(Pair(Layout(layout), np.zeros((72, 100, 3), np.uint8)), layout)
    assert heard.said == []
    assert not session.busy


def test_a_job_has_the_settings_of_the_click(tiny_checkpoint, layout) -> None:
    later = Later()
    session = Session(JobQueue(later))
    session.rendering.checkpoint, session.rendering.steps = tiny_checkpoint("image"), 2
    session.rendering.seed = 5
    session.render(layout)
    session.rendering.seed, session.rendering.steps = 6, 4
    InlineExecutor().run(later.jobs[0])
    request = later.jobs[0].outcome.provenance["request"]
    assert (request["seed"], request["steps"]) == (5, 2)


def test_stored_settings_of_another_type_are_left_out(session) -> None:
    stored = {
        "rendering": {"steps": "many", "seed": 7, "guidance": 1, "checkpoint": None},
        "stain": {"reference": [0.1] * 6, "preset": 3},
    }
    before = session.rendering.steps, session.rendering.checkpoint
    session.apply_values(stored)
    assert (session.rendering.steps, session.rendering.checkpoint) == before
    assert (session.rendering.seed, session.rendering.guidance) == (7, 1)
    assert session.stain.reference == (0.1,) * 6
    assert session.stain.preset == ""


def test_settings_tell_what_changed() -> None:
    settings, seen = RenderSettings(), []
    settings.events.seed.connect(seen.append)
    settings.seed = 4
    settings.seed = 4
    assert seen == [4]


def test_previews_are_computed_where_the_work_is_and_only_now_and_then() -> None:
    computed: list[int] = []

    def work():
        for step in range(1000):
            yield Progress("render", step, 1000, lambda step=step: computed.append(step) or "image")
        return "sample"

    job, shown = Job(work()), []
    for progress in job.run():
        if progress.preview is not None:
            assert computed[-1] == progress.done, "before anybody asked"
            shown.append(progress.preview())
    assert computed[0] == 0
    assert len(computed) == len(shown) < 20
    assert set(shown) == {"image"}
