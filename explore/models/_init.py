"""Layers that are created without random weights, and weights from a seed.

To create a network neither reads nor changes PyTorch's global random state.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from explore.core.validation import check_choice
from explore.errors import InvalidInput

NORM_NAMES = ("instance", "batch", "layer", "group", "none")
GROUP_COUNT = 4
"""Groups of the norm "group"."""

# torch.nn.utils.skip_init and torch.device("meta") would need no classes, but their first use in a
# process imports SymPy, which takes more than a second.


class Conv2d(nn.Conv2d):
    """A convolution whose weights ``initialise`` sets."""

    def reset_parameters(self) -> None:
        """Do nothing: PyTorch's method would use the global random state."""


class Linear(nn.Linear):
    """A linear layer whose weights ``initialise`` sets."""

    def reset_parameters(self) -> None:
        """Do nothing: PyTorch's method would use the global random state."""


@torch.no_grad()
def initialise(network: nn.Module, seed: int) -> None:
    """Set all weights of a network, in place, from a private random generator.

    The distributions are PyTorch's defaults.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            # PyTorch's default, Kaiming-uniform with a = √5, has this bound.
            bound = 1 / math.sqrt(module.weight[0].numel())
            for parameter in module.parameters(recurse=False):
                values = torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator)
                parameter.copy_(values)
        elif isinstance(module, nn.GroupNorm | nn.BatchNorm2d | nn.LayerNorm):
            module.reset_parameters()


def norm_layer(name: str, width: int, side: int) -> nn.Module:
    """Return a normalisation layer for maps ``[N, width, side, side]``.

    "instance" is GroupNorm with one channel for each group.

    Raises:
        UnknownName: the name is not in ``NORM_NAMES``.
        InvalidInput: the width has no four equal groups, or an instance norm of maps of one pixel,
            which would always be 0.
    """
    check_choice("norm", name, NORM_NAMES)
    if name == "group" and width % GROUP_COUNT:
        raise InvalidInput(
            f"norm 'group' needs a width that {GROUP_COUNT} divides in every layer, got {width}"
        )
    if name == "instance" and side == 1:
        raise InvalidInput(
            "norm 'instance' of a map of one pixel is always 0; take larger images, fewer blocks "
            "or another norm"
        )
    if name == "batch":
        return nn.BatchNorm2d(width)
    if name == "layer":
        return nn.LayerNorm([width, side, side])
    if name == "none":
        return nn.Identity()
    return nn.GroupNorm(width if name == "instance" else GROUP_COUNT, width)
