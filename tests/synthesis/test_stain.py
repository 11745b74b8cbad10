import numpy as np
import torch

from napari_nudiff.nuclei.descriptors import stain_style
from napari_nudiff.sample_data import rendered_pair
from napari_nudiff.synthesis.local import rerender
from napari_nudiff.synthesis.request import EditRequest
from napari_nudiff.synthesis.stain import UNCHANGED, StainMap
from napari_nudiff.work import run

LOW, HIGH = (0.4, 0.1, 0.4, 0.1, 0.1, 0.1), (0.7, 0.7, 0.8, 0.3, 0.3, 0.2)


def test_what_the_model_knows_is_left_alone_to_the_last_bit() -> None:
    style = (0.5, 0.3, 0.6, 0.2, 0.2, 0.15)
    stain, image = StainMap.into_range(style, LOW + HIGH), torch.rand(1, 3, 8, 8) * 2 - 1
    assert stain.style == style
    assert torch.equal(stain.carry(image), image)
    assert torch.equal(stain.carry_back(image), image)
    assert StainMap.into_range((-0.9,) * 6, ()).gain == (1, 1, 1)
    assert StainMap.into_range(None, LOW + HIGH) is UNCHANGED


def test_other_stains_are_carried_into_the_range_and_back() -> None:
    rng = np.random.default_rng(0)
    pixels = np.clip(rng.normal((60, 40, 90), (70, 60, 50), (64, 64, 3)), 0, 255).astype(np.uint8)
    stain = StainMap.into_range(tuple(stain_style(pixels).tolist()), LOW + HIGH)
    image = torch.from_numpy(pixels).permute(2, 0, 1) / 127.5 - 1
    carried = stain.carry(image)
    found = torch.cat([carried.mean((1, 2)), carried.std((1, 2), correction=0)])
    assert torch.allclose(found, torch.tensor(stain.style), atol=1e-4)
    assert all(
        lo - 1e-9 <= x <= hi + 1e-9 for lo, x, hi in zip(LOW, stain.style, HIGH, strict=True)
    )
    assert torch.allclose(stain.carry_back(carried), image, atol=1e-5)


def test_a_patch_in_a_strongly_stained_image_has_its_stain() -> None:
    image, labels = (layer[0][:128, :128] for layer in rendered_pair())
    dark = (np.array([20, 0, 10]) + image * np.array([0.75, 0.45, 0.6])).astype(np.uint8)
    nucleus = np.bincount(labels[40:90, 40:90].ravel(), minlength=2)[1:].argmax() + 1
    after = np.where(labels == nucleus, 0, labels)
    sample = run(rerender(dark, labels, after, EditRequest(steps=6, precision="fp32")))
    edited = sample.image
    assert len(sample.provenance["request"]["stain_range"]) == 12, "stored, for the replay"
    new = (edited != dark).any(axis=2)
    around = dark[~new & (labels == 0)].mean(axis=0)
    assert np.abs(edited[labels == nucleus].mean(axis=0) - around).max() < 30
