"""Convert between pixels (uint8), intensities in [0, 1] and the normalised images of a network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from explore.core.tensor_validation import as_tensor
from explore.core.validation import check_items, check_number, describe
from explore.errors import InvalidInput

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Per channel, in units of [0, 1] intensity; the usual values for photographs."""


def check_statistics(
    mean: Any, std: Any, channels: int, optional: bool = False
) -> tuple[Sequence[float], Sequence[float]]:
    """Return the mean and the standard deviation of each channel as Python floats.

    Args:
        mean, std: numbers in a list, a tuple, an array or a tensor. Lists stay lists, everything
            else becomes a tuple.
        channels: how many there must be.
        optional: accept empty ones, if both are.

    Raises:
        InvalidInput: another number of values, NaN or infinities, or a deviation of 0 or below.

    Example:
        >>> check_statistics(torch.tensor([0.5]), [0.25], 1)
        ((0.5,), [0.25])
    """
    if _are_checked(mean, channels) and _are_checked(std, channels) and min(std) > 0:
        return mean[:], std[:]  # those of a set; each batch asks again
    results: list[Sequence[float]] = []
    for name, values in (("mean", mean), ("std", std)):
        items = check_items(name, values)
        limits = {"above": 0} if name == "std" else {}
        numbers = [check_number(f"{name}[{k}]", v, **limits) for k, v in enumerate(items)]
        results.append(numbers if isinstance(values, list) else tuple(numbers))
    lengths = [len(values) for values in results]
    if lengths != [channels] * 2 and not (optional and lengths == [0, 0]):
        name, values = ("std", std) if lengths[0] == channels else ("mean", mean)
        raise InvalidInput(
            f"{name} must have one number for each of the {channels} channels, "
            f"got {describe(values)}"
        )
    return results[0], results[1]


def normalize_bytes(
    images: torch.Tensor, mean: Sequence[float], std: Sequence[float]
) -> torch.Tensor:
    """Return ``(images / 255 - mean) / std`` of uint8 ``[..., C, H, W]``, as float32.

    Raises:
        InvalidInput: images of another type, or ``mean`` and ``std`` of another number of channels
            or that are not finite and above 0.

    Example:
        >>> normalize_bytes(torch.full((1, 1, 1), 255, dtype=torch.uint8), [0.5], [0.25])
        tensor([[[2.]]])
    """
    images = as_tensor("images", images)
    if images.dtype != torch.uint8:
        raise InvalidInput(
            f"images must be uint8 [..., C, H, W], got {describe(images)}; "
            "normalize takes intensities from 0 to 1"
        )
    center, scale = _per_channel(images, mean, std, torch.float32)
    return images.float().div_(255).sub_(center).div_(scale)


def normalize(x: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """Return ``(x - mean) / std`` of intensities ``[..., C, H, W]``, which are floats.

    The result has the type of ``x``; halves are computed in float32. NaN stays NaN.

    Raises:
        InvalidInput: whole numbers, or ``mean`` and ``std`` of another number of channels or that
            are not finite and above 0.

    Example:
        >>> normalize(torch.ones(1, 1, 1), [0.5], [0.25])
        tensor([[[2.]]])
    """
    x = as_tensor("x", x)
    if not x.is_floating_point():
        raise InvalidInput(
            f"x must be floats [..., C, H, W], got {describe(x)}; normalize_bytes takes bytes"
        )
    wide = _widen(x)
    center, scale = _per_channel(wide, mean, std, wide.dtype)
    return ((wide - center) / scale).to(x.dtype)


def denormalize_to_bytes(
    x: torch.Tensor, mean: Sequence[float], std: Sequence[float]
) -> torch.Tensor:
    """Undo the normalisation of ``[..., C, H, W]`` and clip to uint8.

    Whole numbers and halves are computed in float32.

    Raises:
        InvalidInput: ``mean`` and ``std`` of another number of channels or that are not finite and
            above 0.

    Example:
        >>> denormalize_to_bytes(torch.full((1, 1, 1), 2), [0.5], [0.25])
        tensor([[[255]]], dtype=torch.uint8)
    """
    x = _widen(as_tensor("x", x))
    center, scale = _per_channel(x, mean, std, x.dtype)
    return to_bytes(x * scale + center)


def to_bytes(intensities: torch.Tensor) -> torch.Tensor:
    """Return intensities in [0, 1] as uint8, rounded and clipped.

    Whole numbers and halves are computed in float32.

    Example:
        >>> to_bytes(torch.tensor([0.0, 0.5, 2.0]))
        tensor([  0, 128, 255], dtype=torch.uint8)
    """
    intensities = _widen(as_tensor("intensities", intensities))
    return intensities.mul(255).round().clamp(0, 255).to(torch.uint8)


def _are_checked(values: Any, channels: int) -> bool:
    """Return whether values are a list or a tuple of finite Python floats, one per channel."""
    return (
        type(values) in (list, tuple)
        and len(values) == channels > 0
        and all(type(value) is float and math.isfinite(value) for value in values)
    )


def _widen(x: torch.Tensor) -> torch.Tensor:
    """Return float32 and float64 unchanged, and everything else as float32."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def _per_channel(
    x: torch.Tensor, mean: Any, std: Any, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard deviation as ``[C, 1, 1]`` on the device of ``x``."""
    if x.ndim < 3:
        raise InvalidInput(f"images must be [..., C, H, W], got shape {list(x.shape)}")
    mean, std = check_statistics(mean, std, x.shape[-3])
    center, scale = (
        torch.tensor(values, dtype=dtype, device=x.device).view(-1, 1, 1) for values in (mean, std)
    )
    return center, scale
