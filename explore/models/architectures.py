"""Small AlexNet-, VGG- and ResNet-style networks: what a distilled set must train too, besides the network it was made with."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from explore.errors import InvalidInput, UnknownName
from explore.models._init import Conv2d, Linear, draw, norm_of
from explore.models.convnet import ConvNet


def architecture(
    name: str,
    channels: int,
    classes: int,
    size: int,
    *,
    width: int = 32,
    norm: str = "instance",
    seed: int = 0,
) -> nn.Module:
    """A network by name.

    Args:
        name: "convnet" (ConvNet-D), "alexnet", "vgg11" or "resnet18".
        channels, classes, size: of the images.
        width: channels of the first block; what is 64 in the usual VGG-11 and ResNet-18, and 128 in ConvNet.
        norm: as for ``ConvNet``. Batch norm fails where a step has few images, as on one image a class.
        seed: weights are drawn from a private generator.

    Raises:
        UnknownName: no such network or norm.
        InvalidInput: images below 8 pixels a side.

    Source: the cross-architecture tables of the DC line (arXiv 2006.05929); smaller by ``width``, and pooled less
    often where images are small.

    Example:
        >>> [sum(p.numel() for p in architecture(n, 1, 10, 16, width=8).parameters()) for n in sorted(ARCHITECTURES)]
        [8022, 1626, 176258, 145754]
    """
    if name not in ARCHITECTURES:
        raise UnknownName("architecture", name, ARCHITECTURES)
    if size < 8:
        raise InvalidInput(f"images must have at least 8 pixels a side, got {size}")
    network = ARCHITECTURES[name](channels, classes, size, width, norm)
    draw(network, seed)
    return network


def _convnet(channels: int, classes: int, size: int, width: int, norm: str) -> nn.Module:
    return ConvNet(channels, classes, size, width=width, norm=norm)


def _alexnet(channels: int, classes: int, size: int, width: int, norm: str) -> nn.Module:
    """Five convolutions: 5×5 twice, then 3×3, pooled after the first, second and fifth."""
    plan = [
        (width, 5, True),
        (width * 3 // 2, 5, True),
        (width * 2, 3, False),
        (width * 3 // 2, 3, False),
        (width * 3 // 2, 3, True),
    ]
    return _stacked(channels, classes, size, plan, norm)


def _vgg11(channels: int, classes: int, size: int, width: int, norm: str) -> nn.Module:
    """Eight convolutions 3×3 of 1, 2, 4, 4, 8, 8, 8, 8 times the width."""
    plan = [
        (width * m, 3, pooled)
        for m, pooled in zip((1, 2, 4, 4, 8, 8, 8, 8), (1, 1, 0, 1, 0, 1, 0, 1), strict=True)
    ]
    return _stacked(channels, classes, size, [(w, k, bool(p)) for w, k, p in plan], norm)


def _stacked(
    channels: int, classes: int, size: int, plan: list[tuple[int, int, bool]], norm: str
) -> nn.Module:
    layers: list[nn.Module] = []
    side = size
    for index, (width, kernel, pooled) in enumerate(plan):
        layers += [
            Conv2d(channels, width, kernel, padding=kernel // 2),
            norm_of(norm, width, side),
            nn.ReLU(),
        ]
        channels = width
        last = index == len(plan) - 1
        if pooled and side >= (
            2 if last else 4
        ):  # instance norm of a map of one pixel is 0: no norm may see one
            layers.append(nn.MaxPool2d(2))
            side //= 2
    return nn.Sequential(*layers, nn.Flatten(), Linear(channels * side * side, classes))


def _resnet18(channels: int, classes: int, size: int, width: int, norm: str) -> nn.Module:
    """A convolution 3×3 and eight residual blocks of 1, 1, 2, 2, 4, 4, 8, 8 times the width, then a global mean."""
    layers: list[nn.Module] = [
        Conv2d(channels, width, 3, padding=1, bias=False),
        norm_of(norm, width, size),
        nn.ReLU(),
    ]
    side, before = size, width
    for index, times in enumerate((1, 1, 2, 2, 4, 4, 8, 8)):
        stride = 2 if index in (2, 4, 6) and side >= 4 else 1  # as above
        layers.append(Residual(before, width * times, side, stride, norm))
        side, before = -(-side // stride), width * times
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), Linear(before, classes))


class Residual(nn.Module):
    """Two convolutions 3×3 beside a shortcut, which is a convolution 1×1 where the shape changes."""

    def __init__(self, before: int, width: int, side: int, stride: int, norm: str) -> None:
        super().__init__()
        after = -(-side // stride)
        self.body = nn.Sequential(
            Conv2d(before, width, 3, stride=stride, padding=1, bias=False),
            norm_of(norm, width, after),
            nn.ReLU(),
            Conv2d(width, width, 3, padding=1, bias=False),
            norm_of(norm, width, after),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or before != width:
            self.shortcut = nn.Sequential(
                Conv2d(before, width, 1, stride=stride, bias=False), norm_of(norm, width, after)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Both added, then ReLU."""
        return torch.relu(self.body(x) + self.shortcut(x))


ARCHITECTURES: dict[str, Callable[[int, int, int, int, str], nn.Module]] = {
    "convnet": _convnet,
    "alexnet": _alexnet,
    "vgg11": _vgg11,
    "resnet18": _resnet18,
}
