"""Spatial and channel attention of feature maps, as differentiable formulas."""

from __future__ import annotations

from typing import Any

import torch
from torch.linalg import vector_norm

from explore.core.tensor_validation import check_tensor
from explore.core.validation import check_flag, check_number

SMALLEST_NORM = 1e-12
"""Norms from here on, up to the largest number, are exact to the last digits."""

SUM_RANGE = (1e-30, 1e30)
"""Sums of powers in this range have lost nothing that counts in float32."""

FEATURES = ("N", "C", "H", "W")
CHANNELS, PIXELS = (1,), (2, 3)
"""The dimensions over which spatial and channel attention sum."""


def spatial_attention(
    features: torch.Tensor, power: float = 4.0, normalize: bool = True
) -> torch.Tensor:
    """Return where a feature map is active: ``Σ_c |f|^power``.

    With a high power the few strongest channels decide; with 4 a map is nearly one spot.

    Args:
        features: floats ``[N, C, H, W]``, a tensor, an array or a list; gradients flow through.
            Halves (float16, bfloat16) are computed in float32.
        power: above 0.
        normalize: divide each map by its L2 norm over ``H·W`` (a map of zeros stays zero). Maps of
            any scale become unit maps: features that are too small or too large for their power
            are divided by their largest magnitude first. Without it, sums that the type of the
            features cannot hold are 0 or infinite.

    Returns:
        ``[N, H, W]``, non-negative, in the type of the features. A map with NaN is NaN.

    Raises:
        InvalidInput: features are not floats ``[N, C, H, W]`` or the power is not above 0.

    Source: DataDAM (arXiv 2310.00093), spatial attention with ``power`` 4; its code uses 1.

    Example:
        >>> f = torch.tensor([[[[1.0, 0.0]], [[2.0, 0.0]]]])  # two channels, 1×2 pixels
        >>> spatial_attention(f, power=2, normalize=False)
        tensor([[[5., 0.]]])
        >>> spatial_attention(f * 1e-20)
        tensor([[[1., 0.]]])
    """
    return _attention(features, power, normalize, CHANNELS)


def channel_attention(
    features: torch.Tensor, power: float = 4.0, normalize: bool = True
) -> torch.Tensor:
    """Return how active each channel is over the map: ``Σ_hw |f|^power``.

    Args:
        features: floats ``[N, C, H, W]``, as for ``spatial_attention``; gradients flow through.
        power: above 0.
        normalize: divide each vector by its L2 norm over ``C`` (a vector of zeros stays zero), at
            any scale of the features.

    Returns:
        ``[N, C]``, non-negative, in the type of the features. A vector with NaN is NaN.

    Raises:
        InvalidInput: features are not floats ``[N, C, H, W]`` or the power is not above 0.

    Source: our reading of ATOM (arXiv 2405.01373), whose code is not released.

    Example:
        >>> channel_attention(torch.ones(1, 2, 3, 3), power=4, normalize=False)
        tensor([[9., 9.]])
    """
    return _attention(features, power, normalize, PIXELS)


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
    if power < 2:
        # Derivatives of ``pow`` are infinite at 0, and would become NaN. They count as 0.
        is_zero = values == 0
        return torch.where(is_zero, 1, values).abs().pow(power).masked_fill(is_zero, 0)
    return values.abs().pow(power)


def sum_powers(features: torch.Tensor, power: float, dims: tuple[int, ...]) -> torch.Tensor:
    """Return ``Σ |f|^power`` of each image over some dimensions, up to a factor for each image.

    The factor is 1 unless the sums would leave ``SUM_RANGE``. Such an image is divided by its
    largest magnitude first, which changes no unit map.
    """
    sums = abs_power(features, power).sum(dims)
    if not sums.numel():
        return sums
    largest = sums.detach().flatten(1).amax(1)
    outside = ~((largest >= SUM_RANGE[0]) & (largest <= SUM_RANGE[1]))
    scaled = _scale(features, outside) if bool(outside.any()) else features
    return sums if scaled is features else abs_power(scaled, power).sum(dims)


def _attention(features: Any, power: Any, normalize: Any, dims: tuple[int, ...]) -> torch.Tensor:
    # Whoever calls this in every step passes the types that need no check.
    if type(power) is not float or not 0 < power < torch.inf:
        power = check_number("power", power, above=0)
    if type(normalize) is not bool:
        normalize = check_flag("normalize", normalize)
    tensor = features
    if type(features) is not torch.Tensor or features.ndim != 4 or not _is_plain(features):
        tensor = check_tensor("features", features, FEATURES, empty=True)
    values = tensor.float() if tensor.dtype.itemsize < 4 else tensor
    sums = abs_power(values, power).sum(dims)
    if normalize and sums.numel():
        sums = _unit_sums(values, power, dims, sums)
    return sums if values is tensor else sums.to(tensor.dtype)


def _is_plain(features: torch.Tensor) -> bool:
    is_float = features.dtype in (torch.float32, torch.float64)
    return is_float and features.layout == torch.strided and not features.is_meta


def _unit_sums(
    features: torch.Tensor, power: float, dims: tuple[int, ...], sums: torch.Tensor
) -> torch.Tensor:
    """Return sums of each image divided by their norm."""
    norm = vector_norm(sums.flatten(1), dim=1)
    low, high = torch.aminmax(norm.detach())
    if not (float(low) >= SMALLEST_NORM and float(high) < torch.inf):
        values = norm.detach()
        scaled = _scale(features, ~((values >= SMALLEST_NORM) & (values < torch.inf)))
        if scaled is not features:
            sums = abs_power(scaled, power).sum(dims)
        # The norm has no derivatives at zero, so that maps of zeros get a constant one.
        flat = sums.flatten(1)
        is_zero = (flat.detach() == 0).all(1, keepdim=True)
        norm = vector_norm(torch.where(is_zero, 1, flat), dim=1)
    return sums / norm.view(-1, *[1] * (sums.ndim - 1))


def _scale(features: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Divide some images, bool ``[N]``, by their largest magnitude, unless it is 0 or not finite.

    The divisor counts as a constant in derivatives, which is exact for unit maps.
    """
    largest = features.detach().flatten(1).abs().amax(1)
    usable = images & (largest > 0) & (largest < torch.inf)
    if not bool(usable.any()):
        return features
    return features / torch.where(usable, largest, 1)[:, None, None, None]
