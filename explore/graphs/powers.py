"""Powers of activations that neither overflow nor underflow."""

from __future__ import annotations

import math

import torch

SAFE_POWERS = 2.0**-20, 2.0**60
"""Second powers between these are far from the limits of float32, and far above the small number
that is added to sums."""

STORED_POWERS = 2.0**-100, 2.0**80
"""Second powers between these can be summed in float32."""


def safe_scale(
    values: torch.Tensor,
    power: float,
    axes: tuple[int, ...] = (),
    limits: tuple[float, float] = SAFE_POWERS,
) -> torch.Tensor:
    """Return values that are divided by their largest magnitude if their powers would be extreme.

    Values whose largest ``|value| ** (2 power)`` is in a safe range are returned as they are, bit
    by bit. What is computed of the powers must not depend on a common factor.

    Args:
        values: of any shape; not NaN.
        power: exponent above 0.
        axes: which axes have a factor in common; by default all.
        limits: the safe range.

    Example:
        >>> safe_scale(torch.tensor([1.0, 0.5]), 2.0), safe_scale(torch.tensor([4e-30, 2e-30]), 2.0)
        (tensor([1.0000, 0.5000]), tensor([1.0000, 0.5000]))
    """
    if not values.numel():
        return values
    low, high = limits
    if not axes:
        size = max(abs(limit.item()) for limit in values.detach().aminmax())
        is_safe = not size or low <= _second_power(size, power) <= high
        return values if is_safe else values / values.new_tensor(size)
    sizes = values.detach().abs().amax(axes, keepdim=True)
    second_power = sizes.double() ** (2 * power)
    is_extreme = (sizes > 0) & ~((second_power >= low) & (second_power <= high))
    if not bool(is_extreme.any()):
        return values
    return values / torch.where(is_extreme, sizes, 1.0)


def _second_power(value: float, power: float) -> float:
    try:
        return float(value ** (2 * power))
    except OverflowError:
        return math.inf


def raise_to(values: torch.Tensor, power: float) -> torch.Tensor:
    """Return ``values ** power``, in the shape of ``values``, differentiable also at 0.

    Small whole powers are products, which are faster. For a power that is not whole, values must be
    at least 0; the derivative at 0 is set to 0, as it may be infinite.
    """
    if power == 1:
        return values
    if power == 2:
        return values * values
    if power == 3:
        return values * values * values
    if power == 4:
        return (values * values).square()
    if power == int(power):
        return values**power
    positive = values > 0
    return torch.where(positive, values, 1) ** power * positive


def unit_sum(values: torch.Tensor, axes: tuple[int, ...], epsilon: float) -> torch.Tensor:
    """Return values divided by the sum of their magnitudes along axes; zeros stay zeros.

    Args:
        values: of any magnitude.
        axes: along which the sum is 1.
        epsilon: added to the sum.
    """
    sums = values.abs().sum(axes, keepdim=True)
    low, high = SAFE_POWERS
    smallest, largest = (limit.item() for limit in sums.detach().aminmax())
    if not low <= smallest <= largest <= high:
        sizes = values.detach().abs().amax(axes, keepdim=True)
        values = values / torch.where(sizes > 0, sizes, 1.0)
        sums = values.abs().sum(axes, keepdim=True)
    return values / (sums + epsilon)
