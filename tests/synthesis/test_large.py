"""Large canvases: the same image as in memory, by bands, with nothing left behind."""

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import zarr

from napari_nudiff.dataset.pair import Layout
from napari_nudiff.dataset.pyramid import open_pyramid
from napari_nudiff.dataset.sample import unpack_layout
from napari_nudiff.diffusion.samplers import RULES
from napari_nudiff.diffusion.weights import Header, write_weights
from napari_nudiff.errors import DatasetError, LayoutError, RequestError
from napari_nudiff.nuclei.layout import scatter_nuclei
from napari_nudiff.synthesis import banded, layout, store, tiling
from napari_nudiff.synthesis.large import is_large, render_large, rerender_large
from napari_nudiff.synthesis.pipeline import render
from napari_nudiff.synthesis.request import RenderRequest
from napari_nudiff.work import run

from ..networks import IMAGE, randomised

STYLE = (0.5, 0.3, 0.6, 0.2, 0.2, 0.2)


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows small enough that a small canvas has several rows of them."""
    monkeypatch.setattr(tiling, "WHOLE_CANVAS_PX", 96)
    monkeypatch.setattr(tiling, "WINDOW_PX", 64)
    monkeypatch.setattr(tiling, "OVERLAP_PX", 24)


@pytest.fixture
def request_(tiny_checkpoint: Callable[[str], str]) -> Callable[..., RenderRequest]:
    checkpoint = tiny_checkpoint("image")
    return lambda **values: RenderRequest(
        **{"checkpoint": checkpoint, "steps": 3, "seed": 5, "precision": "fp32"} | values
    )


def nuclei(height: int, width: int) -> np.ndarray:
    return scatter_nuclei((height, width), density=0.3, mean_area_px=200, seed=1)


@pytest.mark.parametrize("sampler", RULES)
@pytest.mark.parametrize("size", [(150, 203), (64, 300), (301, 65), (80, 90)])
def test_the_image_is_the_one_rendered_in_memory(tmp_path, request_, sampler, size) -> None:
    labels, request = nuclei(*size), request_(sampler=sampler, style=STYLE)
    expected = run(render(labels, request))
    made = run(render_large(labels, request, tmp_path / "out.zarr"))
    assert np.array_equal(np.asarray(made.image[0]), expected.image)
    assert np.array_equal(made.labels[0][:], labels)


def test_windows_of_the_usual_size_agree_too(tmp_path, request_, monkeypatch) -> None:
    monkeypatch.undo()
    labels, request = nuclei(130, 700), request_(steps=2, guidance=1.0)
    expected = run(render(labels, request))
    made = run(render_large(labels, request, tmp_path / "out.zarr"))
    assert np.array_equal(np.asarray(made.image[0]), expected.image)


def test_a_learned_variance_is_blended_too(tmp_path) -> None:
    config = replace(IMAGE, out_channels=6, conditions=())
    path = tmp_path / "eps.safetensors"
    write_weights(path, randomised(config), Header("image", config, "eps"), torch.float16)
    labels = nuclei(150, 120)
    request = RenderRequest(checkpoint=str(path), sampler="ddpm", steps=3, precision="fp32")
    expected = run(render(labels, request))
    made = run(render_large(labels, request, tmp_path / "out.zarr"))
    assert np.array_equal(np.asarray(made.image[0]), expected.image)


@pytest.mark.parametrize("kind", ["memmap", "zarr", "uint16"])
def test_labels_need_not_be_in_memory(tmp_path, request_, kind) -> None:
    labels = nuclei(100, 110)
    if kind == "memmap":
        np.save(tmp_path / "labels.npy", labels)
        given = np.load(tmp_path / "labels.npy", mmap_mode="r")
    elif kind == "zarr":
        given = zarr.create_array(tmp_path / "labels.zarr", data=labels, chunks=(33, 40))
    else:
        given = labels.astype(np.uint16)
    made = run(render_large(given, request_(), tmp_path / "out.zarr"))
    assert np.array_equal(np.asarray(made.image[0]), run(render(labels, request_())).image)


def test_only_bands_of_the_labels_are_read(tmp_path, request_, monkeypatch) -> None:
    class Watched:
        """Labels that remember how many rows were asked for at once."""

        def __init__(self, labels: np.ndarray) -> None:
            self.labels, self.shape, self.dtype = labels, labels.shape, labels.dtype
            self.most_rows = 0

        def __getitem__(self, at):
            part = self.labels[at]
            self.most_rows = max(self.most_rows, len(part))
            return part

    watched = Watched(nuclei(1100, 64))
    run(render_large(watched, request_(steps=1), tmp_path / "out.zarr"))
    assert 0 < watched.most_rows <= 512


def test_rows_without_nuclei_and_an_empty_layout_render(tmp_path, request_) -> None:
    labels = nuclei(200, 100)
    labels[60:190] = 0
    for number, given in enumerate([labels, np.zeros((100, 130), np.uint8)]):
        made = run(render_large(given, request_(), tmp_path / f"{number}.zarr"))
        expected = run(render(given, request_())).image
        assert np.array_equal(np.asarray(made.image[0]), expected)


def test_a_nucleus_is_drawn_whole_in_every_window(tmp_path, request_) -> None:
    labels = np.zeros((200, 180), dtype=np.int32)
    labels[10:190, 20:170] = 7
    labels[90:110, 60:80] = 3
    made = run(render_large(labels, request_(), tmp_path / "out.zarr"))
    assert np.array_equal(np.asarray(made.image[0]), run(render(labels, request_())).image)


def test_progress_counts_windows_and_shows_the_image_once_a_step(tmp_path, request_) -> None:
    labels, seen = nuclei(150, 203), []
    made = run(render_large(labels, request_(), tmp_path / "out.zarr"), seen.append)
    windows = len(tiling.windows_over(152, 208, 4))
    rendered = [p for p in seen if p.stage == "render"]
    steps = [p.done for p in rendered]
    assert steps[: 3 * windows] == list(range(1, 3 * windows + 1))
    assert {p.total for p in rendered} == {3 * windows}
    previews = [p for p in rendered if p.preview is not None]
    assert [p.done for p in previews] == [windows, 2 * windows, 3 * windows]
    assert np.array_equal(previews[-1].preview(), np.asarray(made.image[0]))


def test_a_preview_is_small(tmp_path, request_, monkeypatch) -> None:
    monkeypatch.setattr(banded, "PREVIEW_PX", 40)
    seen = []
    made = run(render_large(nuclei(150, 203), request_(), tmp_path / "out.zarr"), seen.append)
    *_, last = [p.preview() for p in seen if p.preview is not None]
    assert last.shape == (25, 34, 3)
    assert np.array_equal(last, np.asarray(made.image[0])[::6, ::6])


# Files


def test_nothing_is_left_beside_the_result(tmp_path, request_) -> None:
    run(render_large(nuclei(100, 110), request_(), tmp_path / "new" / "out.zarr"))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out.zarr"]


@pytest.mark.parametrize("after", [1, 3, 12])
def test_a_closed_job_removes_its_files(tmp_path, request_, after) -> None:
    job = render_large(nuclei(150, 203), request_(), tmp_path / "out.zarr")
    for _ in itertools.islice(job, after):
        pass
    job.close()
    assert not list(tmp_path.iterdir())


def test_unfinished_work_never_has_the_final_name(tmp_path, request_) -> None:
    job = render_large(nuclei(150, 203), request_(steps=1), tmp_path / "out.zarr")
    names = {path.name for _ in job for path in tmp_path.iterdir()}
    assert len(names) == 1
    assert names.pop().startswith("out.zarr.unfinished-")
    assert open_pyramid(tmp_path / "out.zarr").image[0].shape == (150, 203, 3)


def test_what_is_there_is_never_overwritten(tmp_path, request_) -> None:
    out = tmp_path / "out.zarr"
    out.mkdir()
    (out / "mine").write_text("keep")
    with pytest.raises(DatasetError, match="is there already"):
        run(render_large(nuclei(100, 110), request_(), out))
    assert (out / "mine").read_text() == "keep"
    assert [path.name for path in tmp_path.iterdir()] == ["out.zarr"]


def test_too_little_disk_is_told_before_anything_is_written(
    tmp_path, request_, monkeypatch
) -> None:
    little = SimpleNamespace(free=100_000)
    monkeypatch.setattr(store.shutil, "disk_usage", lambda _: little)
    with pytest.raises(DatasetError, match="Nothing was written"):
        run(render_large(nuclei(100, 110), request_(), tmp_path / "out.zarr"))
    assert not list(tmp_path.iterdir())


def test_a_failure_while_writing_is_told_and_cleaned_up(tmp_path, request_, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.BandFile, "write", full)
    with pytest.raises(DatasetError, match="No space left"):
        run(render_large(nuclei(100, 110), request_(), tmp_path / "out.zarr"))
    assert not list(tmp_path.iterdir())


# Refusals


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
def test_bad_layouts_are_refused(tmp_path, request_, labels) -> None:
    with pytest.raises(LayoutError):
        run(render_large(labels, request_(), tmp_path / "out.zarr"))
    assert not list(tmp_path.iterdir())


def test_one_id_for_everything_is_refused(tmp_path, request_, monkeypatch) -> None:
    monkeypatch.setattr(layout, "MAX_NUCLEUS_PX", 100)
    labels = np.zeros((64, 150), dtype=np.int32)
    labels[10, 20], labels[50, 130] = 5, 5
    with pytest.raises(LayoutError, match="Nucleus 5 is 111 px long"):
        run(render_large(labels, request_(), tmp_path / "out.zarr"))


def test_heun_is_refused(tmp_path, request_) -> None:
    with pytest.raises(RequestError, match="heun"):
        next(render_large(nuclei(100, 110), request_(sampler="heun"), tmp_path / "out.zarr"))


def test_only_large_layouts_are_large() -> None:
    assert not is_large((2048, 2048))
    assert is_large((2049, 2048))
    assert is_large((64, 100_000))


# Provenance


def test_the_provenance_is_that_of_a_render(tmp_path, request_) -> None:
    labels = nuclei(100, 110)
    made = run(render_large(labels, request_(), tmp_path / "out.zarr"))
    expected = run(render(labels, request_())).provenance
    stored = json.loads(json.dumps(made.provenance))
    assert np.array_equal(unpack_layout(stored["layout"]), labels)
    for provenance in (stored, expected):
        provenance["layout"].pop("data")  # the same bytes, perhaps in other zlib blocks
    assert stored == expected
    attributes = zarr.open_group(tmp_path / "out.zarr", mode="r").attrs
    assert attributes["synthetic"] is True


def test_a_layout_too_large_to_embed_is_named(tmp_path, request_, monkeypatch) -> None:
    monkeypatch.setattr(layout, "EMBEDDED_PX", 1000)
    labels = nuclei(100, 110)
    stored = run(render_large(labels, request_(), tmp_path / "out.zarr")).provenance
    assert stored["layout"] == {
        "shape": [100, 110],
        "encoding": "ome-zarr",
        "path": "labels/nuclei",
        "sha256": Layout(labels).sha256(),
    }
    assert stored["layout_sha256"] == Layout(labels).sha256()


def test_a_large_render_is_made_again_from_its_folder(tmp_path, request_, monkeypatch) -> None:
    monkeypatch.setattr(layout, "EMBEDDED_PX", 1000)
    request = request_(sampler="dpmpp_2m_sde")
    first = run(render_large(nuclei(100, 130), request, tmp_path / "a.zarr"))
    again = run(rerender_large(tmp_path / "a.zarr", tmp_path / "b.zarr"))
    assert np.array_equal(np.asarray(again.image[0]), np.asarray(first.image[0]))
    assert again.provenance == first.provenance


def test_labels_that_were_changed_are_noticed(tmp_path, request_) -> None:
    run(render_large(nuclei(100, 110), request_(), tmp_path / "a.zarr"))
    zarr.open_group(tmp_path / "a.zarr")["labels/nuclei/0"][0, 0] = 99
    with pytest.raises(RequestError, match="fingerprint"):
        run(rerender_large(tmp_path / "a.zarr", tmp_path / "b.zarr"))
    assert not (tmp_path / "b.zarr").exists()
