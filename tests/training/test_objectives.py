"""Losses against their definitions."""

import math
from dataclasses import replace

import pytest
import torch

from napari_nudiff.diffusion.denoiser import EpsDenoiser
from napari_nudiff.diffusion.schedules import linear_sigmas, sigma_to_abar
from napari_nudiff.training.config import TrainConfig
from napari_nudiff.training.data import Batch
from napari_nudiff.training.objectives import diffusion_loss, noise_of, variational_bound

from ..networks import IMAGE

N = 6


@pytest.fixture
def batch() -> Batch:
    g = torch.Generator().manual_seed(0)
    return Batch(
        image=torch.randint(0, 256, (N, 3, 16, 16), generator=g, dtype=torch.uint8),
        structure=torch.rand(N, 3, 16, 16, generator=g),
        numbers=torch.rand(N, 6, generator=g),
        structure_given=torch.tensor([True, False, True] * 2),
        u=(torch.arange(N) + 0.5) / N,
        noise_seed=torch.arange(N),
    )


V = TrainConfig(network=IMAGE)
EPS = TrainConfig(objective="eps", network=replace(IMAGE, out_channels=6, null_token=False))


def clean(batch: Batch) -> torch.Tensor:
    return batch.image.float() / 127.5 - 1


def test_a_network_that_knows_the_image_has_no_velocity_loss(batch) -> None:
    """The denoiser that samples must read the output as the loss wrote it."""
    x0, noise = clean(batch), noise_of(batch.noise_seed, clean(batch))
    seen = []

    def network(x_t, t, cond, numbers, look):
        u = (t.double() / 1000).view(-1, 1, 1, 1)
        sigma = 2 * torch.tan(u * math.pi / 2)
        root, rest = (1 / (1 + sigma**2)).sqrt(), (sigma**2 / (1 + sigma**2)).sqrt()
        assert torch.allclose(x_t, (root * x0 + rest * noise).float(), atol=1e-4)
        seen.append(t)
        return (root * noise - rest * x0).float()

    assert float(diffusion_loss(network, batch, V)) == pytest.approx(0, abs=1e-9)
    assert torch.equal(seen[0], 1000 * batch.u)
    silent = diffusion_loss(lambda x_t, *_: torch.zeros_like(x_t), batch, V)
    assert float(silent) > 0.1


def test_the_condition_is_zero_where_it_is_hidden(batch) -> None:
    def network(x_t, t, cond, numbers, look):
        given = batch.structure_given
        assert cond.shape[1] == 4
        assert torch.equal(cond[given][:, :3], batch.structure[given])
        assert bool((cond[given][:, 3] == 1).all())
        assert not cond[~given].any()
        assert torch.equal(numbers, batch.numbers)
        assert look is None
        return x_t

    diffusion_loss(network, batch, V)


def test_the_noise_loss_of_a_network_that_knows_the_noise_is_only_the_bound(batch) -> None:
    noise = noise_of(batch.noise_seed, clean(batch))

    def network(x_t, t, cond, numbers, look):
        assert cond.shape[1] == 3
        assert torch.equal(t, (1000 * batch.u).floor())
        return torch.cat([noise, torch.full_like(noise, -1.0)], dim=1)

    # The variance is the posterior's and so is the mean: no divergence at any step but the last.
    assert float(diffusion_loss(network, batch, EPS)) == pytest.approx(0, abs=1e-5)


def test_the_bound_is_the_divergence_of_two_normal_distributions() -> None:
    g = torch.Generator().manual_seed(1)
    x0, eps = (torch.randn(1, 1, 4, 4, generator=g).clamp(-1, 1) for _ in range(2))
    step, t = torch.tensor([400]), 599
    abars = sigma_to_abar(linear_sigmas())
    abar, before = abars[t], abars[t - 1]
    x_t = (abar.sqrt() * x0 + (1 - abar).sqrt() * eps).float()
    wrong, fraction = 0.5 * eps, torch.full_like(eps, 0.3)
    beta = 1 - abar / before
    smallest = beta * (1 - before) / (1 - abar)
    log_variance = 0.65 * beta.log() + 0.35 * smallest.log()
    mean = lambda noise: (x_t - beta / (1 - abar).sqrt() * noise) / (1 - beta).sqrt()  # noqa: E731
    p = torch.distributions.Normal(mean(wrong), (0.5 * log_variance).exp())
    q = torch.distributions.Normal(mean(eps), smallest.sqrt())
    expected = torch.distributions.kl_divergence(q, p).mean() / math.log(2)
    made = variational_bound(step, x0, x_t, wrong, fraction)
    assert float(made) == pytest.approx(float(expected), rel=1e-3)


def test_the_last_step_counts_the_likelihood_of_grey_values() -> None:
    """256 grey values under one distribution: their probabilities sum to 1."""
    grey = torch.arange(256) / 127.5 - 1
    x0 = grey.view(256, 1, 1, 1)
    x_t, eps = torch.full_like(x0, 0.2), torch.zeros_like(x0)
    bits = variational_bound(torch.full((256,), 999), x0, x_t, eps, eps)
    assert float((2.0**-bits).sum()) == pytest.approx(1, abs=1e-4)
    assert grey[bits.argmin()] == pytest.approx(0.2, abs=1 / 127)


def test_official_denoiser_and_loss_mean_the_same_time(batch) -> None:
    """t of a training step is t of the same noise level when sampling."""
    denoiser = EpsDenoiser(None)
    sigmas = linear_sigmas()
    for t in (0, 17, 999):
        assert float(denoiser._time(sigmas[t])) == pytest.approx(t, abs=1e-3)
