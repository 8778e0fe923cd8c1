"""Checks of multi-label input: labels, masks, features and thresholds."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import torch

from explore.errors import InvalidInput

F = TypeVar("F", bound=Callable[..., Any])


def check_labels(
    labels: torch.Tensor, mask: torch.Tensor | None = None, rows: int | None = None
) -> torch.Tensor:
    """Return labels as float32 ``[N, K]``, with 0 where they are not known.

    Args:
        labels: ``[N, K]`` of any type, 0 or 1 wherever they are known.
        mask: bool ``[N, K]``; None if all labels are known.
        rows: how many rows there must be.

    Raises:
        InvalidInput: another shape, or a known label that is neither 0 nor 1.
    """
    if not isinstance(labels, torch.Tensor) or labels.ndim != 2:
        shape = list(labels.shape) if hasattr(labels, "shape") else type(labels).__name__
        raise InvalidInput(f"labels must be a tensor [N, K] of 0 and 1, got {shape}")
    if rows is not None and len(labels) != rows:
        raise InvalidInput(f"got {len(labels)} rows of labels for {rows} samples")
    if mask is not None and (mask.shape != labels.shape or mask.dtype != torch.bool):
        raise InvalidInput(
            f"mask must be bool {list(labels.shape)}, as the labels, got {mask.dtype} "
            f"{list(mask.shape)}"
        )
    wrong = (labels != 0) & (labels != 1)
    if mask is not None:
        wrong &= mask
    if bool(wrong.any()):
        row, column = wrong.nonzero()[0].tolist()
        raise InvalidInput(
            f"labels must be 0 or 1, got {labels[row, column].item():g} in row {row}, column "
            f"{column}; pass mask= for missing labels"
        )
    values = labels.float()
    return values if mask is None else torch.where(mask, values, 0.0)


def check_finite(name: str, values: torch.Tensor) -> None:
    """Check that values hold neither NaN nor infinities.

    Raises:
        InvalidInput: they do; the message names the first row.
    """
    if not bool(torch.isfinite(values).all()):
        row = int((~torch.isfinite(values.detach())).flatten(1).any(1).nonzero()[0])
        raise InvalidInput(
            f"{name} must be finite numbers, got NaN or infinity in row {row}; the learning rate "
            "may be too large, or the input has such values"
        )


def widen(values: torch.Tensor) -> torch.Tensor:
    """Return values of half precision as float32, and others as they are."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def full_precision(function: F) -> F:
    """Switch autocast off in a function, as products of half precision would spoil a loss."""

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            return function(*args, **options)

    return call  # type: ignore[return-value]
