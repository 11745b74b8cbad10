"""Going on from the weights of another network.

It may lack what the new one is given: then the new inputs have no effect at first, and the network
learns them in a short run. And the new one may have fewer SPADE norms: then these begin as what
they were on empty background.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from napari_nudiff.diffusion.unet import CONDITIONS, UNet, UNetConfig
from napari_nudiff.errors import RequestError

_EMBEDDING = "global_embed.0.weight"
_SIDE_PX = 256  # far enough from every border


def take_weights(unet: UNet, other: UNet, name: str) -> None:
    """Take over the weights of another network.

    Parameters
    ----------
    unet : UNet
        Changed. Beside what the other network has it may have more conditions, the structure at
        its input, and plain norms where the other has SPADE norms.
    other : UNet
    name : str
        What to call the other one in an error.

    Raises
    ------
    RequestError
        The networks differ in more than that.
    """
    ours, theirs = unet.config, other.config
    alike = replace(
        theirs,
        conditions=ours.conditions,
        structure_at_input=ours.structure_at_input,
        spade_from_level=max(theirs.spade_from_level, ours.spade_from_level),
    )
    lost = set(theirs.conditions) - set(ours.conditions)
    if alike != ours or lost or theirs.structure_at_input > ours.structure_at_input:
        raise RequestError(
            f"start_from = {name!r} is a network of another shape than this recipe's. Copy its "
            "[network] settings into the configuration, or leave it out."
        )
    taken = dict(other.state_dict()) | _plain_norms(unet, other)
    state = unet.state_dict()
    state |= {key: value for key, value in taken.items() if key in state and key != _EMBEDDING}
    if ours.structure_at_input and not theirs.structure_at_input:
        state |= {key: torch.zeros_like(state[key]) for key in ("entry.weight", "entry.bias")}
    if ours.conditions:
        state |= _embedding(state, taken, ours, theirs)
    unet.load_state_dict(state)


def _embedding(
    state: Mapping[str, Tensor],
    taken: Mapping[str, Tensor],
    ours: UNetConfig,
    theirs: UNetConfig,
) -> dict[str, Tensor]:
    """The layer that the conditions enter by."""
    if not theirs.conditions:
        # It is added to the embedding of time: its last layer begins at zero.
        return {k: torch.zeros_like(v) for k, v in state.items() if k.startswith("global_embed.2")}
    old = dict(zip(_inputs(theirs), taken[_EMBEDDING].unbind(dim=1), strict=True))
    nothing = torch.zeros(len(state[_EMBEDDING]))
    columns = [old.get(one, nothing) for one in _inputs(ours)]
    return {_EMBEDDING: torch.stack(columns, dim=1)}


def _inputs(network: UNetConfig) -> list[tuple[str, int]]:
    """What each input of the embedding of conditions is: a number, or whether one is given."""
    numbers = [(name, i) for name in network.conditions for i in range(CONDITIONS[name])]
    return numbers + [(name, -1) for name in network.conditions]


@torch.no_grad()
def _plain_norms(unet: UNet, other: UNet) -> dict[str, Tensor]:
    """Weights of the plain norms that stand where the other network has SPADE norms."""
    if not other.config.cond_channels:
        return {}
    empty = torch.zeros(1, other.config.cond_channels, _SIDE_PX, _SIDE_PX)
    modulation = other.modulation(empty)
    assert modulation is not None
    names = {id(module): name for name, module in other.named_modules()}
    found = {}
    for (_, norm), (weight, bias) in zip(other.spade_norms(), modulation.scales, strict=True):
        name, middle = names[id(norm)], weight.shape[-1] // 2
        if isinstance(unet.get_submodule(name), nn.GroupNorm):
            found[f"{name}.weight"] = weight[0, :, middle, middle].clone()
            found[f"{name}.bias"] = bias[0, :, middle, middle].clone()
    return found
