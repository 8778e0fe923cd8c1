"""Checks of NumPy arrays, and what they share with those of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from types import EllipsisType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explore.core.validation import describe
from explore.errors import InvalidInput

Shape = Sequence[str | int | EllipsisType]
"""One entry for each dimension: a letter for any length, a number for this length. ``...`` at the
end stands for any further dimensions."""

KIND_WORDS = {
    "float": "floats",
    "number": "numbers",
    "integer": "whole numbers",
    "flag": "true or false",
}
"""What a check can ask for. "number" takes whole numbers and flags as well as floats."""


def as_array(name: str, values: Any) -> NDArray[Any]:
    """Return a list, an array or a tensor (on any device) as an array, without a copy if possible.

    Raises:
        InvalidInput: masked or complex values, texts, objects, or lists of different lengths.

    Example:
        >>> as_array("points", [[1, 2]])
        array([[1, 2]])
    """
    if isinstance(values, np.ma.MaskedArray):
        if not np.ma.is_masked(values):
            return as_array(name, values.data)
        raise InvalidInput(
            f"{name} is a masked array, and masked values would be used; remove them first, "
            f"or fill them: {name}.filled(0)"
        )
    if hasattr(values, "detach"):
        return _of_tensor(name, values)
    try:
        if isinstance(values, Sequence) and any(hasattr(value, "detach") for value in values):
            values = [as_array(name, value) for value in values]
        array = np.asarray(values)
    except InvalidInput:
        raise
    except Exception as error:
        # Lists of different lengths are a ValueError; objects of others may raise anything.
        raise InvalidInput(f"{name} must be an array of numbers: {error}") from error
    if array.dtype.kind not in "biufc" or array.dtype.names:
        raise InvalidInput(f"{name} must be an array of numbers, got {describe(values)}")
    check_real(name, array.dtype.kind == "c", array)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def check_array(
    name: str,
    values: Any,
    shape: Shape,
    *,
    kind: str = "number",
    finite: bool = True,
    empty: bool = False,
) -> NDArray[Any]:
    """Return numbers as a NumPy array: float64, int64 or bool.

    Args:
        name: how the message calls the array.
        values: an array, a list or a tensor.
        shape: the expected shape, such as ``("N", 2)``; see ``Shape``.
        kind: "float" or "number" (float64), "integer" (int64) or "flag" (bool).
        finite: refuse NaN and infinities.
        empty: accept arrays without values.

    Raises:
        InvalidInput: another shape or kind, masked or complex values, NaN or infinities, or no
            values.

    Example:
        >>> check_array("points", [[0, 1]], ("N", 2))
        array([[0., 1.]])
        >>> check_array("points", [0.0, np.nan], ("N",))
        Traceback (most recent call last):
        ...
        explore.errors.InvalidInput: points must be finite; row 1 holds nan
    """
    array = as_array(name, values)
    check_shape(name, array, shape, kind, empty)
    check_kind(name, array, shape, kind, array.dtype.kind)
    if kind == "integer":
        if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
            raise InvalidInput(f"{name} must be below 2^63, got {array.max()}")
        return array.astype(np.int64, copy=False)
    if kind == "flag":
        return array
    numbers = array.astype(np.float64, copy=False)
    if finite and not np.isfinite(numbers).all():
        index = tuple(map(int, np.argwhere(~np.isfinite(numbers))[0]))
        row = f"row {index[0]} holds " if index else "it is "
        raise InvalidInput(f"{name} must be finite; {row}{numbers[index]}")
    return numbers


def check_real(name: str, is_complex: bool, values: Any) -> None:
    """Refuse complex numbers, whose imaginary part would be lost."""
    if is_complex:
        raise InvalidInput(f"{name} must be real numbers, got {describe(values)}")


def check_shape(name: str, values: Any, shape: Shape, kind: str, empty: bool) -> None:
    """Check the shape of an array or a tensor.

    Raises:
        InvalidInput: another number of dimensions, another length, or no values.
    """
    open_end = bool(shape) and shape[-1] is ...
    lengths = shape[:-1] if open_end else shape
    actual = tuple(values.shape)
    ranks_fit = len(actual) >= len(lengths) if open_end else len(actual) == len(lengths)
    fits = ranks_fit and all(
        not isinstance(length, int) or length == size
        for length, size in zip(lengths, actual, strict=False)
    )
    if not fits:
        raise InvalidInput(
            f"{name} must be {KIND_WORDS[kind]} {_shape_text(shape)}, got {describe(values)}"
        )
    if not empty and 0 in actual:
        raise InvalidInput(f"{name} must not be empty, got shape {list(actual)}")


def check_kind(name: str, values: Any, shape: Shape, kind: str, actual: str) -> None:
    """Check the kind of numbers in an array or a tensor.

    Args:
        name: how the message calls the values.
        values: the array or the tensor.
        shape: see ``check_shape``; the message shows it.
        kind: the expected kind.
        actual: the kind of the values as NumPy's letter: one of "biuf".

    Raises:
        InvalidInput: it is another kind; the message says how to convert it.
    """
    allowed = {"float": "f", "number": "biuf", "integer": "iu", "flag": "b"}[kind]
    if actual in allowed:
        return
    advice = {
        "float": f"; convert them, for example by {name}.float() / 255 for bytes",
        "integer": "; convert them, for example by .long() or .astype(int)",
        "flag": "; compare them, for example by != 0",
    }[kind]
    raise InvalidInput(
        f"{name} must be {KIND_WORDS[kind]} {_shape_text(shape)}, got {describe(values)}{advice}"
    )


def _shape_text(shape: Shape) -> str:
    return f"[{', '.join('...' if length is ... else str(length) for length in shape)}]"


def check_plain(name: str, tensor: Any) -> None:
    """Refuse tensors whose values cannot be used as they are.

    Raises:
        InvalidInput: the tensor is sparse, quantised, nested, complex or without values (of the
            device "meta").
    """
    if str(tensor.layout) != "torch.strided" or tensor.is_quantized or tensor.is_nested:
        raise InvalidInput(f"{name} must be a plain tensor, got one that is sparse or quantised")
    if tensor.is_meta:
        raise InvalidInput(f"{name} must hold values, got a tensor of the device meta")
    check_real(name, tensor.is_complex(), tensor)


def _of_tensor(name: str, values: Any) -> NDArray[Any]:
    check_plain(name, values)
    tensor = values.detach().cpu()
    # NumPy has no type for bfloat16 and the like.
    small = tensor.is_floating_point() and tensor.dtype.itemsize < 4
    array: NDArray[Any] = (tensor.float() if small else tensor).resolve_neg().numpy()
    return array
