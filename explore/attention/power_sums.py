"""Power sums of feature maps, from which attention is computed, for many images, without gradients.

The forward pass over real images is most of the cost of attention matching. For all images at once
it waits for memory: at 128 channels and 32×32 pixels one map of 640 images has 336 MB. So a few
images at a time go through the network while they are in the cache, and what follows a convolution
(instance norm, ReLU, the sums, pooling) is one pass over its output.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import conv2d

from explore._parallel.work_sharing import run_parallel
from explore.attention.maps import CHANNELS, PIXELS, SUM_RANGE, sum_powers
from explore.core.tensor_validation import check_network, check_tensor
from explore.core.validation import check_number, describe
from explore.errors import InvalidInput
from explore.models._checks import as_input, check_outputs, run_network
from explore.models._fused.module import channels_last, fusable
from explore.models.convnet import ConvNet
from explore.models.taps import Taps

CHUNK_BYTES = 1_300_000
"""Size of the largest map of a chunk (of at least 8 images).

A constant, because another chunk size rounds differently, and a resumed run must end in the same
bits.
"""


@dataclass(frozen=True)
class PowerSums:
    """Power sums of each image.

    The last map is left out, as in DataDAM. Lists are empty where the power was None. If the sums
    of an image would be too small or too large for float32, they are those of a multiple of its
    map, which has the same unit map.

    Attributes:
        spatial: for each map ``Σ_c |f|^p``, ``[N, H, W]``.
        channel: for each map ``Σ_hw |f|^q``, ``[N, C]``.
        embedding: ``[N, D]``.
    """

    spatial: list[torch.Tensor]
    channel: list[torch.Tensor]
    embedding: torch.Tensor


def power_sums(
    network: nn.Module,
    images: torch.Tensor,
    spatial: float | None = 4.0,
    channel: float | None = None,
    dtype: torch.dtype = torch.float32,
) -> PowerSums:
    """Return spatial and channel sums of every map but the last, and the embedding.

    Args:
        network: a ``ConvNet`` (fast on a CPU) or any module that ``Taps`` supports. In training
            mode, with batch norm, all images are one batch.
        images: floats ``[N, C, H, W]``, a tensor, an array or a list; they are moved to the device
            and the type of the network.
        spatial, channel: powers; None for no such sums.
        dtype: of the convolutions, a floating type of PyTorch; bfloat16 took 0.7 to 0.95 of
            float32's time on a processor that has it (Zen 4), and changed the loss in the sixth
            digit.

    Raises:
        InvalidInput: no network, images of another form, a power that is not above 0, no floating
            type, or a network with fewer than two maps.

    Example:
        >>> from explore.models import ConvNet
        >>> sums = power_sums(ConvNet(1, 10, 16, width=8), torch.zeros(5, 1, 16, 16))
        >>> [tuple(s.shape) for s in sums.spatial], tuple(sums.embedding.shape)
        ([(5, 16, 16), (5, 8, 8)], (5, 32))
    """
    check_network("network", network)
    spatial, channel = (
        None if power is None else check_number(f"{name} power", power, above=0)
        for name, power in (("spatial", spatial), ("channel", channel))
    )
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise InvalidInput(
            f"dtype must be a floating type such as torch.float32, got {describe(dtype)}"
        )
    images = as_input(network, check_tensor("images", images, ("N", "C", "H", "W"), empty=True))
    fused = _is_fusable(network, images)
    chunk = chunk_for(network, images) if fused or _per_image(network) else len(images)
    compute = _fused if fused else _plain
    options = (spatial, channel, dtype)
    with torch.no_grad():
        parts = [compute(network, part, *options) for part in images.split(chunk)]
        sums = PowerSums(
            [torch.cat(maps) for maps in zip(*(part.spatial for part in parts), strict=True)],
            [torch.cat(maps) for maps in zip(*(part.channel for part in parts), strict=True)],
            torch.cat([part.embedding for part in parts]),
        )
        if fused and (lost := _lost_sums(sums)).any():
            _replace(sums, lost, _plain(network, images[lost], *options))
    return sums


def taps_and_embed(
    network: nn.Module, images: torch.Tensor
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Return feature maps before pooling and the embedding of any network, with gradients.

    Raises:
        InvalidInput: fewer than two activation modules return maps (the last map is left out, so
            that none would be matched), the network cannot compute the images, or it has no linear
            layer and returns no tensor.
    """
    if hasattr(network, "taps_and_embed"):
        return network.taps_and_embed(images)  # type: ignore[operator]
    with Taps(network) as taps:
        output = run_network(network, images)
    if len(taps.maps) < 2:
        maps = f"{len(taps.maps)} ({', '.join(taps.maps)})" if taps.maps else "none"
        raise InvalidInput(
            "at least 2 activation modules of the network must return maps [N, C, H, W], "
            f"found {maps}; write activations as modules such as nn.ReLU, not as functions"
        )
    if taps.embedding is None:
        embedding = check_outputs(output, len(images), "[N, ...]").flatten(1)
    else:
        embedding = taps.embedding
    return list(taps.maps.values()), embedding


def chunk_for(network: nn.Module, images: torch.Tensor) -> int:
    """Return the images of a chunk, so that the largest map stays in the cache, but at least 8.

    On an accelerator all images are one chunk.
    """
    if images.device.type != "cpu":
        return len(images) or 1
    width = next((p.shape[0] for p in network.parameters() if p.ndim == 4), images.shape[1])
    return max(8, CHUNK_BYTES // (4 * width * images.shape[2] * images.shape[3]))


def _plain(
    network: nn.Module,
    images: torch.Tensor,
    spatial: float | None,
    channel: float | None,
    dtype: torch.dtype,
) -> PowerSums:
    with torch.autocast(images.device.type, dtype, enabled=dtype != torch.float32):
        maps, embedding = taps_and_embed(network, images)
    if dtype != torch.float32:  # fourth powers of small numbers need its range and digits
        maps, embedding = [f.float() for f in maps], embedding.float()
    return PowerSums(
        [sum_powers(f, spatial, CHANNELS) for f in maps[:-1]] if spatial is not None else [],
        [sum_powers(f, channel, PIXELS) for f in maps[:-1]] if channel is not None else [],
        embedding,
    )


def _per_image(network: nn.Module) -> bool:
    """Return whether images do not influence one another (no batch norm in training mode)."""
    return not any(
        isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training for m in network.modules()
    )


def _is_fusable(network: nn.Module, images: torch.Tensor) -> bool:
    return isinstance(network, ConvNet) and fusable(network, images)


def _fused(
    network: Any,
    images: torch.Tensor,
    spatial: float | None,
    channel: float | None,
    dtype: torch.dtype,
) -> PowerSums:
    kernel = _kernel()
    spatials, channels = [], []
    for index, block in enumerate(network.blocks):
        conv, norm = block.conv, block.norm
        weight = conv.weight.to(dtype, memory_format=torch.channels_last)
        f = conv2d(images.to(dtype), weight, conv.bias.to(dtype), padding=conv.padding).float()
        pixels = channels_last(f)
        n, h, w, c = pixels.shape
        pooled = np.empty((n, h // 2, w // 2, c), np.float32)
        by_pixel, by_channel = np.empty((n, h, w), np.float32), np.zeros((n, c), np.float32)
        last = index == len(network.blocks) - 1
        p, q = (0.0, 0.0) if last else (spatial or 0.0, channel or 0.0)
        affine = (norm.weight.detach().numpy(), norm.bias.detach().numpy())
        numbers = (np.float32(number) for number in (norm.eps, p, q))
        run_parallel(kernel, pixels, *affine, pooled, by_pixel, by_channel, *numbers)
        if p:
            spatials.append(torch.from_numpy(by_pixel))
        if q:
            channels.append(torch.from_numpy(by_channel))
        # Channels last in memory, which is the faster format for the next convolution.
        images = torch.from_numpy(pooled).permute(0, 3, 1, 2)
    return PowerSums(spatials, channels, images.flatten(1))


def _lost_sums(sums: PowerSums) -> torch.Tensor:
    """Return which images have sums that left the range of float32: bool ``[N]``."""
    lost = torch.zeros(len(sums.embedding), dtype=torch.bool)
    for values in (*sums.spatial, *sums.channel):
        if not values.numel():
            continue
        largest = values.flatten(1).amax(1)
        low, high = torch.aminmax(largest)
        if not (float(low) >= SUM_RANGE[0] and float(high) <= SUM_RANGE[1]):
            lost |= ~((largest >= SUM_RANGE[0]) & (largest <= SUM_RANGE[1]))
    return lost


def _replace(sums: PowerSums, images: torch.Tensor, values: PowerSums) -> None:
    """Replace the sums of some images, bool ``[N]``."""
    for old, new in zip(
        (*sums.spatial, *sums.channel), (*values.spatial, *values.channel), strict=True
    ):
        old[images] = new


@cache
def _kernel() -> Any:
    """Compile on first use (a few seconds, then cached on disk)."""
    from explore.attention import _kernels as kernels

    return kernels.norm_relu_sums_pool
