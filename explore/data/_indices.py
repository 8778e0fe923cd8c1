"""Check indices of samples: slices, whole numbers and masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from explore.core.tensor_validation import as_tensor
from explore.core.validation import check_items, check_whole_number, describe, to_python
from explore.errors import InvalidInput


def check_indices(name: str, indices: Any, count: int, samples: str) -> torch.Tensor | slice:
    """Return indices of the first dimension of a tensor with ``count`` rows.

    Args:
        name: how the message calls the indices.
        indices: a slice; a whole number, which counts as a list of one; whole numbers in a list, an
            array or a tensor, of which negative ones count from the end; or ``count`` flags.
        count: the number of rows.
        samples: what the message calls the rows, in the plural.

    Returns:
        The slice, or int64 ``[n]``, each in ``0..count - 1``.

    Raises:
        InvalidInput: indices of another kind or shape, or out of range.

    Example:
        >>> check_indices("indices", [0, -1], 5, "images")
        tensor([0, 4])
        >>> check_indices("indices", [0, 7], 5, "images")
        Traceback (most recent call last):
        ...
        explore.errors.InvalidInput: indices must be -5..4, as there are 5 images; got 7
    """
    if isinstance(indices, slice):
        limits = (indices.start, indices.stop, indices.step)
        start, stop, step = (
            None if limit is None else check_whole_number(f"{name} (a slice)", limit)
            for limit in limits
        )
        if step is None or step > 0:
            return slice(start, stop, step)
        if not step:
            raise InvalidInput(f"the step of {name} must not be 0, got {indices}")
        # PyTorch has no slices backwards.
        return torch.tensor(range(count)[start:stop:step], dtype=torch.int64)
    values = to_python(indices)
    if isinstance(values, int | float) and not isinstance(values, bool):
        values = [check_whole_number(name, values)]
    if isinstance(values, set | frozenset | Mapping):
        raise InvalidInput(
            f"{name} must be in an order; {describe(indices)} has none, pass a sorted list"
        )
    if not hasattr(values, "shape"):
        values = check_items(name, values)
        if not values:
            return torch.zeros(0, dtype=torch.int64)
    tensor = as_tensor(name, values)
    is_mask = tensor.dtype == torch.bool
    if is_mask and tensor.shape == (count,):
        return tensor.nonzero()[:, 0]
    if tensor.ndim != 1 or tensor.is_floating_point() or is_mask:
        advice = f"; a mask must have {count} entries" if is_mask else ""
        raise InvalidInput(
            f"{name} must be whole numbers [n] or a slice, got {describe(indices)}{advice}"
        )
    rows = tensor.long()  # PyTorch would use uint8 as a mask.
    if not len(rows):
        return rows
    low, high = int(rows.min()), int(rows.max())
    if low < -count or high >= count:
        raise InvalidInput(
            f"{name} must be {-count}..{count - 1}, as there are {count} {samples}; "
            f"got {low if low < -count else high}"
        )
    return torch.where(rows < 0, rows + count, rows)
