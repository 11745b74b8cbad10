import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_nudiff.diffusion.denoiser import UNCONDITIONAL, Prediction
from napari_nudiff.diffusion.samplers import SAMPLERS
from napari_nudiff.diffusion.schedules import cosine_sigmas
from napari_nudiff.diffusion.weights import Header, write_weights
from napari_nudiff.errors import LayoutError, RequestError
from napari_nudiff.nuclei.descriptors import stain_style
from napari_nudiff.nuclei.structure import encode_structure
from napari_nudiff.synthesis.canvas import CanvasNoise
from napari_nudiff.synthesis.local import (
    Sides,
    _structure,
    extend_image,
    extend_layout,
    rerender,
    sample_layout_inside,
)
from napari_nudiff.synthesis.masked import Anchored, step_count
from napari_nudiff.synthesis.pipeline import render
from napari_nudiff.synthesis.region import changed_region
from napari_nudiff.synthesis.replay import request_of
from napari_nudiff.synthesis.request import EditRequest, LayoutRequest, RenderRequest
from napari_nudiff.work import Progress, run

from ..networks import IMAGE, randomised

STYLE = (0.4, 0.1, 0.5, 0.2, 0.2, 0.2)


@pytest.fixture
def edit(tiny_checkpoint) -> EditRequest:
    return EditRequest(checkpoint=tiny_checkpoint("image"), steps=3, seed=5, precision="fp32")


@pytest.fixture
def inside(tiny_checkpoint) -> LayoutRequest:
    return LayoutRequest(
        checkpoint=tiny_checkpoint("structure"), steps=3, seed=5, precision="fp32", smoothing_px=1
    )


def changed(request, **values):
    return type(request).from_dict(request.to_dict() | values)


def picture(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(90, 230, (*shape, 3), dtype=np.uint8)


def disc(shape, row, col, radius):
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(rows - row, cols - col) < radius


def without(layout, nucleus):
    return np.where(layout == nucleus, 0, layout)


# Images


@pytest.mark.parametrize("nucleus", [1, 2, 3], ids=["inside", "middle", "at the border"])
@pytest.mark.parametrize("strength", [1.0, 0.4])
def test_outside_the_region_every_pixel_stays(layout, edit, nucleus, strength) -> None:
    image, after = picture(layout.shape), without(layout, nucleus)
    sample = run(rerender(image, layout, after, changed(edit, strength=strength)))
    mask = changed_region(layout, after).mask
    assert np.array_equal(sample.image[~mask], image[~mask])
    assert np.mean(sample.image[layout == nucleus] != image[layout == nucleus]) > 0.5
    assert np.array_equal(sample.labels, after)


def test_a_nucleus_in_the_corner(layout, edit) -> None:
    image, after = picture(layout.shape), layout.copy()
    after[:6, :6] = 9
    after[-6:, -6:] = 10
    sample = run(rerender(image, layout, after, edit))
    mask = changed_region(layout, after).mask
    assert np.array_equal(sample.image[~mask], image[~mask])
    for corner in (np.s_[:4, :4], np.s_[-4:, -4:]):
        assert np.mean(sample.image[corner] != image[corner]) > 0.5


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_keeps_what_it_knows(sampler) -> None:
    known, weight = torch.rand(1, 3, 16, 16) - 0.5, torch.zeros(1, 1, 16, 16)
    weight[..., 4:12, 4:12] = 1
    sigmas = cosine_sigmas(6)
    noise = CanvasNoise(3, 16, 16)
    x = known + noise.initial() * float(sigmas[0])

    class Zero:
        def denoise(self, x, sigma, cond):
            return Prediction(torch.zeros_like(x), torch.ones_like(x))

    steps = list(
        SAMPLERS[sampler](Anchored(Zero(), known, weight), x, sigmas, UNCONDITIONAL, noise.at_step)
    )
    outside = weight.expand_as(known) == 0
    for step in steps[:-1]:
        error = (step.x - known)[outside] / float(step.sigma)
        assert 0.8 < float(error.std()) < 1.2  # the picture, noised to the step's level
    torch.testing.assert_close(steps[-1].x[outside], known[outside], atol=1e-4, rtol=0)
    assert float(steps[-1].x0[~outside].abs().max()) == 0


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_authors_networks_edit_too(layout, edit, sampler, tmp_path) -> None:
    config = replace(IMAGE, out_channels=6, conditions=(), spade="own", null_token=False)
    path = tmp_path / "eps.safetensors"
    write_weights(path, randomised(config), Header("image", config, "eps"), torch.float16)
    image, after = picture(layout.shape), without(layout, 2)
    for strength in (1.0, 0.1):
        request = changed(edit, checkpoint=str(path), sampler=sampler, strength=strength)
        sample = run(rerender(image, layout, after, request))
        mask = changed_region(layout, after).mask
        assert np.array_equal(sample.image[~mask], image[~mask])
        assert np.mean(sample.image[layout == 2] != image[layout == 2]) > 0.5


def test_nuclei_cut_by_a_window_are_told_whole(layout) -> None:
    layout = np.pad(layout, ((0, 100), (0, 200)))
    layout[10:160, 90:100] = 7
    layout[20:25, 290:295] = 1  # a part of nucleus 1 far away
    (patch,) = changed_region(layout, without(layout, 3)).patches(4)
    expected = torch.from_numpy(encode_structure(layout))[None, :, *patch.at]
    assert torch.equal(_structure(layout, patch), expected)


def test_an_empty_change_gives_the_same_bytes(layout, edit) -> None:
    image, seen = picture(layout.shape), []
    sample = run(rerender(image, layout, layout * 7, edit), seen.append)
    assert np.array_equal(sample.image, image)
    assert sample.image is not image
    assert [(p.stage, p.total) for p in seen] == [("load", 0)]
    assert np.array_equal(run(request_of(sample.provenance, image)).image, image)


def test_the_same_edit_gives_the_same_bytes_and_another_seed_does_not(layout, edit) -> None:
    image, after = picture(layout.shape), without(layout, 2)
    first, again = (run(rerender(image, layout, after, edit)) for _ in range(2))
    assert np.array_equal(first.image, again.image)
    assert first.provenance == again.provenance
    other = run(rerender(image, layout, after, changed(edit, seed=6)))
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("strength", [1.0, 0.3])
def test_the_whole_canvas_filled_is_a_render_whatever_was_there(
    layout, edit, sampler, strength
) -> None:
    request = changed(edit, sampler=sampler, style=list(STYLE), strength=strength)
    plain = {k: v for k, v in request.to_dict().items() if k in RenderRequest().to_dict()}
    rendered = run(render(layout, RenderRequest.from_dict(plain))).image
    everything = np.ones(layout.shape, dtype=bool)
    filled = run(
        rerender(picture(layout.shape), 0 * layout, layout, request, region=everything)
    ).image
    assert np.array_equal(filled, rendered) == (strength == 1)


def test_the_same_edit_on_a_larger_canvas_gives_the_same_pixels(edit) -> None:
    image = picture((256, 256))
    layout = np.zeros((256, 256), dtype=np.int32)
    layout[disc(layout.shape, 90, 100, 9)] = 1
    layout[disc(layout.shape, 60, 120, 9)] = 2
    layout[disc(layout.shape, 230, 100, 9)] = 3  # only on the larger canvas
    after = layout.copy()
    after[disc(layout.shape, 100, 72, 8)] = 4
    small = np.s_[:192, :160]
    large_one = run(rerender(image, layout, after, edit)).image
    small_one = run(rerender(image[small], layout[small], after[small], edit)).image
    assert np.abs(large_one[small].astype(int) - small_one).max() <= 1
    assert not np.array_equal(small_one, image[small])


def test_edits_far_apart_do_not_see_each_other(edit) -> None:
    image, layout = picture((64, 400)), np.zeros((64, 400), dtype=np.int32)
    left, right = disc(layout.shape, 30, 40, 9), disc(layout.shape, 30, 350, 9)
    both = run(rerender(image, layout, left + 2 * right, edit)).image
    one = run(rerender(image, layout, left + 0 * layout, edit)).image
    assert np.array_equal(both[:, :200], one[:, :200])
    assert np.array_equal(one[:, 200:], image[:, 200:])


def test_large_windows_are_tiled(edit) -> None:
    layout = np.zeros((64, 640), dtype=np.int32)
    after, image = layout.copy(), picture(layout.shape)
    after[20:40, 20:620] = 1
    sample = run(rerender(image, layout, after, changed(edit, steps=1)))
    mask = changed_region(layout, after).mask
    assert np.array_equal(sample.image[~mask], image[~mask])
    assert np.mean(sample.image[after > 0] != image[after > 0]) > 0.5


def test_a_stronger_refinement_changes_more(layout, edit) -> None:
    image, after = np.full((*layout.shape, 3), 180, np.uint8), without(layout, 2)
    mask = changed_region(layout, after).mask
    differences = []
    for strength in (0.05, 0.2, 0.5, 1.0):
        request = changed(edit, strength=strength, steps=8, guidance=1.0)
        edited = run(rerender(image, layout, after, request)).image.astype(int)
        differences.append(np.abs(edited - image)[mask].mean())
    assert differences == sorted(differences)
    assert 2 * differences[0] < differences[2]


@pytest.mark.parametrize(
    ("steps", "strength", "count"), [(20, 1, 20), (20, 0.5, 10), (20, 0.05, 4), (2, 0.05, 2)]
)
def test_a_refinement_takes_fewer_steps(steps, strength, count, layout, edit) -> None:
    assert step_count(steps, strength) == count
    request, seen = changed(edit, steps=steps, strength=strength), []
    run(rerender(picture(layout.shape), layout, without(layout, 2), request), seen.append)
    assert [p.done for p in seen] == list(range(count + 1))
    assert {p.total for p in seen[1:]} == {count}


def test_progress_counts_over_all_windows_and_shows_the_whole_image(edit) -> None:
    image, layout = picture((64, 400)), np.zeros((64, 400), dtype=np.int32)
    after = disc(layout.shape, 30, 40, 9) + 2 * disc(layout.shape, 30, 350, 9)
    seen: list[Progress] = []
    sample = run(rerender(image, layout, after, edit), seen.append)
    assert [(p.done, p.total) for p in seen[1:]] == [(i, 6) for i in range(1, 7)]
    assert all(p.preview().shape == image.shape for p in seen[1:])
    assert np.array_equal(seen[-1].preview(), sample.image)
    assert not np.shares_memory(seen[-1].preview(), sample.image)


def test_the_style_is_that_of_the_image_unless_told(layout, edit) -> None:
    image, after = picture(layout.shape), without(layout, 2)
    (patch,) = changed_region(layout, after).patches(4)
    seen = [float(value) for value in stain_style(image[patch.at])]
    plain, told, other = (
        run(rerender(image, layout, after, changed(edit, style=style))).image
        for style in (None, seen, STYLE)
    )
    assert np.array_equal(plain, told)
    assert not np.array_equal(plain, other)


@pytest.mark.parametrize("setting", [{"margin_px": 3, "blend_px": 2}, {"blend_px": 9}])
def test_margin_and_blend_matter(layout, edit, setting) -> None:
    image, after, request = picture(layout.shape), without(layout, 2), changed(edit, **setting)
    plain, other = (run(rerender(image, layout, after, r)).image for r in (edit, request))
    assert not np.array_equal(plain, other)
    mask = changed_region(layout, after, request.margin_px, request.blend_px).mask
    assert np.array_equal(other[~mask], image[~mask])


def test_the_provenance_and_the_image_make_the_edit_again(layout, edit) -> None:
    image, after, region = picture(layout.shape), without(layout, 2), disc(layout.shape, 9, 9, 6)
    parent = {"kind": "render", "synthetic": True}
    sample = run(rerender(image, layout, after, edit, region=region, parent=parent))
    stored = json.loads(json.dumps(sample.provenance))
    again = run(request_of(stored, image))
    assert np.array_equal(again.image, sample.image)
    assert again.provenance == sample.provenance
    assert stored["parent"] == parent
    assert stored["digital_source_type"] == "trainedAlgorithmicMedia"
    with pytest.raises(RequestError, match="not the image"):
        run(request_of(stored, picture(layout.shape, seed=1)))
    with pytest.raises(RequestError, match="Give it"):
        run(request_of(stored | {"parent": None}))


def test_an_edited_real_image_says_that_it_is_one(layout, edit) -> None:
    sample = run(rerender(picture(layout.shape), layout, without(layout, 1), edit))
    assert sample.provenance["digital_source_type"] == "compositeWithTrainedAlgorithmicMedia"


def test_closing_the_generator_leaves_everything_as_it_was(layout, edit) -> None:
    image, after = picture(layout.shape), without(layout, 2)
    copies = [array.copy() for array in (image, layout, after)]
    job = rerender(image, layout, after, edit)
    for _ in range(3):
        next(job)
    job.close()
    for array, copy in zip((image, layout, after), copies, strict=True):
        assert np.array_equal(array, copy)
    assert np.array_equal(
        run(rerender(image, layout, after, edit)).image,
        run(rerender(image, layout, after, edit)).image,
    )


@pytest.mark.parametrize(
    ("image", "error"),
    [
        (np.zeros((72, 100, 3)), RequestError),
        (np.zeros((72, 100), np.uint8), RequestError),
        (np.zeros((72, 100, 4), np.uint8), RequestError),
        (np.zeros((72, 101, 3), np.uint8), RequestError),
    ],
)
def test_images_that_do_not_fit_are_refused_before_any_work(layout, edit, image, error) -> None:
    with pytest.raises(error, match="Nothing was changed"):
        next(rerender(image, layout, layout, edit))


def test_layouts_and_regions_that_do_not_fit_are_refused(layout, edit) -> None:
    image = picture(layout.shape)
    for before, after in [
        (layout[:, :-1], layout),
        (layout.astype(float), layout),
        (layout, layout.astype(float)),
        (layout[:60], layout[:60]),
    ]:
        with pytest.raises(LayoutError):
            next(rerender(image, before, after, edit))
    for region in (layout, layout[:-1] > 0):
        with pytest.raises(RequestError, match="region"):
            next(rerender(image, layout, layout, edit, region=region))


@pytest.mark.parametrize(
    "values",
    [{"strength": 0.04}, {"strength": 1.1}, {"margin_px": -1}, {"blend_px": 13}, {"blend_px": -1}],
)
def test_values_out_of_range_are_refused(values) -> None:
    with pytest.raises(RequestError, match=next(iter(values))):
        EditRequest(**values)


def test_edits_survive_json() -> None:
    request = EditRequest(strength=0.4, style=STYLE, margin_px=20)
    assert EditRequest.from_dict(json.loads(json.dumps(request.to_dict()))) == request


# Layouts


def test_nuclei_with_their_centre_outside_keep_every_pixel(inside) -> None:
    layout = np.zeros((128, 128), dtype=np.int32)
    for nucleus, (row, col) in enumerate([(20, 20), (64, 64), (64, 88), (100, 20)], start=1):
        layout[disc(layout.shape, row, col, 8)] = nucleus
    mask = disc(layout.shape, 64, 64, 22)  # nucleus 2 is in it, nucleus 3 reaches into it
    sample = run(sample_layout_inside(layout, mask, changed(inside, min_nucleus_px=0)))
    drawn = sample.labels
    for nucleus in (1, 3, 4):
        assert np.array_equal(drawn == nucleus, layout == nucleus)
    assert not (drawn == 2).any()
    new = np.unique(drawn[drawn > 4])
    assert np.array_equal(new, np.arange(5, 5 + len(new)))
    for nucleus in new:
        row, col = (np.rint(axis.mean()).astype(int) for axis in np.nonzero(drawn == nucleus))
        assert np.hypot(row - 64, col - 64) < 23
    reach = disc(layout.shape, 64, 64, 22 + 13)
    assert np.array_equal(drawn[~reach], layout[~reach])


def test_sampling_inside_is_reproducible_and_leaves_its_input_alone(layout, inside) -> None:
    mask, copy = disc(layout.shape, 40, 50, 20), layout.copy()
    sample = run(sample_layout_inside(layout, mask, inside))
    assert np.array_equal(layout, copy)
    again = run(request_of(json.loads(json.dumps(sample.provenance))))
    assert np.array_equal(again.labels, sample.labels)
    assert again.provenance == sample.provenance
    job = sample_layout_inside(layout, mask, inside)
    next(job), next(job)
    job.close()
    assert np.array_equal(layout, copy)


def test_an_empty_region_changes_nothing(layout, inside) -> None:
    sample = run(sample_layout_inside(layout, np.zeros(layout.shape, bool), inside))
    assert np.array_equal(sample.labels, layout)


def test_new_nuclei_are_whole_and_no_specks(layout, inside) -> None:
    mask = np.ones(layout.shape, dtype=bool)
    sample = run(sample_layout_inside(0 * layout, mask, changed(inside, min_nucleus_px=40)))
    interior = sample.labels.copy()
    edge = np.unique(np.concatenate([interior[[0, -1]].ravel(), interior[:, [0, -1]].ravel()]))
    interior[np.isin(interior, edge)] = 0
    _, areas = np.unique(interior[interior > 0], return_counts=True)
    assert (areas >= 40).all()


@pytest.mark.parametrize("sides", [Sides(right=40), Sides(8, 16, 24, 32), Sides(top=64)])
def test_an_extended_layout_holds_the_old_one(layout, inside, sides) -> None:
    sample = run(extend_layout(layout, sides, inside))
    top, right, bottom, left = sides
    assert sample.labels.shape == (72 + top + bottom, 100 + left + right)
    old = sample.labels[top : top + 72, left : left + 100]
    assert np.array_equal(np.where(layout > 0, old, 0), layout)
    again = run(request_of(json.loads(json.dumps(sample.provenance))))
    assert np.array_equal(again.labels, sample.labels)


def test_an_extended_image_keeps_the_old_one_but_for_the_margin(layout, edit) -> None:
    image, sides = picture(layout.shape), Sides(right=60, bottom=20)
    after = np.pad(layout, ((0, 20), (0, 60)))
    after[disc(after.shape, 40, 130, 9)] = 8
    sample = run(extend_image(image, layout, after, sides, edit))
    assert sample.image.shape == (92, 160, 3)
    margin = edit.margin_px
    kept = np.s_[: 72 - margin, : 100 - margin]
    assert np.array_equal(sample.image[kept], image[kept])
    stored = json.loads(json.dumps(sample.provenance))
    again = run(request_of(stored, image))
    assert np.array_equal(again.image, sample.image)
    assert again.provenance == sample.provenance


def test_regions_of_layouts_that_do_not_fit_are_refused(layout, inside) -> None:
    with pytest.raises(RequestError, match="region"):
        next(sample_layout_inside(layout, layout, inside))
    with pytest.raises(LayoutError):
        next(sample_layout_inside(layout.astype(float), layout > 0, inside))
    with pytest.raises(LayoutError, match="no room"):
        next(sample_layout_inside(layout + (2**31 - 10), layout > 0, inside))
    with pytest.raises(RequestError, match="right"):
        next(extend_layout(layout, Sides(right=-1), inside))
