"""Codes of the look of a tissue: what they depend on, and how one is drawn."""

import numpy as np
import pytest
import torch

from napari_nudiff.diffusion.appearance import AppearanceEncoder, appearance_of, drawn_code


@pytest.fixture
def encoder() -> AppearanceEncoder:
    torch.manual_seed(0)
    return AppearanceEncoder(16).eval().requires_grad_(False)


def noise_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize("size", [(8, 8), (17, 40), (96, 96), (250, 101)])
def test_an_image_of_any_size_has_a_code(encoder: AppearanceEncoder, size: tuple[int, int]) -> None:
    code = appearance_of(encoder, noise_image(*size))
    assert code.shape == (16,)
    assert bool((code.abs() <= 1).all())


def test_the_code_tells_textures_apart_and_not_places(encoder: AppearanceEncoder) -> None:
    first, second = noise_image(192, 192, 1), noise_image(192, 192, 2)
    flat = np.full((192, 192, 3), 200, np.uint8)
    same = (appearance_of(encoder, first) - appearance_of(encoder, second)).norm()
    other = (appearance_of(encoder, first) - appearance_of(encoder, flat)).norm()
    assert same < 0.1 * other


def test_an_even_image_has_a_gradient(encoder: AppearanceEncoder) -> None:
    encoder.requires_grad_(True)
    encoder(torch.ones(1, 3, 32, 32)).sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in encoder.parameters())


def test_a_drawn_code_follows_from_its_seed_and_lies_among_the_bank() -> None:
    bank = torch.rand(20, 16, generator=torch.Generator().manual_seed(3)) - 0.5
    codes = torch.stack([drawn_code(bank, seed) for seed in range(50)])
    assert torch.equal(codes[7], drawn_code(bank, 7))
    assert len(codes.unique(dim=0)) > 40
    assert bool((codes >= bank.min(dim=0).values - 1e-6).all())
    assert bool((codes <= bank.max(dim=0).values + 1e-6).all())


def test_a_spread_leads_further_from_the_bank() -> None:
    bank = torch.rand(20, 16, generator=torch.Generator().manual_seed(3)) - 0.5
    near = torch.stack([drawn_code(bank, seed) for seed in range(50)])
    far = torch.stack([drawn_code(bank, seed, spread=1.0) for seed in range(50)])
    assert torch.cdist(far, bank).min(dim=1).values.mean() > (
        2 * torch.cdist(near, bank).min(dim=1).values.mean()
    )
    assert bool((far.abs() <= 1).all())


def test_a_bank_of_one_draws_it() -> None:
    bank = torch.full((1, 16), 0.25)
    assert torch.equal(drawn_code(bank, 5), bank[0])
