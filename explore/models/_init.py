"""Layers without weights, and weights from a seed: so that making a network neither reads nor changes the global random state."""

from __future__ import annotations

import math

import torch
from torch import nn

from explore.errors import UnknownName

NORMS = ("instance", "batch", "layer", "group", "none")


class Conv2d(nn.Conv2d):
    """A convolution whose weights ``draw`` fills."""

    def reset_parameters(self) -> None:
        """Leave them: drawing here would use the global random state."""


class Linear(nn.Linear):
    """A linear layer whose weights ``draw`` fills."""

    def reset_parameters(self) -> None:
        """Leave them: drawing here would use the global random state."""


@torch.no_grad()
def draw(network: nn.Module, seed: int) -> None:
    """Draw all weights of a network anew, in place, from a private generator: PyTorch's default distributions."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = 1 / math.sqrt(
                module.weight[0].numel()
            )  # = Kaiming-uniform with a = √5, PyTorch's default
            for parameter in module.parameters(recurse=False):
                parameter.copy_(
                    torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator)
                )
        elif isinstance(module, nn.GroupNorm | nn.BatchNorm2d | nn.LayerNorm):
            module.reset_parameters()


def norm_of(name: str, width: int, side: int) -> nn.Module:
    """A normalisation layer for maps ``[N, width, side, side]``; "instance" is GroupNorm with one channel a group.

    Raises:
        UnknownName: none of ``NORMS``.
    """
    if name not in NORMS:
        raise UnknownName("norm", name, NORMS)
    if name == "batch":
        return nn.BatchNorm2d(width)
    if name == "layer":
        return nn.LayerNorm([width, side, side])
    if name == "none":
        return nn.Identity()
    return nn.GroupNorm(width if name == "instance" else 4, width)
