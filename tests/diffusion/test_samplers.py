"""Each sampler against a closed form.

For data N(mu, s^2) the ideal denoiser is x0 = mu + (x - mu) s^2 / (s^2 + sigma^2), and the
probability-flow ODE has the exact solution
x(sigma) = mu + (x_max - mu) sqrt((s^2 + sigma^2) / (s^2 + sigma_max^2)).
"""

import pytest
import torch

from napari_nudiff.diffusion.denoiser import UNCONDITIONAL, Prediction
from napari_nudiff.diffusion.samplers import RULES, SAMPLERS
from napari_nudiff.diffusion.schedules import cosine_sigmas, linear_sigmas, respaced_sigmas

MU, S = 0.3, 0.25


class Ideal:
    """The ideal denoiser of N(MU, S^2), with a chosen learned variance."""

    def __init__(self, variance: float | None = None) -> None:
        self.variance = variance
        self.evaluations = 0

    def denoise(self, x, sigma, cond):
        self.evaluations += 1
        x0 = MU + (x - MU) * S**2 / (S**2 + sigma.to(x) ** 2)
        variance = None if self.variance is None else torch.full_like(x, self.variance)
        return Prediction(x0, variance)


def start(sigmas: torch.Tensor, n: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, 1, n, 1, generator=generator, dtype=torch.float64) * sigmas[0]


def run(name: str, x: torch.Tensor, sigmas: torch.Tensor, denoiser=None, noise=None):
    return list(SAMPLERS[name](denoiser or Ideal(), x, sigmas, UNCONDITIONAL, noise))


def ode_error(name: str, steps: int) -> float:
    """Error of the last but one x, at a noise level of 0.2, where every step was a full one."""
    sigmas = torch.logspace(1, -0.7, steps + 1, dtype=torch.float64)
    sigmas = torch.cat([sigmas, sigmas.new_zeros(1)])
    x = start(sigmas)
    last = run(name, x, sigmas)[-2].x
    exact = MU + (x - MU) * ((S**2 + sigmas[-2] ** 2) / (S**2 + sigmas[0] ** 2)).sqrt()
    return float((last - exact).abs())


@pytest.mark.parametrize(("name", "order"), [("ddim", 1), ("heun", 2), ("dpmpp_2m", 2)])
def test_ode_samplers_converge_at_their_order(name: str, order: int) -> None:
    ratio = ode_error(name, 40) / ode_error(name, 80)
    assert 2**order * 0.8 < ratio < 2**order * 1.3


@pytest.mark.parametrize("name", ["ddpm", "dpmpp_2m_sde"])
def test_stochastic_samplers_draw_from_the_data(name: str) -> None:
    sigmas = respaced_sigmas(500, linear_sigmas())
    generator = torch.Generator().manual_seed(1)
    x = start(sigmas, 20_000)
    noise = lambda _: torch.randn(x.shape, generator=generator, dtype=x.dtype)  # noqa: E731
    last = run(name, x, sigmas, noise=noise)[-1].x
    assert float(last.mean()) == pytest.approx(MU, abs=0.01)
    assert float(last.std()) == pytest.approx(S, rel=0.05)


def test_the_learned_variance_sets_the_noise_of_a_ddpm_step() -> None:
    sigmas = respaced_sigmas(10, linear_sigmas())
    x = start(sigmas)
    spread = []
    for variance in (-1.0, 1.0):
        quiet, loud = (
            run("ddpm", x, sigmas, Ideal(variance), lambda _, k=k: torch.full_like(x, k))[0].x
            for k in (0.0, 1.0)
        )
        spread.append(float((loud - quiet).abs()))
    abar = 1 / (1 + sigmas**2)
    beta = 1 - abar[0] / abar[1]
    smallest = beta * (1 - abar[1]) / (1 - abar[0])
    expected = [float((v / abar[1]).sqrt()) for v in (smallest, beta)]
    assert spread == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_reports_each_step_and_ends_without_noise(name: str) -> None:
    sigmas = cosine_sigmas(7)
    denoiser = Ideal()
    steps = run(name, start(sigmas), sigmas, denoiser, lambda _: torch.zeros(1, 1, 1, 1))
    assert [step.index for step in steps] == list(range(7))
    assert steps[-1].sigma == 0
    torch.testing.assert_close(steps[-1].x, steps[-1].x0)
    assert denoiser.evaluations == (13 if name == "heun" else 7)


@pytest.mark.parametrize("name", ["ddim", "heun", "dpmpp_2m"])
def test_deterministic_samplers_ask_for_no_noise(name: str) -> None:
    def noise(_: int) -> torch.Tensor:
        raise AssertionError("a deterministic sampler asked for noise")

    assert len(run(name, start(cosine_sigmas(3)), cosine_sigmas(3), noise=noise)) == 3


def test_a_closed_sampler_stops() -> None:
    denoiser = Ideal()
    sigmas = cosine_sigmas(100)
    steps = SAMPLERS["ddim"](denoiser, start(sigmas), sigmas, UNCONDITIONAL, lambda _: None)
    next(steps)
    steps.close()
    assert denoiser.evaluations == 1


@pytest.mark.parametrize("name", RULES)
def test_a_rule_can_be_applied_to_parts_of_a_canvas(name: str) -> None:
    sigmas = cosine_sigmas(4)
    x = start(sigmas, 12)
    noise = [torch.randn(x.shape, generator=torch.Generator().manual_seed(i)) for i in range(4)]
    whole = run(name, x, sigmas, noise=noise.__getitem__)[-1].x
    update, denoiser = RULES[name](sigmas), Ideal()
    parts = []
    for rows in (slice(0, 5), slice(5, 12)):
        part, x0_last = x[:, :, rows], None
        for i, sigma in enumerate(sigmas[:-1]):
            prediction = denoiser.denoise(part, sigma, UNCONDITIONAL)
            part = update(i, part, prediction, x0_last, lambda i, rows=rows: noise[i][:, :, rows])
            x0_last = prediction.x0
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, dim=2), whole, rtol=0, atol=0)
