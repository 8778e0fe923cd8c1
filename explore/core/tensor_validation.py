"""Checks of tensors, labels, networks and devices. PyTorch is imported when one is checked."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from explore.core.array_validation import Shape, as_array, check_kind, check_plain, check_shape
from explore.core.validation import describe
from explore.errors import InvalidInput

if TYPE_CHECKING:
    import torch

SUPPORTED = frozenset(
    np.dtype(name).num
    for name in ("bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
) | frozenset(np.dtype(name).num for name in ("float16", "float32", "float64"))
"""Numbers of NumPy's types that PyTorch has too."""

MAX_CLASSES = 100_000
"""Larger labels are numbers of another kind, not those of classes."""


def as_tensor(name: str, values: Any) -> torch.Tensor:
    """Return a tensor, an array or a list as a plain tensor, without a copy if possible.

    A tensor keeps its device and its gradient. Classes derived from ``torch.Tensor``, such as
    ``nn.Parameter`` and the images of torchvision, become plain tensors that share their values.

    Raises:
        InvalidInput: no numbers, or a tensor that is sparse, quantised, complex, nested or without
            values (of the device "meta").
    """
    import torch

    if isinstance(values, torch.Tensor):
        check_plain(name, values)
        return values if type(values) is torch.Tensor else values.as_subclass(torch.Tensor)
    if (
        isinstance(values, list | tuple)
        and values
        and all(isinstance(value, torch.Tensor) for value in values)
    ):
        if len({(v.shape, v.dtype, v.device) for v in values}) > 1:
            raise InvalidInput(
                f"{name} is a list of tensors with different shapes, types or devices; "
                "stack equal ones"
            )
        return as_tensor(name, torch.stack([as_tensor(name, value) for value in values]))
    array = as_array(name, values)
    if array.dtype.num not in SUPPORTED:  # such as long doubles
        array = array.astype(np.float64)
    if any(stride < 0 for stride in array.strides):
        array = array.copy()
    with warnings.catch_warnings():
        # PyTorch warns that a read-only array could be written to through the tensor; it is not.
        warnings.filterwarnings("ignore", message=".*not writable.*")
        return torch.from_numpy(array)


def check_tensor(
    name: str,
    values: Any,
    shape: Shape,
    *,
    kind: str = "float",
    dtype: torch.dtype | None = None,
    finite: bool = False,
    empty: bool = False,
) -> torch.Tensor:
    """Return values as a plain tensor of a shape and a kind.

    Args:
        name: how the message calls the tensor.
        values: a tensor on any device, an array or a list. Gradients are kept.
        shape: the expected shape, such as ``("N", "C", "H", "W")``; see ``Shape``.
        kind: "float"; "number" (whole numbers and flags become float32); "integer" (becomes int64)
            or "flag".
        dtype: convert floats to this type; None keeps theirs.
        finite: refuse rows with NaN or infinities, also those that only ``dtype`` cannot hold.
        empty: accept tensors without values.

    Raises:
        InvalidInput: another shape or kind, no plain tensor of real numbers, rows that are not
            finite, or no values.

    Example:
        >>> check_tensor("images", np.zeros((2, 1, 4, 4)), ("N", "C", "H", "W")).dtype
        torch.float64
        >>> check_tensor("images", np.zeros((2, 4, 4)), ("N", "C", "H", "W"))
        Traceback (most recent call last):
        ...
        explore.errors.InvalidInput: images must be floats [N, C, H, W], got torch.float64
        [2, 4, 4]
    """
    import torch

    tensor = as_tensor(name, values)
    check_shape(name, tensor, shape, kind, empty)
    floating = tensor.is_floating_point()
    letter = "f" if floating else "b" if tensor.dtype == torch.bool else "i"
    if kind == "float" and letter != "f" and not isinstance(values, torch.Tensor | np.ndarray):
        letter = "f"  # A list such as [[1, 0]] holds no decimals by chance.
    check_kind(name, tensor, shape, kind, letter)
    if kind == "flag":
        return tensor
    if kind == "integer":
        result = tensor.long()
        if tensor.dtype == torch.uint64 and tensor.numel() and int(result.min()) < 0:
            raise InvalidInput(f"{name} must be below 2^63")
        return result
    if not floating:
        tensor = tensor.float()
    result = tensor if dtype is None else tensor.to(dtype)
    if finite:
        check_finite(name, result)
    return result


def check_finite(name: str, values: torch.Tensor, advice: str = "remove or repair them") -> None:
    """Check that no row of a tensor holds NaN or infinities, without a copy of it.

    Args:
        name: how the message calls the rows, in the plural.
        values: ``[N, ...]``.
        advice: what the message says to do.

    Raises:
        InvalidInput: gives the number of such rows and the index of the first.
    """
    import torch

    if not values.is_floating_point() or not values.numel():
        return
    low, high = torch.aminmax(values.detach())  # Both are NaN if any value is.
    if bool(torch.isfinite(low) & torch.isfinite(high)):
        return
    rows = values.detach().reshape(len(values) if values.ndim else 1, -1)
    bad = [k for k, row in enumerate(rows) if not bool(row.isfinite().all())]
    raise InvalidInput(f"{len(bad)} {name} hold NaN or Inf, the first is number {bad[0]}; {advice}")


def check_labels(
    name: str, values: Any, count: int, classes: int | None = None, samples: str = "sample"
) -> torch.Tensor:
    """Return the class of each sample as int64 ``[N]``.

    Args:
        name: how the message calls the labels.
        values: integers of any type, in a tensor, an array or a list.
        count: N.
        classes: K, if it is known: each label is below.
        samples: what the message calls one of the N.

    Raises:
        InvalidInput: no integers, another number of them, or one outside of 0..K-1.

    Example:
        >>> check_labels("labels", [0, 2], 2, classes=2)
        Traceback (most recent call last):
        ...
        explore.errors.InvalidInput: labels must be 0..1, got 2 in sample 1; number the classes
        from 0
    """
    import torch

    tensor = as_tensor(name, values)
    is_integer = not tensor.is_floating_point() and tensor.dtype != torch.bool
    if tensor.shape != (count,) or not is_integer:
        advice = "; pass the number of the class of each sample"
        if tensor.ndim == 2 and len(tensor) == count and tensor.shape[1] > 1:
            advice = f"; for one-hot labels pass {name}.argmax(1)"
        elif tensor.shape == (count, 1):
            advice = f"; pass {name}[:, 0]"
        elif tensor.shape == (count,):
            advice = f"; convert them: {name}.long()"
        raise InvalidInput(f"{name} must be integers [{count}], got {describe(tensor)}{advice}")
    labels = tensor.long()
    if not count:
        return labels
    low, high = int(labels.min()), int(labels.max())
    last = MAX_CLASSES if classes is None else classes - 1
    if low < 0 or high > last:
        wrong = low if low < 0 else high
        index = int((labels == wrong).nonzero()[0])
        raise InvalidInput(
            f"{name} must be 0..{last}, got {wrong} in {samples} {index}; number the classes from 0"
        )
    return labels


def check_network(name: str, model: Any) -> torch.nn.Module:
    """Return a network.

    Raises:
        InvalidInput: it is no ``torch.nn.Module``.
    """
    import torch

    if isinstance(model, torch.nn.Module):
        return model
    advice = ""
    if callable(model):
        advice = "; call the function that makes one"
    raise InvalidInput(f"{name} must be a network (torch.nn.Module), got {describe(model)}{advice}")


def check_device(name: Any) -> torch.device:
    """Return a device that can be used; an empty name and None are the CPU.

    Raises:
        InvalidInput: there is no such device on this machine.

    Example:
        >>> check_device("")
        device(type='cpu')
    """
    import torch

    try:
        # A value is read back, as "meta" and similar devices hold none.
        tensor = torch.zeros(1, device="cpu" if name is None or name == "" else name)
        tensor.item()
        return tensor.device
    except (RuntimeError, AssertionError, TypeError, NotImplementedError, ValueError) as error:
        # PyTorch without CUDA raises an AssertionError.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidInput(
            f"device {describe(name)} cannot be used: {reason}; leave it out for cpu"
        ) from error
