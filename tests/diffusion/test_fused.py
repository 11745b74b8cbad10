"""The network as it is run against the network as it is trained."""

from dataclasses import replace

import pytest
import torch

from napari_nudiff.diffusion.denoiser import Conditioning, Guided
from napari_nudiff.diffusion.fused import FusedUNet
from napari_nudiff.diffusion.unet import UNet, UNetConfig
from napari_nudiff.diffusion.weights import Header, Model

from ..networks import IMAGE, STRUCTURE, randomised
from .conftest import Golden

NETWORKS = {
    "spade everywhere": IMAGE,
    "structure at the input": replace(IMAGE, structure_at_input=True, spade_from_level=1),
    "no spade": replace(IMAGE, structure_at_input=True, spade_from_level=2),
    "narrow first": replace(IMAGE, narrow_first=True, blocks_per_level=(1, 2)),
    "learned resampling": replace(IMAGE, resample_blocks=True, spade="own", null_token=False),
    "structure": STRUCTURE,
}


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(2, 3, 32, 48, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("config", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("count", [1, 2])
def test_the_fused_network_says_the_same(config: UNetConfig, count: int, x: torch.Tensor) -> None:
    unet, x = randomised(config), x[:count]
    fused, t = FusedUNet(unet), torch.tensor([300.0, 700.0])[:count]
    numbers = 0.1 * torch.arange(config.global_channels * count).view(count, -1).float()
    modulation = unet.modulation(x)
    encoded = fused.encode(x, t, numbers, fused.modulation(x))
    expected = unet(x, t, modulation, numbers)
    torch.testing.assert_close(
        fused.decode(encoded, fused.modulation(x)), expected, atol=1e-5, rtol=1e-5
    )


def test_half_precision_is_close_and_leaves_the_network_as_it_is(x: torch.Tensor) -> None:
    unet = randomised(IMAGE)
    before = {k: v.clone() for k, v in unet.state_dict().items()}
    fused, t = FusedUNet(unet, torch.bfloat16), torch.tensor([300.0])
    modulation = fused.modulation(x[:1])
    out = fused.decode(fused.encode(x[:1], t, None, modulation), modulation).float()
    expected = unet(x[:1], t, unet.modulation(x[:1]))
    error = (out - expected).square().mean().sqrt() / expected.square().mean().sqrt()
    assert error < 0.02
    assert all(torch.equal(before[k], v) for k, v in unet.state_dict().items())


def test_inputs_are_not_written_into(x: torch.Tensor) -> None:
    fused = FusedUNet(randomised(replace(IMAGE, structure_at_input=True)))
    modulation = fused.modulation(x)
    kept = [tensor.clone() for scale in modulation.scales for tensor in scale]
    entry, before = modulation.entry.clone(), x.clone()
    first = fused.decode(fused.encode(x, torch.tensor([9.0, 9.0]), None, modulation), modulation)
    again = fused.decode(fused.encode(x, torch.tensor([9.0, 9.0]), None, modulation), modulation)
    assert torch.equal(first, again)
    assert torch.equal(x, before)
    assert torch.equal(modulation.entry, entry)
    now = [tensor for scale in modulation.scales for tensor in scale]
    assert all(torch.equal(a, b) for a, b in zip(kept, now, strict=True))


def test_guidance_with_the_structure_at_the_input_has_two_whole_branches(x: torch.Tensor) -> None:
    config = replace(IMAGE, structure_at_input=True, spade_from_level=1)
    denoiser = Model(Header("image", config), randomised(config)).denoiser()
    sigma, x = torch.tensor(0.01, dtype=torch.float64), 0.1 * x[:1]
    cond = Conditioning(denoiser.modulation(x), denoiser.modulation(None, x))
    x0 = {s: Guided(denoiser, s).denoise(x, sigma, cond).x0 for s in (0.0, 1.0, 2.0)}
    null = denoiser.denoise(x, sigma, Conditioning(denoiser.modulation(None, x))).x0
    torch.testing.assert_close(x0[0.0], null, atol=1e-5, rtol=0)
    torch.testing.assert_close(x0[2.0], 2 * x0[1.0] - x0[0.0], atol=1e-5, rtol=0)


def test_the_authors_networks_keep_their_values(golden: Golden) -> None:
    """Fused in float32 they are as near to the golden values as the literal network."""
    io, fused = golden.io, FusedUNet(golden.model.unet)
    structure = None if golden.role == "structure" else io["y"]
    modulation = None if structure is None else fused.modulation(structure)
    out = fused.decode(fused.encode(io["x"], io["t"], None, modulation), modulation)
    expected = io["out"] if golden.role == "structure" else io["out_cond"]
    torch.testing.assert_close(out, expected, atol=4e-6, rtol=0)


def test_a_condition_that_is_not_given_is_not_the_same_as_zeros(x: torch.Tensor) -> None:
    config = replace(IMAGE, conditions=("style", "resolution", "appearance"))
    unet, t = randomised(config), torch.tensor([300.0])
    none = torch.full((1, config.global_channels), torch.nan)
    modulation = unet.modulation(x[:1])
    outs = [unet(x[:1], t, modulation)]
    for start, stop in ((0, 6), (6, 7), (7, 23)):
        given = none.clone()
        given[:, start:stop] = 0.0
        outs.append(unet(x[:1], t, modulation, given))
    assert torch.equal(outs[0], unet(x[:1], t, modulation, none))
    different = [not torch.allclose(a, b) for i, a in enumerate(outs) for b in outs[i + 1 :]]
    assert all(different)


def test_configurations_of_earlier_versions_are_read() -> None:
    assert UNetConfig.from_dict({"cond_channels": 3, "global_channels": 6}).has("style")
    assert UNetConfig.from_dict({"global_channels": 2}).conditions == ("density",)
    assert UNetConfig.from_dict({"global_channels": 0}).conditions == ()
    assert isinstance(UNet(UNetConfig.from_dict({"multipliers": [1, 2]})), UNet)
