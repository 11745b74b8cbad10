"""Networks that begin with the weights of others."""

from dataclasses import replace

import pytest
import torch

from napari_nudiff.diffusion.unet import UNet
from napari_nudiff.errors import RequestError
from napari_nudiff.training.transfer import take_weights

from ..networks import IMAGE, STRUCTURE, randomised

T = torch.tensor([300.0])


def maps(seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


def test_what_the_other_network_lacked_has_no_effect_at_first() -> None:
    other = randomised(IMAGE)
    config = replace(
        IMAGE, conditions=("style", "resolution", "appearance"), structure_at_input=True
    )
    unet = UNet(config).eval()
    take_weights(unet, other, "other")
    style = torch.rand(1, 6)
    for rest in (torch.full((1, 17), torch.nan), torch.rand(1, 17)):
        torch.testing.assert_close(
            unet(maps(), T, unet.modulation(maps(1)), torch.cat([style, rest], dim=1)),
            other(maps(), T, other.modulation(maps(1)), style),
        )


def test_conditions_may_be_the_first() -> None:
    other, unet = randomised(replace(STRUCTURE, conditions=())), UNet(STRUCTURE).eval()
    take_weights(unet, other, "other")
    torch.testing.assert_close(unet(maps(), T, None, torch.rand(1, 2)), other(maps(), T))


def test_plain_norms_begin_as_spade_norms_were_on_empty_background() -> None:
    other = randomised(IMAGE)
    unet = UNet(replace(IMAGE, spade_from_level=1)).eval()
    take_weights(unet, other, "other")
    empty = torch.zeros(1, 3, 128, 128)
    x = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(2))
    ours = unet(x, T, unet.modulation(empty), torch.zeros(1, 6))
    theirs = other(x, T, other.modulation(empty), torch.zeros(1, 6))
    inner = (..., slice(48, 80), slice(48, 80))  # away from the borders, which SPADE sees
    assert (ours - theirs)[inner].abs().mean() < 0.05 * theirs[inner].std()


@pytest.mark.parametrize(
    "change", [{"base_channels": 32}, {"conditions": ()}, {"cond_channels": 0}], ids=str
)
def test_other_shapes_are_refused(change: dict) -> None:
    with pytest.raises(RequestError, match="another shape"):
        take_weights(UNet(replace(IMAGE, **change)), randomised(IMAGE), "other")
