"""Spatial and channel attention of feature maps, as differentiable formulas."""

from __future__ import annotations

import torch
from torch.nn.functional import normalize as l2_normalize

from explore.errors import InvalidInput


def spatial_attention(
    features: torch.Tensor, power: float = 4.0, normalize: bool = True
) -> torch.Tensor:
    """Return where a feature map is active: ``Σ_c |f|^power``.

    With a high power the few strongest channels decide; with 4 a map is nearly one spot.

    Args:
        features: ``[N, C, H, W]``, any float dtype; gradients flow through.
        power: above 0.
        normalize: divide each map by its L2 norm over ``H·W`` (a map of zeros stays zero).

    Returns:
        ``[N, H, W]``, non-negative.

    Raises:
        InvalidInput: features are not ``[N, C, H, W]`` or the power is not above 0.

    Source: DataDAM (arXiv 2310.00093), spatial attention with ``power`` 4; its code uses 1.

    Example:
        >>> f = torch.tensor([[[[1.0, 0.0]], [[2.0, 0.0]]]])  # two channels, 1×2 pixels
        >>> spatial_attention(f, power=2, normalize=False)
        tensor([[[5., 0.]]])
        >>> spatial_attention(f)
        tensor([[[1., 0.]]])
    """
    collapsed = abs_power(_validated(features, power), power).sum(1)
    return l2_normalize(collapsed.flatten(1), dim=1).view_as(collapsed) if normalize else collapsed


def channel_attention(
    features: torch.Tensor, power: float = 4.0, normalize: bool = True
) -> torch.Tensor:
    """Return how active each channel is over the map: ``Σ_hw |f|^power``.

    Args:
        features: ``[N, C, H, W]``, any float dtype; gradients flow through.
        power: above 0.
        normalize: divide each vector by its L2 norm over ``C`` (a vector of zeros stays zero).

    Returns:
        ``[N, C]``, non-negative.

    Raises:
        InvalidInput: features are not ``[N, C, H, W]`` or the power is not above 0.

    Source: our reading of ATOM (arXiv 2405.01373), whose code is not released.

    Example:
        >>> channel_attention(torch.ones(1, 2, 3, 3), power=4, normalize=False)
        tensor([[9., 9.]])
    """
    collapsed = abs_power(_validated(features, power), power).sum((2, 3))
    return l2_normalize(collapsed, dim=1) if normalize else collapsed


def abs_power(values: torch.Tensor, power: float) -> torch.Tensor:
    """Return ``|values|^power``.

    The power 4 is two squarings, which is several times faster than ``pow`` and as exact.
    """
    if power == 1:
        return values.abs()
    if power == 2:
        return values.square()
    if power == 4:
        return values.square().square()
    return values.abs().pow(power)


def _validated(features: torch.Tensor, power: float) -> torch.Tensor:
    if features.ndim != 4:
        raise InvalidInput(f"features must be [N, C, H, W], got {list(features.shape)}")
    if not power > 0:
        raise InvalidInput(f"power must be above 0, got {power}")
    return features
