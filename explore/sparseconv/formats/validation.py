"""What enters a sparse convolution, checked once: maps, weights, biases, kernel sizes, strides and paddings."""

from __future__ import annotations

from typing import Any

import numpy as np

from explore.errors import InvalidInput

Pair = tuple[int, int]


def as_maps(x: Any) -> np.ndarray:
    """Maps as a float32 array ``[N, C, H, W]`` (of any strides; no copy).

    Args:
        x: ``[N, C, H, W]``, ``[C, H, W]`` (one image) or ``[H, W]`` (one map); float32, an array or a tensor in main memory.

    Raises:
        InvalidInput: another dtype or rank, or an axis of length 0.

    Example:
        >>> as_maps(np.ones((4, 5), np.float32)).shape
        (1, 1, 4, 5)
    """
    found = _float32("x", x)
    if not 2 <= found.ndim <= 4:
        raise InvalidInput(
            f"x must be [N, C, H, W], [C, H, W] or [H, W], got shape {list(found.shape)}"
        )
    if 0 in found.shape:
        raise InvalidInput(f"x must not be empty, got shape {list(found.shape)}")
    return found.reshape((1,) * (4 - found.ndim) + found.shape) if found.ndim < 4 else found


def as_weight(weight: Any, channels: int | None = None, kernel: Pair | None = None) -> np.ndarray:
    """Filters as a float32 array ``[K, C, Kh, Kw]``.

    Args:
        weight: float32 ``[K, C, Kh, Kw]``.
        channels: C of the maps, where it is known.
        kernel: (Kh, Kw) of an encoding, where it is known.

    Raises:
        InvalidInput: another dtype, rank, number of channels or kernel size, or no filter.
    """
    found = _float32("weight", weight)
    if found.ndim != 4 or 0 in found.shape:
        raise InvalidInput(
            f"weight must be [K, C, Kh, Kw] and not empty, got shape {list(found.shape)}"
        )
    if channels is not None and found.shape[1] != channels:
        raise InvalidInput(
            f"weight {list(found.shape)} is for {found.shape[1]} channels, x has {channels}; grouped convolution is not supported"
        )
    if kernel is not None and found.shape[2:] != kernel:
        raise InvalidInput(
            f"weight {list(found.shape)} has a {found.shape[2]}×{found.shape[3]} kernel, x was encoded for "
            f"{kernel[0]}×{kernel[1]}; encode it with kernel_size={found.shape[2:]}"
        )
    return found


def as_bias(bias: Any, filters: int) -> np.ndarray:
    """A bias as float32 ``[K]``; zeros for None.

    Raises:
        InvalidInput: another dtype or shape.
    """
    if bias is None:
        return np.zeros(filters, np.float32)
    found = _float32("bias", bias)
    if found.shape != (filters,):
        raise InvalidInput(
            f"bias must be [{filters}], one number a filter, got shape {list(found.shape)}"
        )
    return found


def as_pair(name: str, value: Any, least: int) -> Pair:
    """A whole number, or a pair (vertical, horizontal) of them, as a pair.

    Raises:
        InvalidInput: something else, or a number below ``least``.

    Example:
        >>> as_pair("stride", 2, 1), as_pair("padding", (0, 3), 0)
        ((2, 2), (0, 3))
    """
    both = (
        tuple(value)
        if isinstance(value, tuple | list | np.ndarray) and np.ndim(value) == 1
        else (value, value)
    )
    if len(both) != 2 or not all(
        isinstance(n, int | np.integer) and not isinstance(n, bool) and n >= least for n in both
    ):
        raise InvalidInput(
            f"{name} must be a whole number ≥ {least}, or two (vertical, horizontal), got {value!r}"
        )
    return int(both[0]), int(both[1])


def _float32(name: str, given: Any) -> np.ndarray:
    if isinstance(given, np.ma.MaskedArray):
        raise InvalidInput(f"{name} is a masked array; fill it first: {name}.filled(0)")
    if getattr(given, "is_cuda", False):
        raise InvalidInput(
            f"{name} is on {given.device}; these programs run on the processor: {name}.cpu()"
        )
    try:
        found = given.detach().numpy() if hasattr(given, "detach") else np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInput(
            f"{name} must be a float32 array in main memory, got {type(given).__name__}: {error}"
        ) from error
    if found.dtype != np.float32:
        raise InvalidInput(
            f"{name} must be float32, got {found.dtype}; convert it: np.asarray({name}, np.float32)"
        )
    return found
