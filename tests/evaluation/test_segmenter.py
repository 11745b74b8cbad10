"""The judge learns, is kept, and sees images of any size."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.dataset.pairs import load_pairs
from napari_nudiff.errors import DatasetError, RequestError
from napari_nudiff.evaluation.agreement import Score, difference, score, summary
from napari_nudiff.evaluation.features import make_extractor, turned_features
from napari_nudiff.evaluation.segmenter import (
    SegmenterConfig,
    _tiles,
    as_sharp_as,
    foreground,
    load_segmenter,
    predict_maps,
    segmentation_loss,
    train_segmenter,
)
from napari_nudiff.nuclei.layout import scatter_nuclei
from napari_nudiff.nuclei.metrics import dice
from napari_nudiff.nuclei.structure import encode_structure

from .conftest import tissue

CONFIG = SegmenterConfig(steps=60, crop_px=64, batch_crops=4, learning_rate=3e-3)


@pytest.fixture(scope="session")
def judge_file(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("judge") / "judge.safetensors"
    seen = list(train_segmenter(load_pairs(data)[0], path, CONFIG, "cpu"))
    first, *_, last = (float(progress.detail.removeprefix("loss ")) for progress in seen)
    assert last < 0.7 * first
    return path


@pytest.fixture(scope="session")
def judge(judge_file):
    return load_segmenter(judge_file)


def test_a_judge_finds_the_nuclei_of_tissue_it_has_not_seen(judge) -> None:
    labels = scatter_nuclei((100, 130), density=0.25, mean_area_px=200, seed=77)
    found = score(judge, Pair(Layout(labels), tissue(labels), "new", "c"))
    assert found.dice > 0.85
    assert found.aji > 0.5
    assert score(judge, Pair(Layout(labels[::-1]), tissue(labels), "new", "c")).dice < 0.6


def test_a_kept_judge_is_not_trained_again_unless_anything_changed(judge_file, data) -> None:
    pairs, _ = load_pairs(data)
    before = judge_file.read_bytes()
    assert list(train_segmenter(pairs, judge_file, CONFIG, "cpu")) == []
    shorter = SegmenterConfig(steps=1, crop_px=64, batch_crops=2)
    copy = judge_file.with_name("copy.safetensors")
    copy.write_bytes(before)
    assert list(train_segmenter(pairs, copy, shorter, "cpu"))
    assert copy.read_bytes() != before


def test_large_images_are_segmented_in_tiles_without_gaps(judge) -> None:
    labels = scatter_nuclei((900, 400), density=0.2, mean_area_px=300, seed=5)
    field = Pair(Layout(labels), tissue(labels), "large", "c")
    assert score(judge, field).dice > 0.85
    for length in (10, 768, 769, 900, 1500, 4000):
        parts = [np.arange(length)[inner] for _, inner in _tiles(length)]
        assert np.array_equal(np.concatenate(parts), np.arange(length))


def test_the_foreground_is_seen_at_the_scale_of_the_judge(judge) -> None:
    labels = scatter_nuclei((96, 128), density=0.25, mean_area_px=250, seed=6)
    image = tissue(labels)
    assert judge.um_per_px == 0.25
    seen = foreground(judge, image, 0.25)
    assert np.array_equal(seen, predict_maps(judge, image)[0])
    assert dice(labels > 0, seen >= 0.5) > 0.85
    # The same tissue at a half and at twice the magnification.
    small = image.reshape(48, 2, 64, 2, 3).mean(axis=(1, 3)).astype(np.uint8)
    seen = foreground(judge, small, 0.5)
    assert seen.shape == (48, 64)
    assert dice(labels[::2, ::2] > 0, seen >= 0.5) > 0.75
    large = image.repeat(2, 0).repeat(2, 1)
    seen = foreground(judge, large, 0.125)
    assert dice(labels.repeat(2, 0).repeat(2, 1) > 0, seen >= 0.5) > 0.85


def test_the_scale_of_its_images_is_kept_with_a_judge(tmp_path, data) -> None:
    pairs = [
        replace(pair, layout=replace(pair.layout, um_per_px=0.5)) for pair in load_pairs(data)[0]
    ]
    once = SegmenterConfig(steps=1, crop_px=64, batch_crops=1)
    list(train_segmenter(pairs, tmp_path / "judge", once, "cpu"))
    assert load_segmenter(tmp_path / "judge").um_per_px == 0.5


def test_copies_of_another_scale_are_blurred_and_keep_their_size(data) -> None:
    pair = load_pairs(data)[0][0]
    blurred = as_sharp_as(pair, 0.5)
    assert blurred.image.shape == pair.image.shape
    assert blurred.labels is pair.labels
    assert blurred.name != pair.name
    rough = [np.abs(np.diff(p.image.astype(float), axis=0)).mean() for p in (pair, blurred)]
    assert rough[1] < 0.6 * rough[0]
    assert abs(blurred.image.mean() - pair.image.mean()) < 1


def test_the_loss_is_least_for_the_truth() -> None:
    labels = scatter_nuclei((64, 64), density=0.3, mean_area_px=200, seed=0)
    truth = torch.from_numpy(encode_structure(labels))[None]
    right = torch.cat([(truth[:, :1] - 0.5) * 40, truth[:, 1:]], dim=1)
    assert float(segmentation_loss(right, truth)) == pytest.approx(0, abs=1e-3)
    assert float(segmentation_loss(torch.zeros_like(right), truth)) > 0.5


def test_scores_are_summed_up_over_patients(judge) -> None:
    labels = scatter_nuclei((64, 64), density=0.3, mean_area_px=200, seed=0)
    scores = [score(judge, Pair(Layout(labels), tissue(labels), g, g)) for g in "abc"]
    made = summary(scores)
    assert made["dice"].n == 3
    assert made["dice"].value == pytest.approx(scores[0].dice)


@pytest.mark.parametrize("kind", ["judge", "random"])
def test_features_tell_tissue_from_blank(judge, kind) -> None:
    labels = scatter_nuclei((64, 64), density=0.3, mean_area_px=200, seed=0)
    images = np.stack([tissue(labels, 1), tissue(labels, 2), np.full((64, 64, 3), 250, np.uint8)])
    features = make_extractor(kind, judge)(images)
    alike, apart = (np.linalg.norm(features[0] - features[i]) for i in (1, 2))
    assert features.shape[0] == 3
    assert alike < 0.2 * apart


def test_what_is_missing_for_features_is_told(judge, tmp_path) -> None:
    with pytest.raises(RequestError, match="feature-weights"):
        make_extractor("inception", judge)
    with pytest.raises(RequestError, match="torch-fidelity"):
        make_extractor("inception", judge, tmp_path / "none.pth")
    with pytest.raises(RequestError, match="known are judge"):
        make_extractor("eyes", judge)


def test_a_file_that_is_no_judge_is_refused(tmp_path, data) -> None:
    path = tmp_path / "judge.safetensors"
    path.write_bytes(b"something else")
    with pytest.raises(DatasetError, match="no segmenter"):
        load_segmenter(path)
    with pytest.raises(DatasetError, match="no real image"):
        next(train_segmenter([], path, CONFIG, "cpu"))
    with pytest.raises(DatasetError, match="smaller than"):
        next(train_segmenter(load_pairs(data)[0], path, SegmenterConfig(), "cpu"))


def test_images_are_drawn_where_patients_are_too_few() -> None:
    """Two fields of an image are alike: they are one observation."""
    scores = [Score(f"{g}{i}", g, 0.8, 0.6, 0.5, 9, 0, 0) for g in "ab" for i in (1, 1, 2, 2)]
    assert summary(scores)["dice"].n == 4


def test_the_difference_of_paired_fields_is_surer_than_the_means() -> None:
    easy = np.linspace(0.3, 0.9, 12)
    real = [Score(str(i), "a", float(d), 0.5, 0.5, 9, 0, 0) for i, d in enumerate(easy)]
    made = [replace(s, dice=s.dice + 0.05) for s in real]
    apart = difference(made, real)["dice"]
    assert apart.value == pytest.approx(0.05)
    assert apart.high - apart.low < 0.01
    assert summary(made)["dice"].low < summary(real)["dice"].high


def test_missed_and_additional_nuclei_are_counted_per_100_of_all_fields() -> None:
    """A field of one nucleus says less than one of many."""
    crowded = [Score(str(i), "a", 0.8, 0.5, 0.5, 50, 5, 10) for i in range(3)]
    lonely = [Score(str(i), "a", 0.8, 0.5, 0.5, 1, 1, 0) for i in range(3, 6)]
    real = summary([*crowded, *lonely])
    assert real["missed"].value == pytest.approx(100 * 18 / 153)
    assert real["extra"].value == pytest.approx(100 * 30 / 153)
    assert real["missed"].low < real["missed"].value < real["missed"].high
    made = [replace(s, missed=s.missed + 1, extra=0) for s in (*crowded, *lonely)]
    apart = difference(made, [*crowded, *lonely])
    assert apart["missed"].value == pytest.approx(100 * 6 / 153)
    assert apart["extra"].value == pytest.approx(-real["extra"].value)


def test_untrained_features_leave_other_random_numbers_alone(judge) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = make_extractor("random", judge)
    assert torch.equal(torch.rand(3), expected)
    images = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), dtype=np.uint8)
    assert np.array_equal(first(images), make_extractor("random", judge)(images))


def test_every_orientation_has_features_of_its_own() -> None:
    image = np.zeros((1, 8, 8, 3), np.uint8)
    image[0, 1, 2] = 255
    seen = turned_features(lambda images: images[..., 0].reshape(len(images), -1), image)
    assert seen.shape == (1, 8, 64)
    assert len(np.unique(seen[0], axis=0)) == 8
