"""Small AlexNet-, VGG- and ResNet-style networks, on which a distilled set is evaluated besides
ConvNet."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from explore.core.validation import check_choice, check_seed, check_whole_number
from explore.errors import InvalidInput
from explore.models._checks import check_weight_count
from explore.models._init import NORM_NAMES, Conv2d, Linear, initialise, norm_layer
from explore.models.convnet import ConvNet

VGG11_WIDTHS = (1, 2, 4, 4, 8, 8, 8, 8)
VGG11_POOLED = (True, True, False, True, False, True, False, True)
RESNET18_WIDTHS = (1, 1, 2, 2, 4, 4, 8, 8)


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
    """Create a network by name.

    Args:
        name: "convnet" (ConvNet-D), "alexnet", "vgg11" or "resnet18".
        channels, classes, size: of the images.
        width: channels of the first block; 64 in the usual VGG-11 and ResNet-18, 128 in ConvNet.
        norm: as for ``ConvNet``. Batch norm fails if a step has few images, as with one image per
            class.
        seed: of the private generator that sets the weights.

    Raises:
        UnknownName: an unknown network or norm.
        InvalidInput: images with fewer than 8 pixels a side, a number that is no whole number of at
            least 1, a width without four equal groups in each layer for the norm "group", or a
            network with more than a billion weights.

    Source: the cross-architecture tables of the DC line (arXiv 2006.05929); smaller by ``width``,
    and with fewer poolings for small images. Every convolution here keeps the size of its map. The
    released code pads the first convolution of images with one channel more, AlexNet by 4 and
    VGG-11 by 3, so that 28 pixels become 32; other sizes of such images do not fit its classifiers.
    Only "convnet" does the same here, for 28 pixels and any number of channels.

    Example:
        >>> networks = [architecture(n, 1, 10, 16, width=8) for n in sorted(ARCHITECTURES)]
        >>> [sum(p.numel() for p in network.parameters()) for network in networks]
        [8022, 1626, 176258, 145754]
    """
    name = check_choice("architecture", name, ARCHITECTURES)
    norm = check_choice("norm", norm, NORM_NAMES)
    channels, classes, size, width = (
        check_whole_number(label, value, at_least=1)
        for label, value in (
            ("channels", channels), ("classes", classes), ("size", size), ("width", width),
        )
    )  # fmt: skip
    seed = check_seed(seed)
    if size < 8:
        raise InvalidInput(f"images must have 8 or more pixels a side, got {size}")
    # The widest layer has 8 times the width, and the classifier at most a quarter of the size.
    check_weight_count(9 * width * channels + 8 * width * (8 * width + (size // 4) * classes))
    network = ARCHITECTURES[name](channels, classes, size, width, norm)
    initialise(network, seed)
    return network


def _convnet(channels: int, classes: int, size: int, width: int, norm: str) -> nn.Module:
    return ConvNet(channels, classes, size, width=width, norm=norm)


def _alexnet(channels: int, classes: int, size: int, width: int, norm: str) -> nn.Module:
    """Create five convolutions: 5×5 twice, then 3×3, pooled after the first, second and fifth."""
    layers = [
        (width, 5, True),
        (width * 3 // 2, 5, True),
        (width * 2, 3, False),
        (width * 3 // 2, 3, False),
        (width * 3 // 2, 3, True),
    ]
    return _stack(channels, classes, size, layers, norm)


def _vgg11(channels: int, classes: int, size: int, width: int, norm: str) -> nn.Module:
    """Create eight convolutions 3×3 of 1, 2, 4, 4, 8, 8, 8, 8 times the width."""
    layers = [(width * m, 3, pooled) for m, pooled in zip(VGG11_WIDTHS, VGG11_POOLED, strict=True)]
    return _stack(channels, classes, size, layers, norm)


def _stack(
    channels: int, classes: int, size: int, layers: Sequence[tuple[int, int, bool]], norm: str
) -> nn.Module:
    """Create a chain of convolutions, each given by its width, kernel size and whether it is
    pooled."""
    modules: list[nn.Module] = []
    side = size
    for index, (width, kernel, is_pooled) in enumerate(layers):
        convolution = Conv2d(channels, width, kernel, padding=kernel // 2)
        modules += [convolution, norm_layer(norm, width, side), nn.ReLU()]
        channels = width
        # Instance norm of a map of one pixel is 0, so only the last layer may be pooled to one
        # pixel.
        is_last = index == len(layers) - 1
        if is_pooled and side >= (2 if is_last else 4):
            modules.append(nn.MaxPool2d(2))
            side //= 2
    return nn.Sequential(*modules, nn.Flatten(), Linear(channels * side * side, classes))


def _resnet18(channels: int, classes: int, size: int, width: int, norm: str) -> nn.Module:
    """Create a convolution 3×3, eight residual blocks of 1 to 8 times the width, a global mean."""
    modules: list[nn.Module] = [
        Conv2d(channels, width, 3, padding=1, bias=False),
        norm_layer(norm, width, size),
        nn.ReLU(),
    ]
    side, inputs = size, width
    for index, times in enumerate(RESNET18_WIDTHS):
        # As in ``_stack``, a norm must not follow a map of one pixel.
        stride = 2 if index in (2, 4, 6) and side >= 4 else 1
        modules.append(Residual(inputs, width * times, side, stride, norm))
        side, inputs = -(-side // stride), width * times
    return nn.Sequential(*modules, nn.AdaptiveAvgPool2d(1), nn.Flatten(), Linear(inputs, classes))


class Residual(nn.Module):
    """Two convolutions 3×3 and a shortcut, which is a convolution 1×1 if the shape changes."""

    def __init__(self, inputs: int, width: int, side: int, stride: int, norm: str) -> None:
        super().__init__()
        side = -(-side // stride)
        self.body = nn.Sequential(
            Conv2d(inputs, width, 3, stride=stride, padding=1, bias=False),
            norm_layer(norm, width, side),
            nn.ReLU(),
            Conv2d(width, width, 3, padding=1, bias=False),
            norm_layer(norm, width, side),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != width:
            self.shortcut = nn.Sequential(
                Conv2d(inputs, width, 1, stride=stride, bias=False), norm_layer(norm, width, side)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the ReLU of the sum of both."""
        return torch.relu(self.body(x) + self.shortcut(x))


ARCHITECTURES: dict[str, Callable[[int, int, int, int, str], nn.Module]] = {
    "convnet": _convnet,
    "alexnet": _alexnet,
    "vgg11": _vgg11,
    "resnet18": _resnet18,
}
