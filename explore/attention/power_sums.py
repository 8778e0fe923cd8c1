"""The sums that attention is made of, for many images at once, without gradients and fast on a CPU.

The forward pass over real images is most of what attention matching costs. Done for all images at
once it waits for memory: at 128 channels and 32×32 pixels one map of 640 images is 336 MB. Here a
few images at a time go through the whole network while they are in the cache, and what follows a
convolution (instance norm, ReLU, the sums, pooling) is one pass over its output.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import conv2d

from explore._parallel.thread_pool import KERNELS
from explore.attention.maps import raised
from explore.errors import InvalidInput
from explore.models._fused.module import fusable, same_threads
from explore.models.convnet import ConvNet
from explore.models.taps import Taps

CHUNK_BYTES = 1_300_000
"""Size of the largest map of a chunk (at least 8 images). Measured, not timed at run time: another
chunk size rounds differently, and a resumed run must end in the same bits."""


@dataclass(frozen=True)
class PowerSums:
    """Per image: ``spatial[l]`` is ``Σ_c |f_l|^p`` ``[N, H, W]``, ``channel[l]`` is ``Σ_hw |f_l|^q`` ``[N, C]``.

    ``embedding`` is ``[N, D]``. The last map is left out, as in DataDAM; lists are empty where the power was None.
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
    """Spatial and channel sums of every map but the last, and the embedding, for images ``[N, C, H, W]``.

    Args:
        network: a ``ConvNet`` (fast on a CPU) or any module that ``Taps`` can look into. In
            training mode batch norm sees all images in one pass.
        images: ``[N, C, H, W]``, on the network's device.
        spatial, channel: powers; None leaves that part out.
        dtype: of the convolutions; bfloat16 took 0.7 to 0.95 of float32's time
            on a processor that has it (Zen 4), and changed the loss in the sixth digit.

    Raises:
        InvalidInput: a power is not above 0, or the network shows fewer than two maps.

    Example:
        >>> from explore.models import ConvNet
        >>> sums = power_sums(ConvNet(1, 10, 16, width=8), torch.zeros(5, 1, 16, 16))
        >>> [tuple(s.shape) for s in sums.spatial], tuple(sums.embedding.shape)
        ([(5, 16, 16), (5, 8, 8)], (5, 32))
    """
    for name, power in ("spatial", spatial), ("channel", channel):
        if power is not None and not power > 0:
            raise InvalidInput(f"{name} power must be above 0 or None, got {power}")
    fused = _is_fusable(network, images)
    chunk = chunk_for(network, images) if fused or _per_image(network) else len(images)
    one = _fused if fused else _plain
    with torch.no_grad():
        parts = [one(network, part, spatial, channel, dtype) for part in images.split(chunk)]
    return PowerSums(
        [torch.cat(maps) for maps in zip(*(part.spatial for part in parts), strict=True)],
        [torch.cat(maps) for maps in zip(*(part.channel for part in parts), strict=True)],
        torch.cat([part.embedding for part in parts]),
    )


def taps_and_embed(
    network: nn.Module, images: torch.Tensor
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Feature maps before pooling and the embedding of any network, in one pass, with gradients.

    Raises:
        InvalidInput: fewer than two activation modules put out maps; as the last one is left out, none would be matched.
    """
    if hasattr(network, "taps_and_embed"):
        return network.taps_and_embed(images)  # type: ignore[operator]
    with Taps(network) as taps:
        output = network(images)
    if len(taps.maps) < 2:
        found = f"{len(taps.maps)} ({', '.join(taps.maps)})" if taps.maps else "none"
        raise InvalidInput(
            f"at least 2 activation modules of the network must put out maps [N, C, H, W], found {found}; "
            "write activations as modules such as nn.ReLU, not as functions"
        )
    return list(taps.maps.values()), output.flatten(1) if taps.embedding is None else taps.embedding


def chunk_for(network: nn.Module, images: torch.Tensor) -> int:
    """Images a chunk: so many that the largest map stays in the cache, at least 8; all of them off the CPU."""
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
    if (
        dtype != torch.float32
    ):  # fourth powers of small numbers need the range and digits of float32
        maps, embedding = [f.float() for f in maps], embedding.float()
    return PowerSums(
        [raised(f, spatial).sum(1) for f in maps[:-1]] if spatial is not None else [],
        [raised(f, channel).sum((2, 3)) for f in maps[:-1]] if channel is not None else [],
        embedding,
    )


def _per_image(network: nn.Module) -> bool:
    """Whether images do not influence one another (no batch norm in training mode)."""
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
    same_threads()
    spatials, channels = [], []
    for index, block in enumerate(network.blocks):
        conv, norm = block.conv, block.norm
        weight = conv.weight.to(dtype, memory_format=torch.channels_last)
        f = conv2d(images.to(dtype), weight, conv.bias.to(dtype), padding=conv.padding).float()
        pixels = np.ascontiguousarray(f.permute(0, 2, 3, 1).numpy())
        n, h, w, c = pixels.shape
        pooled = np.empty((n, h // 2, w // 2, c), np.float32)
        by_pixel, by_channel = np.empty((n, h, w), np.float32), np.zeros((n, c), np.float32)
        last = index == len(network.blocks) - 1
        p, q = (0.0, 0.0) if last else (spatial or 0.0, channel or 0.0)
        affine = (norm.weight.detach().numpy(), norm.bias.detach().numpy())
        with KERNELS:
            kernel(
                pixels,
                *affine,
                pooled,
                by_pixel,
                by_channel,
                np.float32(norm.eps),
                np.float32(p),
                np.float32(q),
            )
        if p:
            spatials.append(torch.from_numpy(by_pixel))
        if q:
            channels.append(torch.from_numpy(by_channel))
        images = torch.from_numpy(pooled).permute(
            0, 3, 1, 2
        )  # channels last in memory, as the next convolution likes it
    return PowerSums(spatials, channels, images.flatten(1))


@cache
def _kernel() -> Any:
    """Compile on first use (a few seconds, then cached on disk)."""
    from explore.attention import _kernels as kernels

    return kernels.norm_relu_sums_pool
