"""ConvNet-D: the convolutional network of the dataset-distillation literature."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import nn

from explore.errors import InvalidInput, UnknownName
from explore.models._fused import module as fused
from explore.models._init import NORM_NAMES, Conv2d, Linear, initialise, norm_layer

ACTIVATIONS = {"relu": nn.ReLU, "leakyrelu": nn.LeakyReLU, "sigmoid": nn.Sigmoid, "swish": nn.SiLU}
POOLINGS: dict[str, Callable[[], nn.Module]] = {
    "avg": lambda: nn.AvgPool2d(2),
    "max": lambda: nn.MaxPool2d(2),
    "none": nn.Identity,
}


class ConvNet(nn.Module):
    """``depth`` blocks of convolution 3×3, norm, activation, pooling 2×2; then one linear layer.

    ``forward(x)`` returns logits, ``taps(x)`` the feature map of each block *before* its pooling,
    ``embed(x)`` the flattened output of the last block, ``taps_and_embed(x)`` both in one pass.

    Args:
        channels: of the images.
        classes: number of logits.
        size: side of the square images, in pixels. For 28 the first convolution pads by 3, so that
            the maps are 32×32, as in the released code of this line.
        width: channels of every block.
        depth: number of blocks; by default 3 up to 32 pixels, 4 at 64, 5 at 128.
        norm: "instance" (GroupNorm with one channel for each group), "batch", "layer", "group" (4)
            or "none".
        activation: "relu", "leakyrelu", "sigmoid" or "swish".
        pooling: "avg", "max" or "none".
        seed: of the private generator that sets the weights (PyTorch's default distributions). The
            global random state is neither read nor changed.

    Raises:
        UnknownName: an unknown norm, activation or pooling.
        InvalidInput: the images are too small for that many poolings.

    Source: the ConvNet of DC/DSA/DM (arXiv 2006.05929), used by DataDAM, ATOM, MTT, DATM and EDF.

    Example:
        >>> net = ConvNet(3, 10, 32)
        >>> sum(p.numel() for p in net.parameters())
        320010
        >>> [tuple(f.shape) for f in net.taps(torch.zeros(1, 3, 32, 32))]
        [(1, 128, 32, 32), (1, 128, 16, 16), (1, 128, 8, 8)]
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        size: int,
        *,
        width: int = 128,
        depth: int | None = None,
        norm: str = "instance",
        activation: str = "relu",
        pooling: str = "avg",
        seed: int = 0,
    ) -> None:
        super().__init__()
        for kind, name, names in (
            ("norm", norm, NORM_NAMES),
            ("activation", activation, ACTIVATIONS),
            ("pooling", pooling, POOLINGS),
        ):
            if name not in names:
                raise UnknownName(kind, name, names)
        depth = depth_for(size) if depth is None else depth
        side = 32 if size == 28 else size
        if pooling != "none" and side >> depth < 1:
            raise InvalidInput(
                f"{depth} poolings need images of {2**depth} or more pixels a side, got {size}"
            )
        self.blocks = nn.ModuleList()
        for index in range(depth):
            padding = 3 if index == 0 and size == 28 else 1
            inputs = channels if index == 0 else width
            block = nn.Sequential()
            block.add_module("conv", Conv2d(inputs, width, 3, padding=padding))
            block.add_module("norm", norm_layer(norm, width, side))
            block.add_module("activation", ACTIVATIONS[activation]())
            block.add_module("pool", POOLINGS[pooling]())
            self.blocks.append(block)
            side = side if pooling == "none" else side // 2
        self.classifier = Linear(width * side * side, classes)
        self.draw(seed)

    @property
    def embedding(self) -> int:
        """Length of the vector that ``embed`` returns."""
        return self.classifier.in_features

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits ``[N, classes]``."""
        return self.classifier(self.embed(x))

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Return the flattened output of the last block, ``[N, embedding]``."""
        if fused.applies(self, x):
            return fused.embed(self, x)
        for block in self.blocks:
            x = block(x)
        return x.flatten(1)

    def taps(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the feature map of each block before its pooling, ``[N, width, H_l, W_l]``."""
        return self.taps_and_embed(x)[0]

    def taps_and_embed(self, x: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Return ``taps(x)`` and ``embed(x)`` from one pass."""
        maps: list[torch.Tensor] = []
        block: Any
        for block in self.blocks:
            maps.append(block.activation(block.norm(block.conv(x))))
            x = block.pool(maps[-1])
        return maps, x.flatten(1)

    def draw(self, seed: int) -> Self:
        """Initialise all weights again, in place; much cheaper than a new network."""
        initialise(self, seed)
        return self


def depth_for(size: int) -> int:
    """Return the usual number of blocks for images of ``size`` pixels: 3 up to 32, 4 at 64, 5 at
    128."""
    return max(3, round(math.log2(size)) - 2)
