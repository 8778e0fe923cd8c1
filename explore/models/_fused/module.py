"""Fused blocks: the norm, ReLU and pooling of a ConvNet block as one operation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d, pad

from explore._parallel.work_sharing import run_parallel

_enabled: ContextVar[bool] = ContextVar("fused", default=False)


@contextmanager
def fused_blocks() -> Iterator[None]:
    """Let a ``ConvNet`` compute the norm, ReLU and pooling of each block in one pass.

    Training takes about half of the time, scoring 40 % of it (``explore bench evaluate``). Results
    are the same up to rounding, and have gradients of first order. Networks with other norms,
    activations or poolings, with hooks on their blocks, on an accelerator or in another precision
    compute as without it.

    Example:
        >>> from explore.models import ConvNet
        >>> network, x = ConvNet(1, 10, 16, width=8), torch.randn(4, 1, 16, 16)
        >>> with fused_blocks():
        ...     fast = network(x)
        >>> bool(torch.allclose(fast, network(x), atol=1e-5))
        True
    """
    token = _enabled.set(True)
    try:
        yield
    finally:
        _enabled.reset(token)


def applies(network: Any, x: torch.Tensor) -> bool:
    """Return whether a ConvNet computes fused blocks for this input.

    They must be enabled and supported, and no hooks may be registered inside the blocks.
    """
    return (
        _enabled.get()
        and fusable(network, x)
        and not any(
            m._forward_hooks or m._forward_pre_hooks or m._backward_hooks
            for m in network.blocks.modules()
        )
    )


def fusable(network: Any, x: torch.Tensor) -> bool:
    """Return whether the fused kernels support a ConvNet and an input.

    The blocks must consist of instance norm, ReLU and average pooling, and their maps must halve
    evenly; in float32 on the CPU.
    """
    if x.device.type != "cpu" or x.dtype != torch.float32 or x.ndim != 4:
        return False
    blocks: list[Any] = list(network.blocks)
    size = x.shape[2] + 2 * (blocks[0].conv.padding[0] - 1)
    return (
        x.shape[1] == blocks[0].conv.in_channels
        and x.shape[2] == x.shape[3]
        and size % 2 ** len(blocks) == 0
        and all(
            isinstance(block.norm, nn.GroupNorm)
            and block.norm.num_groups == block.norm.num_channels
            and isinstance(block.activation, nn.ReLU)
            and isinstance(block.pool, nn.AvgPool2d)
            for block in blocks
        )
    )


def embed(network: Any, x: torch.Tensor) -> torch.Tensor:
    """Return ``network.embed(x)``, computed with fused blocks."""
    for block in network.blocks:
        weight = block.conv.weight
        if x.shape[1] == 1:
            # One channel is in both memory formats, and the convolution would choose the other one.
            x, weight = (pad(values, (0, 0, 0, 0, 0, 1)) for values in (x, weight))
        x, weight = (values.contiguous(memory_format=torch.channels_last) for values in (x, weight))
        f = conv2d(x, weight, block.conv.bias, padding=block.conv.padding)
        x = NormReluPool.apply(f, block.norm.weight, block.norm.bias, block.norm.eps)
    return x.flatten(1)


class NormReluPool(torch.autograd.Function):
    """Instance norm, ReLU and 2×2 average pooling of ``[N, C, H, W]``; differentiable once."""

    @staticmethod
    def forward(
        ctx: Any, f: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float
    ) -> torch.Tensor:
        """Return pooled maps ``[N, C, H/2, W/2]``, channels last in memory."""
        pixels, w, b = channels_last(f), weight.detach().numpy(), bias.detach().numpy()
        n, height, width, c = pixels.shape
        pooled = np.empty((n, height // 2, width // 2, c), np.float32)
        mean, inverse = np.empty((n, c), np.float32), np.empty((n, c), np.float32)
        run_parallel(
            _kernels().norm_relu_pool, pixels, w, b, np.float32(eps), pooled, mean, inverse
        )
        ctx.inputs_and_moments = pixels, w, b, mean, inverse
        return torch.from_numpy(pooled).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_pooled: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients by maps, weight and bias."""
        inputs, pooled = ctx.inputs_and_moments, channels_last(grad_pooled)
        pixels, _, _, mean, _ = inputs
        by_f, by_weight, by_bias = np.empty_like(pixels), np.empty_like(mean), np.empty_like(mean)
        kernel = _kernels().norm_relu_pool_back
        run_parallel(kernel, *inputs, pooled, by_f, by_weight, by_bias)
        return (
            torch.from_numpy(by_f).permute(0, 3, 1, 2),
            torch.from_numpy(by_weight.sum(0)),
            torch.from_numpy(by_bias.sum(0)),
            None,
        )


def channels_last(x: torch.Tensor) -> np.ndarray:
    """Return ``[N, C, H, W]`` as a contiguous array ``[N, H, W, C]``, without a gradient."""
    return np.ascontiguousarray(x.detach().permute(0, 2, 3, 1).numpy())


@cache
def _kernels() -> Any:
    """Compile on first use (a few seconds, then cached on disk)."""
    from explore.models._fused import kernels

    return kernels
