"""Small networks for the tests of class activation maps."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

KIND_NAMES = ("gradcam", "hirescam", "layercam", "gradcam++", "smoothgradcam++")


def seeded(network: nn.Module, seed: int = 0, scale: float = 0.3) -> nn.Module:
    """Fill all parameters from a private generator."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    return network


def flat_network(*, inplace: bool = False, seed: int = 0) -> nn.Sequential:
    """Two convolutions and a flat head in float64, for images [N, 2, 6, 7] and 4 classes.

    Gradients differ from position to position, so no two kinds of maps agree. The last map, of
    layer "3", has 5 channels of 6×7 values.
    """
    network = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.ReLU(inplace),
        nn.Conv2d(4, 5, 3, padding=1),
        nn.ReLU(inplace),
        nn.Flatten(),
        nn.Linear(5 * 6 * 7, 4),
    )
    seeded(network, seed)
    return network.double().eval()


def pooled_network(weights: tuple[float, ...] = (1.0, -1.0)) -> nn.Sequential:
    """One channel that copies positive pixels, their mean, and one logit for each weight.

    The map of a class is ReLU(weight · image / pixels) at layer "1".
    """
    network = nn.Sequential(
        nn.Conv2d(1, 1, 1, bias=False),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(1, len(weights), bias=False),
    )
    with torch.no_grad():
        network[0].weight.fill_(1)
        network[4].weight.copy_(torch.tensor(weights)[:, None])
    return network


def uniform(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Draw numbers in [0, 1) from a private generator."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def count_hooks(network: nn.Module) -> int:
    """Count the hooks of all modules."""
    names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(module, name)) for module in network.modules() for name in names)


class Returning(nn.Module):
    """A module that returns what a function makes of its input."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(x)
