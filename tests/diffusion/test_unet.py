"""What the split into encode, modulation and decode promises, and classifier-free guidance."""

import pytest
import torch

from napari_nudiff.diffusion.denoiser import Conditioning, Guided, VDenoiser
from napari_nudiff.diffusion.schedules import (
    cosine_sigma,
    cosine_sigmas,
    cosine_time,
    linear_sigmas,
    respaced_timesteps,
    sigma_to_t,
)
from napari_nudiff.diffusion.unet import UNet

T = torch.tensor([300.0])


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(1, 3, 32, 48, generator=torch.Generator().manual_seed(1))


def test_an_empty_layout_is_not_the_same_as_no_layout(tiny: UNet, x: torch.Tensor) -> None:
    empty = tiny.modulation(torch.zeros_like(x))
    none = tiny.modulation(None, x)
    assert not torch.allclose(tiny(x, T, empty), tiny(x, T, none))


def test_globals_that_are_not_told_are_none_or_nan(tiny: UNet, x: torch.Tensor) -> None:
    modulation = tiny.modulation(x)
    untold = tiny(x, T, modulation, torch.full((1, 6), torch.nan))
    assert torch.equal(tiny(x, T, modulation), untold)
    assert not torch.allclose(untold, tiny(x, T, modulation, torch.zeros(1, 6)))


def test_guidance_extrapolates_between_its_two_branches(tiny: UNet, x: torch.Tensor) -> None:
    denoiser, sigma = VDenoiser(tiny), torch.tensor(0.01, dtype=torch.float64)
    cond = Conditioning(denoiser.modulation(x), denoiser.modulation(None, x))
    x = 0.1 * x  # far from the limits of x0, which guidance respects
    x0 = {s: Guided(denoiser, s).denoise(x, sigma, cond).x0 for s in (0.0, 1.0, 2.0)}
    torch.testing.assert_close(x0[2.0], 2 * x0[1.0] - x0[0.0], atol=1e-5, rtol=0)
    outside = Guided(denoiser, 2.0, interval=(1.0, 2.0)).denoise(x, sigma, cond).x0
    assert torch.equal(outside, x0[1.0])


def test_noise_times_invert_noise_levels() -> None:
    sigmas = linear_sigmas()
    assert torch.equal(sigma_to_t(sigmas, sigmas), torch.arange(1000.0))
    u = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    torch.testing.assert_close(cosine_time(cosine_sigma(u)), u)


def test_noise_levels_fall_to_zero() -> None:
    sigmas = cosine_sigmas(20)
    assert len(sigmas) == 21
    assert sigmas[-1] == 0
    assert (sigmas.diff() < 0).all()


@pytest.mark.parametrize("steps", [0, 1001])
def test_impossible_numbers_of_steps_are_refused(steps: int) -> None:
    with pytest.raises(ValueError, match=str(steps)):
        respaced_timesteps(steps)
