"""Fused blocks: a ConvNet's norm, ReLU and pooling as one operation, where nobody looks between them."""

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

from explore._parallel.thread_pool import KERNELS

_wanted: ContextVar[bool] = ContextVar("fused", default=False)


@contextmanager
def fused_blocks() -> Iterator[None]:
    """Within it a ``ConvNet`` computes each block's norm, ReLU and pooling in one pass, where that gives the same.

    Training takes about half of the time, scoring 40 % of it (``explore bench evaluate``).

    The same up to rounding, that is, with gradients of first order. Networks with other norms, activations or poolings,
    with hooks on their blocks, on an accelerator or in other precision compute as ever.

    Example:
        >>> from explore.models import ConvNet
        >>> network, x = ConvNet(1, 10, 16, width=8), torch.randn(4, 1, 16, 16)
        >>> with fused_blocks():
        ...     fast = network(x)
        >>> bool(torch.allclose(fast, network(x), atol=1e-5))
        True
    """
    token = _wanted.set(True)
    try:
        yield
    finally:
        _wanted.reset(token)


def applies(network: Any, x: torch.Tensor) -> bool:
    """Whether a ConvNet is to compute fused: asked for, possible, and nobody listens to what is inside its blocks."""
    return (
        _wanted.get()
        and fusable(network, x)
        and not any(
            m._forward_hooks or m._forward_pre_hooks or m._backward_hooks
            for m in network.blocks.modules()
        )
    )


def fusable(network: Any, x: torch.Tensor) -> bool:
    """Whether a ConvNet's blocks are instance norm, ReLU and average pooling of maps that halve evenly, in float32 on the CPU."""
    if (
        x.device.type != "cpu"
        or x.dtype != torch.float32
        or x.ndim != 4
        or x.shape[2] != x.shape[3]
    ):
        return False
    blocks: list[Any] = list(network.blocks)
    return (x.shape[2] + 2 * (blocks[0].conv.padding[0] - 1)) % 2 ** len(blocks) == 0 and all(
        isinstance(block.norm, nn.GroupNorm)
        and block.norm.num_groups == block.norm.num_channels
        and isinstance(block.activation, nn.ReLU)
        and isinstance(block.pool, nn.AvgPool2d)
        for block in blocks
    )


def embed(network: Any, x: torch.Tensor) -> torch.Tensor:
    """What ``network.embed(x)`` returns, fused."""
    for block in network.blocks:
        weight = block.conv.weight
        if (
            x.shape[1] == 1
        ):  # of one channel no layout can be told, so the convolution would choose the other one
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
        """Pooled maps ``[N, C, H/2, W/2]``, channels last in memory."""
        kernels = _ready()
        pixels, w, b = _channels_last(f), weight.detach().numpy(), bias.detach().numpy()
        n, height, width, c = pixels.shape
        pooled = np.empty((n, height // 2, width // 2, c), np.float32)
        mean, inverse = np.empty((n, c), np.float32), np.empty((n, c), np.float32)
        with KERNELS:
            kernels.norm_relu_pool(pixels, w, b, np.float32(eps), pooled, mean, inverse)
        ctx.kept = pixels, w, b, mean, inverse
        return torch.from_numpy(pooled).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_pooled: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Gradients by maps, weight and bias."""
        kernels = _ready()
        pixels, w, b, mean, inverse = ctx.kept
        by_f, by_weight, by_bias = np.empty_like(pixels), np.empty_like(mean), np.empty_like(mean)
        with KERNELS:
            kernels.norm_relu_pool_back(
                pixels, w, b, mean, inverse, _channels_last(by_pooled), by_f, by_weight, by_bias
            )
        return (
            torch.from_numpy(by_f).permute(0, 3, 1, 2),
            torch.from_numpy(by_weight.sum(0)),
            torch.from_numpy(by_bias.sum(0)),
            None,
        )


def _channels_last(x: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(x.detach().permute(0, 2, 3, 1).numpy())


def same_threads() -> None:
    """Let Numba compute with as many threads as PyTorch does now."""
    import numba

    threads = torch.get_num_threads()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
    torch.set_num_threads(
        threads
    )  # numba's first call sets the OpenMP library that both use to all cores


def _ready() -> Any:
    same_threads()
    return _kernels()


@cache
def _kernels() -> Any:
    """Compiled on first use (a few seconds, then cached on disk)."""
    from explore.models._fused import kernels

    return kernels
