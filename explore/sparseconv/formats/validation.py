"""Validation of maps, weights, biases, kernel sizes, strides and paddings."""

from __future__ import annotations

from typing import Any

import numpy as np

from explore.core.validation import describe, to_python
from explore.errors import InvalidInput

Pair = tuple[int, int]


MOST_SIZE = 2**31 - 1
"""The largest kernel size, stride and padding: larger ones overflow in the compiled loops."""


def as_maps(x: Any, empty: bool = False) -> np.ndarray:
    """Convert maps to a float32 array ``[N, C, H, W]`` (of any strides; no copy).

    Args:
        x: ``[N, C, H, W]``, ``[C, H, W]`` (one image) or ``[H, W]`` (one map); float32, an array or
            a CPU tensor.
        empty: accept batches without an image, N = 0.

    Raises:
        InvalidInput: the dtype or rank is wrong, or an axis has length 0.

    Example:
        >>> as_maps(np.ones((4, 5), np.float32)).shape
        (1, 1, 4, 5)
    """
    maps = _as_float32("x", x)
    if not 2 <= maps.ndim <= 4:
        raise InvalidInput(
            f"x must be [N, C, H, W], [C, H, W] or [H, W], got shape {list(maps.shape)}"
        )
    if 0 in maps.shape and not (empty and maps.ndim == 4 and 0 not in maps.shape[1:]):
        raise InvalidInput(f"x must not be empty, got shape {list(maps.shape)}")
    return maps.reshape((1,) * (4 - maps.ndim) + maps.shape) if maps.ndim < 4 else maps


def as_weight(weight: Any, channels: int | None = None, kernel: Pair | None = None) -> np.ndarray:
    """Convert filters to a float32 array ``[K, C, Kh, Kw]``.

    Args:
        weight: float32 ``[K, C, Kh, Kw]``.
        channels: C of the maps; None does not check it.
        kernel: (Kh, Kw) of an encoding; None does not check it.

    Raises:
        InvalidInput: the dtype, rank, number of channels or kernel size is wrong, or there is no
            filter.
    """
    filters = _as_float32("weight", weight)
    shape = list(filters.shape)
    if filters.ndim != 4 or 0 in shape:
        raise InvalidInput(f"weight must be [K, C, Kh, Kw] and not empty, got shape {shape}")
    if channels is not None and shape[1] != channels:
        raise InvalidInput(
            f"weight {shape} is for {shape[1]} channels, x has {channels}; "
            "grouped convolution is not supported"
        )
    if kernel is not None and filters.shape[2:] != kernel:
        raise InvalidInput(
            f"weight {shape} has a {shape[2]}×{shape[3]} kernel, x was encoded for "
            f"{kernel[0]}×{kernel[1]}; encode it with kernel_size={filters.shape[2:]}"
        )
    return filters


def as_bias(bias: Any, filters: int) -> np.ndarray:
    """Convert a bias to float32 ``[K]``; None becomes zeros.

    Raises:
        InvalidInput: the dtype or shape is wrong.
    """
    if bias is None:
        return np.zeros(filters, np.float32)
    bias = _as_float32("bias", bias)
    if bias.shape != (filters,):
        raise InvalidInput(
            f"bias must be [{filters}], one number a filter, got shape {list(bias.shape)}"
        )
    return bias


def as_pair(name: str, value: Any, least: int) -> Pair:
    """Convert an integer, or a pair of integers (vertical, horizontal), to a pair.

    Raises:
        InvalidInput: the value is something else, or a number is below ``least``.

    Example:
        >>> as_pair("stride", 2, 1), as_pair("padding", (0, 3), 0)
        ((2, 2), (0, 3))
    """
    if type(value) is tuple and len(value) == 2 and type(value[0]) is type(value[1]) is int:
        pair: Any = value
    else:
        is_list = isinstance(value, tuple | list) or getattr(value, "ndim", 0) == 1
        pair = [to_python(n) for n in (value if is_list else (value, value))]
    if len(pair) != 2 or not all(_is_whole(n) and least <= n <= MOST_SIZE for n in pair):
        large = [n for n in pair if _is_whole(n) and n > MOST_SIZE]
        most = f", at most {MOST_SIZE}" if large else ""
        raise InvalidInput(
            f"{name} must be an integer ≥ {least}, or two (vertical, horizontal){most}, "
            f"got {describe(value)}"
        )
    return int(pair[0]), int(pair[1])


def _is_whole(value: Any) -> bool:
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


def _as_float32(name: str, value: Any) -> np.ndarray:
    if isinstance(value, np.ma.MaskedArray):
        raise InvalidInput(f"{name} is a masked array; fill it first: {name}.filled(0)")
    if getattr(value, "is_cuda", False):
        raise InvalidInput(
            f"{name} is on {value.device}; these functions run on the CPU: {name}.cpu()"
        )
    try:
        array = value.detach().numpy() if hasattr(value, "detach") else np.asarray(value)
    except Exception as error:  # values of other libraries raise errors of every kind
        raise InvalidInput(
            f"{name} must be a float32 array or CPU tensor, got {type(value).__name__}: {error}"
        ) from error
    if array.dtype != np.float32:
        raise InvalidInput(
            f"{name} must be float32, got {array.dtype}; convert it: np.asarray({name}, np.float32)"
        )
    return array
