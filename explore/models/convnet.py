"""ConvNet-D: the convolutional network of the dataset-distillation literature."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import nn

from explore.core.validation import check_choice, check_seed, check_whole_number, describe
from explore.errors import InvalidInput
from explore.models._checks import check_weight_count, is_traced
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
        InvalidInput: the images are too small for that many poolings, a number is no whole number
            of at least 1, the width has no four equal groups for the norm "group", or the network
            would have more than a billion weights.

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
        channels, classes, size, width = (
            check_whole_number(name, value, at_least=1)
            for name, value in (
                ("channels", channels), ("classes", classes), ("size", size), ("width", width),
            )
        )  # fmt: skip
        norm = check_choice("norm", norm, NORM_NAMES)
        activation = check_choice("activation", activation, ACTIVATIONS)
        pooling = check_choice("pooling", pooling, POOLINGS)
        depth = depth_for(size) if depth is None else check_whole_number("depth", depth, at_least=1)
        seed = check_seed(seed)
        side = 32 if size == 28 else size
        if pooling != "none" and side >> depth < 1:
            least = f"{2**depth}" if depth < 64 else f"2^{describe(depth)}"
            raise InvalidInput(
                f"{describe(depth)} poolings need images of {least} or more pixels a side, "
                f"got {size}"
            )
        last_side = side if pooling == "none" else side >> depth
        blocks_weights = 9 * width * (channels + (depth - 1) * width)
        check_weight_count(blocks_weights + width * last_side**2 * classes)
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
        """Return logits ``[N, classes]``.

        Raises:
            InvalidInput: the images have other channels or another size than the network's.
        """
        embedding = self.embed(x)
        if not is_traced(x) and embedding.shape[1] != self.classifier.in_features:
            raise InvalidInput(
                f"images {list(x.shape)} have an embedding of {embedding.shape[1]} values, and the "
                f"classifier takes {self.classifier.in_features}; give images of the size with "
                "which the network was built"
            )
        return self.classifier(embedding)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Return the flattened output of the last block, ``[N, embedding]``."""
        x = self._check_images(x)
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
        x, maps = self._check_images(x), []
        block: Any
        for block in self.blocks:
            maps.append(block.activation(block.norm(block.conv(x))))
            x = block.pool(maps[-1])
        return maps, x.flatten(1)

    def draw(self, seed: int) -> Self:
        """Initialise all weights again, in place; much cheaper than a new network.

        Raises:
            InvalidInput: the seed is no whole number of at least 0.
        """
        initialise(self, check_seed(seed))
        return self

    def _check_images(self, x: torch.Tensor) -> torch.Tensor:
        """Return images ``[N, channels, H, W]``; floats of another width in that of the weights."""
        if is_traced(x):
            return x
        block: Any = self.blocks[0]
        weight: torch.Tensor = block.conv.weight
        if not isinstance(x, torch.Tensor) or x.ndim != 4 or x.shape[1] != weight.shape[1]:
            raise InvalidInput(
                f"images must be a tensor of floats [N, {weight.shape[1]}, H, W], got {describe(x)}"
            )
        if x.device != weight.device:
            raise InvalidInput(
                f"images must be on the device of the network, {weight.device}, got {x.device}"
            )
        padding = 2 * (block.conv.padding[0] - 1)
        least = 1 if isinstance(block.pool, nn.Identity) else 2 ** len(self.blocks)
        if min(x.shape[2], x.shape[3]) + padding < least:
            raise InvalidInput(
                f"{len(self.blocks)} poolings need images of {least - padding} or more pixels a "
                f"side, got {list(x.shape)}"
            )
        if x.dtype == weight.dtype or torch.is_autocast_enabled(x.device.type):
            return x
        if not x.is_floating_point():
            raise InvalidInput(
                f"images must be floats, got {describe(x)}; convert bytes with .float() / 255"
            )
        return x.to(weight.dtype)


def depth_for(size: int) -> int:
    """Return the usual number of blocks for images of ``size`` pixels: 3 up to 32, 4 at 64, 5 at
    128.

    Raises:
        InvalidInput: the size is no whole number of at least 1.
    """
    size = check_whole_number("size", size, at_least=1)
    return max(3, round(math.log2(size)) - 2)
