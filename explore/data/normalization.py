"""Convert between pixels (uint8), intensities in [0, 1] and the normalised images of a network."""

from __future__ import annotations

from collections.abc import Sequence

import torch

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Per channel, in units of [0, 1] intensity; the usual values for photographs."""


def normalize_bytes(
    images: torch.Tensor, mean: Sequence[float], std: Sequence[float]
) -> torch.Tensor:
    """Return ``(images / 255 - mean) / std`` of uint8 ``[..., C, H, W]``, as float32."""
    x = images.float().div_(255)
    return x.sub_(_per_channel(mean, x)).div_(_per_channel(std, x))


def normalize(x: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """Return ``(x - mean) / std`` of intensities ``[..., C, H, W]``."""
    return (x - _per_channel(mean, x)) / _per_channel(std, x)


def denormalize_to_bytes(
    x: torch.Tensor, mean: Sequence[float], std: Sequence[float]
) -> torch.Tensor:
    """Undo the normalisation of ``[..., C, H, W]`` and clip to uint8."""
    return to_bytes(x * _per_channel(std, x) + _per_channel(mean, x))


def to_bytes(intensities: torch.Tensor) -> torch.Tensor:
    """Return intensities in [0, 1] as uint8, rounded and clipped."""
    return intensities.mul(255).round().clamp(0, 255).to(torch.uint8)


def _per_channel(values: Sequence[float], like: torch.Tensor) -> torch.Tensor:
    return like.new_tensor(values).view(len(values), 1, 1)
