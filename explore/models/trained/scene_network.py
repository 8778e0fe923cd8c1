"""The small networks for synthetic scenes."""

from __future__ import annotations

from torch import nn

from explore.models._init import Conv2d, Linear


def scene_network(
    activation: str = "ReLU", classes: int = 5, width: int = 16, channels: int = 3
) -> nn.Sequential:
    """Build six convolutions 3×3, with 1, 1, 2, 2, 4 and 4 times ``width`` channels.

    Each has a batch norm, and each pair ends in a pooling. The weights are not initialised.

    Args:
        activation: name of a class of ``torch.nn``.
        classes: number of logits.
        width: channels of the first convolution.
        channels: of the images.

    Example:
        >>> sum(parameter.numel() for parameter in scene_network().parameters())
        72629
    """
    layers: list[nn.Module] = []
    for index, multiple in enumerate((1, 1, 2, 2, 4, 4)):
        layers += [
            Conv2d(channels, width * multiple, 3, padding=1, bias=False),
            nn.BatchNorm2d(width * multiple),
            getattr(nn, activation)(),
        ]
        channels = width * multiple
        if index % 2:
            layers.append(nn.MaxPool2d(2) if index < 5 else nn.AdaptiveAvgPool2d(1))
    return nn.Sequential(*layers, nn.Flatten(), Linear(channels, classes))


def shallow_network(channels: int = 3, classes: int = 5, width: int = 32) -> nn.Sequential:
    """Build three convolutions 3×3, with 1, 2 and 2 times ``width`` channels, and a global mean.

    Each has a batch norm, and a pooling follows the first two. One value of the last map depends on
    18×18 pixels, so that maps of this network are local. The weights are not initialised.

    Args:
        channels: of the images.
        classes: number of logits.
        width: channels of the first convolution.

    Example:
        >>> sum(parameter.numel() for parameter in shallow_network().parameters())
        56805
    """
    layers: list[nn.Module] = []
    for index, multiple in enumerate((1, 2, 2)):
        layers += [
            Conv2d(channels, width * multiple, 3, padding=1, bias=False),
            nn.BatchNorm2d(width * multiple),
            nn.ReLU(),
        ]
        channels = width * multiple
        layers.append(nn.MaxPool2d(2) if index < 2 else nn.AdaptiveAvgPool2d(1))
    return nn.Sequential(*layers, nn.Flatten(), Linear(channels, classes))
