"""Checks of multi-label input: tables of labels, masks, features and parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

import torch

from explore.core.array_validation import Shape
from explore.core.tensor_validation import as_tensor, check_tensor
from explore.core.validation import check_whole_number, describe
from explore.errors import InvalidInput

F = TypeVar("F", bound=Callable[..., Any])

MOST_WEIGHTS = 2**30
"""Weights of a linear layer at most, 4 GB. More is a number in a wrong place."""


def check_labels(labels: Any, mask: Any = None, rows: int | None = None) -> torch.Tensor:
    """Return labels as float32 ``[N, K]``, with 0 where they are not known.

    Args:
        labels: ``[N, K]`` of any type, 0 or 1 wherever they are known.
        mask: bool ``[N, K]``; None if all labels are known.
        rows: how many rows there must be.

    Raises:
        InvalidInput: another shape, or a known label that is neither 0 nor 1.
    """
    table = as_tensor("labels", labels)
    if table.ndim != 2:
        raise InvalidInput(f"labels must be a tensor [N, K] of 0 and 1, got {describe(table)}")
    if rows is not None and len(table) != rows:
        raise InvalidInput(f"got {len(table)} rows of labels for {rows} samples")
    if not table.is_floating_point():
        table = table.long()  # Unsigned integers cannot be compared.
    wrong = (table != 0) & (table != 1)
    if mask is not None:
        mask = check_mask(mask, tuple(table.shape)).to(table.device)
        wrong &= mask
    if bool(wrong.any()):
        row, column = wrong.nonzero()[0].tolist()
        raise InvalidInput(
            f"labels must be 0 or 1, got {table[row, column].item():g} in row {row}, column "
            f"{column}; pass mask= for missing labels"
        )
    values = table.detach().float()
    return values if mask is None else torch.where(mask, values, 0.0)


def check_mask(mask: Any, shape: tuple[int, ...]) -> torch.Tensor:
    """Return which labels are known, bool of the shape of the labels.

    Raises:
        InvalidInput: another shape or type.
    """
    return check_tensor("mask", mask, shape, kind="flag", empty=True)


def check_values(name: str, values: Any, shape: Shape) -> torch.Tensor:
    """Return finite floats; halves as float32.

    Args:
        name: how the message calls them.
        values: a tensor, an array or a list.
        shape: see ``explore.core.array_validation.Shape``.

    Raises:
        InvalidInput: another shape or type, NaN or infinities.
    """
    tensor = widen(check_tensor(name, values, shape, empty=True))
    check_finite(name, tensor)
    return tensor


def check_parts(kind: Any, values: Any) -> list[torch.Tensor]:
    """Return the tensors of a mixture, all of the widest type among them, float32 or wider.

    Args:
        kind: the named tuple that holds them.
        values: an instance of it, or a tuple or list of as many tensors.

    Raises:
        InvalidInput: something else, or parts that are no floats.
    """
    names: Sequence[str] = kind._fields
    if not isinstance(values, tuple | list) or len(values) != len(names):
        raise InvalidInput(
            f"mixture must be a {kind.__name__} ({', '.join(names)}), got {describe(values)}"
        )
    parts = [
        widen(check_tensor(name, part, ("B", ...), empty=True))
        for name, part in zip(names, values, strict=True)
    ]
    if any(part.dtype != parts[0].dtype for part in parts):
        parts = [part.double() for part in parts]
    return parts


def check_finite(name: str, values: torch.Tensor) -> None:
    """Check that values hold neither NaN nor infinities.

    Raises:
        InvalidInput: they do; the message names the first row.
    """
    if not bool(torch.isfinite(values).all()):
        wrong = ~torch.isfinite(values.detach())
        row = int(wrong.nonzero()[0, 0]) if values.ndim else 0
        raise InvalidInput(
            f"{name} must be finite numbers, got NaN or infinity in row {row}; the learning rate "
            "may be too large, or the input has such values"
        )


def check_result(name: str, result: torch.Tensor, cause: str) -> torch.Tensor:
    """Return the result of finite input, which has become neither NaN nor infinite.

    Args:
        name: how the message calls the result.
        result: a tensor.
        cause: the arguments that can be too large, in the plural.

    Raises:
        InvalidInput: it has.
    """
    if result.numel() == 1:
        is_finite = math.isfinite(result.item())
    else:
        is_finite = bool(torch.isfinite(result.detach()).all())
    if is_finite:
        return result
    raise InvalidInput(
        f"{name} overflows {str(result.dtype).removeprefix('torch.')}: {cause} are too large or "
        "too small in magnitude; rescale them"
    )


def fitting_features(values: Any, width: int, dtype: torch.dtype) -> torch.Tensor:
    """Return features ``[B, width]`` in the type of a head's weights. NaN stays NaN.

    Raises:
        InvalidInput: another shape or type, or numbers that the type of the weights cannot hold.
    """
    features = check_tensor("features", values, ("B", width), empty=True)
    if features.dtype == dtype:
        return features
    converted = features.to(dtype)
    if bool((features.detach().isfinite() & ~converted.detach().isfinite()).any()):
        raise InvalidInput(f"features are too large for {dtype}; rescale them")
    return converted


def check_sizes(**sizes: Any) -> list[int]:
    """Return the sizes of a network as whole numbers.

    Raises:
        InvalidInput: one is below 1, or two of them would need a layer of more than
            ``MOST_WEIGHTS``.
    """
    numbers = [check_whole_number(name, size, at_least=1) for name, size in sizes.items()]
    largest = sorted(numbers)[-2:]
    if math.prod(largest) > MOST_WEIGHTS:
        raise InvalidInput(
            f"{', '.join(sizes)} must be widths of layers with at most {MOST_WEIGHTS} weights, got "
            f"{', '.join(map(describe, numbers))}"
        )
    return numbers


def widen(values: torch.Tensor) -> torch.Tensor:
    """Return values of half precision as float32, and others as they are."""
    return values if values.dtype in (torch.float32, torch.float64) else values.float()


def full_precision(function: F) -> F:
    """Switch autocast off in a function, as products of half precision would spoil a loss."""

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            return function(*args, **options)

    return call  # type: ignore[return-value]
