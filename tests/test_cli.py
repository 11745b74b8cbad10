"""The command line as a user meets it: real processes for the exit status, calls for the rest."""

import hashlib
import json
import subprocess
import sys
import threading
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import torch

from napari_nudiff.checkpoints import DEFAULT_IMAGE, default_checkpoint, find_checkpoint, load_model
from napari_nudiff.cli import main
from napari_nudiff.dataset.images import write_layout, write_rgb
from napari_nudiff.dataset.readers.files import read_um_per_px
from napari_nudiff.synthesis.appearance import appearance_of_image
from napari_nudiff.synthesis.device import using_threads

OFFICIAL = Path(__file__).parent / "data" / "golden" / "structure_unet.pt"


def run(*args: object) -> int:
    return main([str(arg) for arg in args])


@pytest.fixture
def layout_file(tmp_path, layout):
    path = tmp_path / "biopsy.tif"
    write_layout(path, layout)
    return path


@pytest.fixture
def options(tmp_path, tiny_checkpoint):
    checkpoint = tiny_checkpoint("image")
    return ("--out", tmp_path / "out", "--checkpoint", checkpoint, "--steps", 2, "--quiet")


def test_render_writes_the_pair_and_its_request(tmp_path, layout, layout_file, options) -> None:
    assert run("render", layout_file, "--seed", 4, *options) == 0
    out = tmp_path / "out"
    assert sorted(p.name for p in out.iterdir()) == [
        "biopsy.json",
        "biopsy.png",
        "biopsy_labels.tif",
    ]
    assert iio.imread(out / "biopsy.png").shape == (72, 100, 3)
    labels = tifffile.imread(out / "biopsy_labels.tif")
    assert labels.dtype == np.uint16
    assert np.array_equal(labels, layout)
    assert json.loads((out / "biopsy.json").read_text())["request"]["seed"] == 4


def test_the_same_seed_gives_the_same_bytes_in_every_file(tmp_path, layout_file, options) -> None:
    for name in ("a", "b"):
        assert run("render", layout_file, *options, "--out", tmp_path / name) == 0
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_the_json_alone_renders_again(tmp_path, layout_file, options) -> None:
    assert run("render", layout_file, *options) == 0
    layout_file.unlink()
    stored, again = tmp_path / "out" / "biopsy.json", tmp_path / "again"
    assert run("render", "--request", stored, "--out", again, "--quiet") == 0
    for name in ("biopsy.png", "biopsy_labels.tif", "biopsy.json"):
        assert (again / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_what_one_thread_made_one_thread_makes_again(tmp_path, layout_file, options) -> None:
    with using_threads(1):
        assert run("render", layout_file, *options) == 0
    stored, again = tmp_path / "out" / "biopsy.json", tmp_path / "again"
    provenance = json.loads(stored.read_text()) | {"threads": 1}  # as `nudiff generate` notes it
    stored.write_text(json.dumps(provenance))
    with using_threads(3):
        assert run("render", "--request", stored, "--out", again, "--quiet") == 0
        assert torch.get_num_threads() == 3
    assert (again / "biopsy.png").read_bytes() == (tmp_path / "out" / "biopsy.png").read_bytes()


def test_the_style_of_a_reference_image_is_stored(tmp_path, layout_file, options) -> None:
    reference = tmp_path / "reference.png"
    write_rgb(reference, np.full((40, 40, 3), (255, 0, 127), np.uint8))
    assert run("render", layout_file, "--style", reference, *options) == 0
    request = json.loads((tmp_path / "out" / "biopsy.json").read_text())["request"]
    np.testing.assert_allclose(request["style"], [1, -1, -0.004, 0, 0, 0], atol=1e-3)


# Resolution and appearance


@pytest.fixture
def scaled_options(tmp_path, tiny_checkpoint):
    checkpoint = tiny_checkpoint("scaled-image")
    return ("--out", tmp_path / "out", "--checkpoint", checkpoint, "--steps", 2, "--quiet")


def request_in(folder, stem="biopsy") -> dict:
    return json.loads((folder / f"{stem}.json").read_text())["request"]


def test_the_layout_says_its_scale_unless_another_is_asked_for(
    tmp_path, layout, scaled_options
) -> None:
    out = tmp_path / "out"
    for told, expected in ((None, 0.25), (0.5, 0.5)):
        write_layout(tmp_path / "biopsy.tif", layout, told)
        assert run("render", tmp_path / "biopsy.tif", *scaled_options) == 0
        assert request_in(out)["um_per_px"] == expected
    write_layout(tmp_path / "biopsy.tif", layout, 0.5)
    coarse = iio.imread(out / "biopsy.png")
    assert run("render", tmp_path / "biopsy.tif", "--um-per-px", 0.3, *scaled_options) == 0
    assert request_in(out)["um_per_px"] == 0.3
    assert not np.array_equal(coarse, iio.imread(out / "biopsy.png"))
    # What was rendered says its scale in turn.
    assert run("render", out / "biopsy_labels.tif", *scaled_options) == 0
    assert request_in(out, "biopsy_labels")["um_per_px"] == 0.3


def test_a_large_layout_says_its_scale(tmp_path, layout_file, scaled_options) -> None:
    large = tmp_path / "large.zarr"
    assert run("render", layout_file, *scaled_options, "--um-per-px", 0.5, "--out", large) == 0
    assert run("render", large, *scaled_options) == 0
    assert request_in(tmp_path / "out", "large")["um_per_px"] == 0.5


def test_a_scale_that_the_model_does_not_know(tmp_path, layout, options, capsys) -> None:
    path = tmp_path / "biopsy.tif"
    write_layout(path, layout, 0.5)
    assert run("render", path, *options) == 2
    told = capsys.readouterr().err
    assert "0.5 um per px" in told and "--um-per-px 0.25" in told and told.count("\n") == 1
    assert run("render", path, "--um-per-px", 0.5, *options) == 2
    assert "of 0.25 um per px only" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert run("render", path, "--um-per-px", 0.25, *options) == 0


def test_sample_at_another_scale(tmp_path, tiny_checkpoint, capsys) -> None:
    told = ["--out", tmp_path, "--size", 64, 64, "--steps", 2, "--um-per-px", 0.5, "--quiet"]
    assert run("sample", "--checkpoint", tiny_checkpoint("structure"), *told) == 2
    assert "only" in capsys.readouterr().err
    assert run("sample", "--checkpoint", tiny_checkpoint("scaled-structure"), *told) == 0
    assert request_in(tmp_path, "layout-0000")["um_per_px"] == 0.5
    assert read_um_per_px(tmp_path / "layout-0000.tif") == 0.5


def test_an_appearance_is_drawn_taken_from_an_image_or_left_out(
    tmp_path, layout_file, scaled_options, tiny_checkpoint
) -> None:
    out, reference = tmp_path / "out", tmp_path / "reference.png"
    rng = np.random.default_rng(0)
    write_rgb(reference, rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    codes, images = {}, {}
    for name, told in {
        "drawn": ["--seed", 0],
        "another": ["--seed", 1],
        "taken": ["--appearance", reference],
        "none": ["--appearance", "none"],
    }.items():
        assert run("render", layout_file, *told, *scaled_options) == 0
        codes[name] = request_in(out)["appearance"]
        images[name] = (out / "biopsy.png").read_bytes()
    assert len(codes["drawn"]) == 16 and codes["drawn"] != codes["another"]
    image = iio.imread(reference)
    expected = appearance_of_image(tiny_checkpoint("scaled-image"), image)
    assert codes["taken"] == list(expected) != codes["drawn"]
    assert codes["none"] == []
    assert len(set(images.values())) == 4
    again = tmp_path / "again"
    assert run("render", "--request", out / "biopsy.json", "--out", again, "--quiet") == 0
    assert (again / "biopsy.png").read_bytes() == images["none"]


def test_the_scale_of_a_reference_is_that_of_its_file(
    tmp_path, layout_file, scaled_options, tiny_checkpoint
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    coarse, unknown = tmp_path / "coarse.tif", tmp_path / "unknown.tif"
    tifffile.imwrite(coarse, image, resolution=(20_000, 20_000), resolutionunit="CENTIMETER")
    tifffile.imwrite(unknown, image)
    at = partial(appearance_of_image, tiny_checkpoint("scaled-image"), image)
    for reference, told, expected in (
        (coarse, [], at(0.5)),
        (unknown, [], at(0.25)),
        (unknown, ["--um-per-px", 0.5], at(0.5)),
    ):
        more = ["--appearance", reference, *told]
        assert run("render", layout_file, *more, *scaled_options) == 0
        assert request_in(tmp_path / "out")["appearance"] == list(expected)


def test_a_model_without_appearance_says_so(tmp_path, layout_file, options, capsys) -> None:
    reference = tmp_path / "reference.png"
    write_rgb(reference, np.zeros((64, 64, 3), np.uint8))
    assert run("render", layout_file, "--appearance", reference, *options) == 2
    assert "takes no appearance" in capsys.readouterr().err
    assert run("render", layout_file, "--appearance", "none", *options) == 0


def test_sample_writes_numbered_layouts_that_differ(tmp_path, tiny_checkpoint) -> None:
    args = ("sample", "--count", 2, "--size", 64, 80, "--seed", 3, "--steps", 2, "--quiet")
    args += ("--checkpoint", tiny_checkpoint("structure"), "--out", tmp_path)
    assert run(*args) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "layout-0000.json",
        "layout-0000.tif",
        "layout-0001.json",
        "layout-0001.tif",
    ]
    assert tifffile.imread(tmp_path / "layout-0001.tif").shape == (64, 80)
    seeds = [json.loads(p.read_text())["request"]["seed"] for p in sorted(tmp_path.glob("*.json"))]
    assert seeds[0] == 3
    assert seeds[1] != 3


def bad_layout(tmp_path, name):
    path = tmp_path / f"{name}.tif"
    arrays = {
        "rgb": np.zeros((80, 80, 3), np.uint8),
        "float": np.zeros((80, 80), np.float32),
        "negative": np.full((80, 80), -1, np.int16),
        "stack": np.zeros((5, 80, 80), np.uint16),
        "small": np.zeros((63, 80), np.uint16),
    }
    if name == "text":
        path.write_text("no image")
    elif name != "missing":
        tifffile.imwrite(path, arrays[name])
    return path


@pytest.mark.parametrize("name", ["missing", "text", "rgb", "float", "negative", "stack", "small"])
def test_bad_layouts_end_with_one_clear_line(tmp_path, options, capsys, name) -> None:
    path = bad_layout(tmp_path, name)
    assert run("render", path, *options) == 2
    error = capsys.readouterr().err
    assert error.startswith("nudiff: ")
    assert error.count("\n") == 1
    assert not list((tmp_path / "out").glob("**/*"))


def test_one_bad_layout_among_good_ones_costs_no_work(tmp_path, layout_file, options) -> None:
    assert run("render", layout_file, bad_layout(tmp_path, "rgb"), *options) == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        (("--steps", 0), "steps"),
        (("--seed", -1), "seed"),
        (("--sampler", "magic"), "magic"),
        (("--guidance", "nan"), "guidance"),
        (("--device", "abacus"), "abacus"),
        (("--checkpoint", "nowhere"), "nowhere"),
        (("--style", "nowhere.png"), "nowhere.png"),
    ],
)
def test_bad_options_are_named(tmp_path, layout_file, options, capsys, extra, named) -> None:
    assert run("render", layout_file, *options, *extra) == 2
    assert named in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("**/*"))


@pytest.mark.parametrize("content", ["", "{}", '{"request": {}, "schema": 1, "kind": "render"}'])
def test_bad_requests_end_with_one_clear_line(tmp_path, capsys, content) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    assert run("render", "--request", path, "--out", tmp_path / "out") == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_an_output_folder_that_cannot_be_one(tmp_path, layout_file, options, capsys) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert run("render", layout_file, *options, "--out", blocked) == 2
    assert "Nothing was changed" in capsys.readouterr().err


def test_a_damaged_checkpoint_ends_with_one_clear_line(
    tmp_path, layout_file, options, capsys
) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00not a checkpoint")
    assert run("render", layout_file, *options, "--checkpoint", damaged) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_process_has_the_exit_status_and_no_traceback(tmp_path) -> None:
    command = [sys.executable, "-m", "napari_nudiff.cli", "render", "nowhere.tif", "--out", "out"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "nowhere.tif" in result.stderr
    assert not (tmp_path / "out").exists()


def test_models_list_names_the_embedded_ones(capsys) -> None:
    assert run("models", "list") == 0
    out = capsys.readouterr().out
    assert DEFAULT_IMAGE in out
    assert default_checkpoint("image").licence in out


def test_models_add_makes_a_file_available_by_name(
    tmp_path, tiny_checkpoint, layout_file, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("NUDIFF_CACHE", str(tmp_path / "cache"))
    assert run("models", "add", tiny_checkpoint("image"), "--name", "mine") == 0
    assert run("models", "verify", "mine") == 0
    args = ("--checkpoint", "mine", "--steps", 1, "--quiet", "--out", tmp_path / "out")
    assert run("render", layout_file, *args) == 0
    assert run("models", "add", tiny_checkpoint("image"), "--name", "mine") == 2
    assert "mine" in capsys.readouterr().err


def test_models_remove_forgets_an_added_file(
    tmp_path, tiny_checkpoint, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("NUDIFF_CACHE", str(tmp_path / "cache"))
    assert run("models", "add", tiny_checkpoint("image"), "--name", "mine") == 0
    assert run("models", "remove", "mine") == 0
    assert "mine: removed" in capsys.readouterr().out
    assert run("models", "verify", "mine") == 2
    assert run("models", "remove", "mine") == 2
    assert run("models", "remove", DEFAULT_IMAGE) == 2
    assert "cannot be removed" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "width"), [((), 64), (("--head-channels", 32), 32)])
def test_models_add_takes_the_width_of_a_head(tmp_path, monkeypatch, option, width) -> None:
    monkeypatch.setenv("NUDIFF_CACHE", str(tmp_path / "cache"))
    assert run("models", "add", OFFICIAL, "--name", "authors", *option) == 0
    assert load_model("authors").header.network.head_channels == width


@pytest.mark.parametrize("width", [0, -1])
def test_a_head_without_width_is_refused(tmp_path, monkeypatch, capsys, width) -> None:
    monkeypatch.setenv("NUDIFF_CACHE", str(tmp_path / "cache"))
    assert run("models", "add", OFFICIAL, "--name", "authors", "--head-channels", width) == 2
    assert "attention head" in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()


def test_models_fetch_shows_no_bar_for_an_embedded_model(capsys) -> None:
    assert run("models", "fetch", DEFAULT_IMAGE) == 0
    captured = capsys.readouterr()
    assert captured.out.strip().endswith(default_checkpoint("image").file)
    assert captured.err == ""


@pytest.fixture
def registered(tmp_path, tiny_checkpoint, monkeypatch):
    """Name of a checkpoint that a server on this machine has."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Keep standard error for the command."""

    path = Path(tiny_checkpoint("image"))
    server = HTTPServer(("127.0.0.1", 0), partial(Handler, directory=path.parent))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    (tmp_path / "lab.toml").write_text(f"""
        [checkpoints.lab-image]
        role = "image"
        file = "{path.name}"
        size_bytes = {path.stat().st_size}
        sha256 = "{hashlib.sha256(path.read_bytes()).hexdigest()}"
        licence = "CC0"
        training_data = "none"
        um_per_px = 0.25
    """)
    monkeypatch.setenv("NUDIFF_REGISTRY", str(tmp_path / "lab.toml"))
    monkeypatch.setenv("NUDIFF_BASE_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("NUDIFF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield "lab-image"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("quiet", [False, True])
def test_models_fetch_shows_a_bar_while_it_downloads(registered, capsys, quiet) -> None:
    assert run("models", "fetch", registered, *(["--quiet"] if quiet else [])) == 0
    captured = capsys.readouterr()
    assert Path(captured.out.strip()).stat().st_size == find_checkpoint(registered).size_bytes
    assert ("100%" in captured.err) is not quiet
    assert run("models", "fetch", registered) == 0
    assert capsys.readouterr().err == ""  # it is there already


@pytest.mark.slow
def test_a_training_can_be_planned_run_and_watched(tmp_path, capsys) -> None:
    from napari_nudiff.dataset.images import write_layout, write_rgb
    from napari_nudiff.nuclei.layout import scatter_nuclei
    from napari_nudiff.training.records import read_log

    labels = scatter_nuclei((64, 64), density=0.3, mean_area_px=200, seed=0)
    image = np.where(labels[..., None] > 0, (90, 60, 140), (230, 180, 210)).astype(np.uint8)
    write_rgb(tmp_path / "data/images/a.png", image)
    write_layout(tmp_path / "data/labels/a.tif", labels)
    (tmp_path / "own.toml").write_text(
        "[[stages]]\nsteps = 8\ncrop_px = 32\nbatch_crops = 2\n"
        "[network]\nbase_channels = 16\nmultipliers = [1, 2]\nnorm_groups = 8\nhead_channels = 16\n"
        "cond_channels = 3\n"
    )
    run = tmp_path / "run"
    command = ["train", "image", "--config", str(tmp_path / "own.toml"), "--device", "cpu"]
    assert main([*command, "--dry-run"]) == 0
    assert "8        2 x 32" in capsys.readouterr().out
    command += ["--data", str(tmp_path / "data"), "--out", str(run), "--steps", "2", "--quiet"]
    assert main(command) == 0
    assert (run / "image.safetensors").exists()
    capsys.readouterr()
    assert main(["train", "watch", str(run)]) == 0
    assert "step 2 of 2 (100%)" in capsys.readouterr().out
    assert main(["train", "structure", "--config", str(tmp_path / "own.toml")]) == 2
    assert "nudiff train image" in capsys.readouterr().err
    command[command.index(str(run))] = str(tmp_path / "shared")
    assert main([*command, "--processes", "2"]) == 0
    losses = [[r.loss for r in read_log(folder)] for folder in (run, tmp_path / "shared")]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)  # in bf16, on different thread counts
    assert main([*command, "--processes", "2", "--restart", "--data", "nowhere"]) == 2
    assert "one of 2 processes" in capsys.readouterr().err
