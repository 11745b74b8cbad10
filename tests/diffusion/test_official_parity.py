"""The authors' networks and chains, against values computed with their own code."""

import json
from collections import Counter

import pytest
import torch

from napari_nudiff.diffusion.denoiser import Conditioning, EpsDenoiser, Guided
from napari_nudiff.diffusion.samplers import DdpmPosterior, sample_ddim, sample_ddpm
from napari_nudiff.diffusion.schedules import linear_sigmas, respaced_timesteps, sigma_to_abar
from napari_nudiff.diffusion.unet import UNet, UNetConfig
from napari_nudiff.diffusion.weights import _official_name

from .conftest import GOLDEN, Golden

# Processors sum in different orders: AVX2 and AVX-512 differ by 2e-6 in one pass, by 2e-4 after ten
# steps. A mistake in the network or a sampler shows in the second digit.
CLOSE = {"atol": 1e-4, "rtol": 0}
ROUNDING = {"atol": 1e-5, "rtol": 0}
CHAIN = {"atol": 1e-3, "rtol": 0}


def conditioning(golden: Golden) -> Conditioning:
    if golden.role == "structure":
        return Conditioning()
    unet, y = golden.model.unet, golden.io["y"]
    return Conditioning(unet.modulation(y), unet.modulation(None, y))


def denoiser(golden: Golden):
    eps = EpsDenoiser(golden.model.unet)
    return eps if golden.role == "structure" else Guided(eps, 2.0)


def test_forward(golden: Golden) -> None:
    unet, io = golden.model.unet, golden.io
    cond = conditioning(golden)
    if golden.role == "structure":
        torch.testing.assert_close(unet(io["x"], io["t"]), io["out"], **ROUNDING)
    else:
        out = unet(io["x"], io["t"], cond.modulation)
        torch.testing.assert_close(out, io["out_cond"], **ROUNDING)
        torch.testing.assert_close(unet(io["x"], io["t"], cond.null), io["out_null"], **ROUNDING)


@pytest.mark.parametrize("t", [0, 500, 999])
def test_p_mean_variance(golden: Golden, t: int) -> None:
    io, sigmas = golden.io, linear_sigmas()
    posterior = DdpmPosterior.of(torch.cat([sigmas.flip(0), sigmas.new_zeros(1)]))
    x = io["x"] / sigma_to_abar(sigmas[t]).sqrt().float()
    prediction = denoiser(golden).denoise(x, sigmas[t], conditioning(golden))
    mean, log_variance = posterior.mean_and_log_variance(999 - t, io["x"], prediction)
    # x0 = x - sigma eps: the last float32 digit of eps, which differs between machines and numbers
    # of threads, counts 157-fold at t = 999.
    atol = max(1e-4, 2e-6 * float(sigmas[t]))
    torch.testing.assert_close(prediction.x0, io[f"pmv{t}_pred_xstart"], atol=atol, rtol=0)
    torch.testing.assert_close(mean, io[f"pmv{t}_mean"], **CLOSE)
    torch.testing.assert_close(log_variance, io[f"pmv{t}_log_variance"], **CLOSE)


@pytest.mark.parametrize(
    ("sampler", "name"), [(sample_ddpm, "chain10_ancestral"), (sample_ddim, "chain10_ddim")]
)
def test_chain(golden: Golden, sampler, name: str) -> None:
    io = golden.io
    sigmas = EpsDenoiser(golden.model.unet).sigmas(10)
    x = io["x"] / sigma_to_abar(sigmas[0]).sqrt().float()
    steps = list(
        sampler(denoiser(golden), x, sigmas, conditioning(golden), lambda i: io["chain_noises"][i])
    )
    assert len(steps) == 10
    torch.testing.assert_close(steps[-1].x, io[name], **CHAIN)


def test_respaced_timesteps(golden: Golden) -> None:
    assert torch.equal(respaced_timesteps(10), golden.io["timestep_map10"])


@pytest.mark.parametrize(
    ("role", "cond_channels", "parameters"),
    [("structure", 0, 552_814_086), ("image", 3, 652_083_718)],
)
def test_published_architecture(role: str, cond_channels: int, parameters: int) -> None:
    """The full-size network has the published names and shapes, without allocating it."""
    config = UNetConfig(
        out_channels=6,
        base_channels=256,
        multipliers=(1, 1, 2, 2, 4, 4),
        blocks_per_level=2,
        attention_levels=(3, 4, 5),
        head_channels=64,
        norm_groups=32,
        cond_channels=cond_channels,
        spade="own",
        spade_hidden=128,
        null_token=False,
        stem=1,
        resample_blocks=True,
    )
    with torch.device("meta"):
        ours = UNet(config).state_dict()
    theirs = json.loads((GOLDEN / f"{role}_unet_full_state_dict.json").read_text())
    renamed = {_official_name(key): tuple(shape) for key, shape in theirs.items()}
    assert len(renamed) == len(theirs)
    assert {key: tuple(value.shape) for key, value in ours.items()} == renamed
    assert sum(value.numel() for value in ours.values()) == parameters
    assert Counter(len(value.shape) for value in ours.values())[4] > 0
