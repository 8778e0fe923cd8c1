"""The residual networks for CIFAR-10, with the names of the published weights."""

from __future__ import annotations

import torch
from torch import nn

from explore.models._init import Conv2d, Linear


class ResNetCifar(nn.Module):
    """The residual network for CIFAR-10 with 6n + 2 layers. The weights are not initialised.

    Args:
        blocks: n, of each of three stages with 16, 32 and 64 channels.
        classes: number of logits.

    Source: He et al., 2016, section 4.2, shortcuts of kind A (without weights).
    """

    def __init__(self, blocks: int, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        channels = 16
        for stage, width in enumerate((16, 32, 64), 1):
            inputs = [channels, *[width] * (blocks - 1)]
            block_list = [ResidualBlock(count, width) for count in inputs]
            self.add_module(f"layer{stage}", nn.Sequential(*block_list))
            channels = width
        self.linear = Linear(64, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits ``[N, classes]``."""
        x = self.relu(self.bn1(self.conv1(x)))
        for stage in ("layer1", "layer2", "layer3"):
            x = getattr(self, stage)(x)
        return self.linear(x.mean((2, 3)))


class ResidualBlock(nn.Module):
    """Two convolutions 3×3 and a shortcut.

    If the shape changes, the shortcut takes every second pixel and pads the channels with zeros.
    """

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.padding = (width - in_channels) // 2
        self.stride = 1 if in_channels == width else 2
        self.conv1 = Conv2d(in_channels, width, 3, stride=self.stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the shortcut to the convolutions, then apply ReLU."""
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        shortcut = x[:, :, :: self.stride, :: self.stride]
        return self.relu(y + nn.functional.pad(shortcut, (0, 0, 0, 0, self.padding, self.padding)))
