"""Checks of single values that a user passes: numbers, names, flags, texts, paths and functions.

Each check takes the name of an argument and its value, and returns the value as the code behind it
needs it, as Python's own number or text. What cannot be used is an ``InvalidInput`` that names the
argument and says what was given and what was expected. The checks of arrays are in
``array_validation``, those of tensors, labels, networks and devices in ``tensor_validation``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from explore.errors import InvalidInput, UnknownName, short_repr

MAX_SEED = 2**63 - 1
"""The largest seed: the largest number that JSON readers, NumPy and PyTorch all take."""

MAX_PATH_PART = 255
"""The longest name of a file or a folder, on all usual file systems."""

UNORDERED = (str, bytes, Set, Mapping)
"""Texts, and collections whose order means nothing: they are no lists."""


def to_python(value: Any) -> Any:
    """Return Python's own number or text for one of NumPy or PyTorch, and other values unchanged.

    Arrays and tensors without dimensions count as the number that they hold, so that options from
    ``np.arange`` or a learned scalar can be compared, stored as JSON and hashed.

    Example:
        >>> import numpy as np
        >>> to_python(np.int64(3)), to_python(np.array(0.5)), to_python("a")
        (3, 0.5, 'a')
    """
    if isinstance(value, str):
        return str(value)
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        try:
            item = value.item()
            return value if item is None else item  # "not a time" is no None
        except (TypeError, ValueError, RuntimeError, NotImplementedError):
            return value  # such as a tensor of the device "meta", which holds no number
    return value


def describe(value: Any) -> str:
    """Return a value for error messages: dtype and shape of arrays, else its shortened ``repr``.

    Example:
        >>> import numpy as np
        >>> describe(np.zeros((2, 3))), describe("4")
        ('float64 [2, 3]', "'4'")
    """
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if dtype is not None and isinstance(shape, tuple) and shape != ():
        return f"{dtype} {list(shape)}"
    return short_repr(value)


def check_whole_number(
    name: str, value: Any, at_least: int | None = None, at_most: int | None = None
) -> int:
    """Return a whole number as an ``int``.

    Floats without decimals, and the integers of NumPy and PyTorch are accepted.

    Args:
        name: how the message calls the value.
        value: what to check.
        at_least, at_most: the limits, themselves allowed.

    Raises:
        InvalidInput: the value is no whole number or lies outside the limits.

    Example:
        >>> check_whole_number("steps", 5.0, at_least=1)
        5
        >>> check_whole_number("steps", 0, at_least=1)
        Traceback (most recent call last):
        ...
        explore.errors.InvalidInput: steps must be a whole number of at least 1, got 0
    """
    number = to_python(value)
    inside = (
        _is_whole(number)
        and (at_least is None or number >= at_least)
        and (at_most is None or number <= at_most)
    )
    if not inside:
        limits = [
            f"at {word} {limit}"
            for word, limit in (("least", at_least), ("most", at_most))
            if limit is not None
        ]
        expected = " of ".join(["a whole number", *([" and ".join(limits)] if limits else [])])
        raise InvalidInput(f"{name} must be {expected}, got {describe(value)}")
    return int(number)


def check_number(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> float:
    """Return a finite number as a ``float``.

    Args:
        name: how the message calls the value.
        value: what to check.
        above, below: limits that are not allowed themselves.
        at_least, at_most: limits that are allowed themselves.

    Raises:
        InvalidInput: the value is no number, is NaN or infinite, or lies outside the limits.

    Example:
        >>> check_number("momentum", 1, at_least=0, below=1)
        Traceback (most recent call last):
        ...
        explore.errors.InvalidInput: momentum must be a number of at least 0 and below 1, got 1
    """
    number = to_python(value)
    inside = (
        _is_finite(number)
        and (above is None or number > above)
        and (at_least is None or number >= at_least)
        and (below is None or number < below)
        and (at_most is None or number <= at_most)
    )
    if not inside:
        limits = {"above": above, "of at least": at_least, "below": below, "of at most": at_most}
        texts = [f"{word} {limit:g}" for word, limit in limits.items() if limit is not None]
        expected = " ".join(["a number", " and ".join(texts)]).strip()
        raise InvalidInput(f"{name} must be {expected}, got {describe(value)}")
    return float(number)


def check_seed(value: Any, name: str = "seed") -> int:
    """Return a seed as an ``int``: a whole number from 0 to ``MAX_SEED``.

    Raises:
        InvalidInput: the value is something else.
    """
    return check_whole_number(name, value, at_least=0, at_most=MAX_SEED)


def check_choice(name: str, value: Any, choices: Collection[str]) -> str:
    """Return a value that is one of ``choices``.

    Raises:
        UnknownName: it is none of them; the message lists them.
    """
    value = to_python(value)
    if not isinstance(value, str) or value not in choices:
        raise UnknownName(name, value, choices)
    return value


def check_flag(name: str, value: Any) -> bool:
    """Return a value that is true or false; a text or a number is neither.

    Raises:
        InvalidInput: it is neither.
    """
    flag = to_python(value)
    if not isinstance(flag, bool):
        raise InvalidInput(f"{name} must be true or false, got {describe(value)}")
    return flag


def check_text(name: str, value: Any) -> str:
    """Return a text.

    Raises:
        InvalidInput: the value is something else.
    """
    text = to_python(value)
    if not isinstance(text, str):
        raise InvalidInput(f"{name} must be a text, got {describe(value)}")
    return text


def check_path(name: str, value: Any) -> Path:
    """Return a path, in which ``~`` stands for the home folder.

    Raises:
        InvalidInput: the value is no path, is empty, or holds a character that no path can have.

    Example:
        >>> check_path("to", "runs/a.zarr")
        PosixPath('runs/a.zarr')
        >>> check_path("to", "")
        Traceback (most recent call last):
        ...
        explore.errors.InvalidInput: to must be a path, got ''
    """
    try:
        text = os.fsdecode(value)
    except (TypeError, UnicodeError):
        text = ""
    if not text or "\0" in text:
        raise InvalidInput(f"{name} must be a path, got {describe(value)}")
    if any(len(os.fsencode(part)) > MAX_PATH_PART for part in Path(text).parts):
        raise InvalidInput(
            f"{name} must be a path of parts of at most {MAX_PATH_PART} bytes, got "
            f"{describe(value)}"
        )
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # "~name" of an unknown user
        raise InvalidInput(f"{name} {text!r} cannot be resolved: {error}") from error


def check_names(name: str, values: Any, count: int | None = None) -> tuple[str, ...]:
    """Return names as a tuple of texts; whole numbers become texts.

    Args:
        name: how the message calls the names.
        values: a list, a tuple or an array.
        count: how many there must be.

    Raises:
        InvalidInput: they are something else, or another number of them.

    Example:
        >>> check_names("class_names", [1, "dog"], count=2)
        ('1', 'dog')
    """
    try:
        items = None if isinstance(values, UNORDERED) else [to_python(v) for v in values]
    except Exception:  # not iterable, or an iterator of somebody else that fails
        items = None
    is_list = items is not None and all(
        isinstance(item, str | int) and not isinstance(item, bool) for item in items
    )
    if items is None or not is_list:
        raise InvalidInput(f"{name} must be a list of names, got {describe(values)}")
    if count is not None and len(items) != count:
        raise InvalidInput(f"{name} must be {count} names, got {len(items)}")
    return tuple(map(str, items))


def check_callable(name: str, value: Any, purpose: str) -> Callable[..., Any]:
    """Return a function.

    Args:
        name: how the message calls it.
        value: what to check.
        purpose: what the message says that the function does, such as "that takes a seed".

    Raises:
        InvalidInput: it cannot be called.
    """
    if not callable(value):
        raise InvalidInput(f"{name} must be a function {purpose}, got {describe(value)}")
    function: Callable[..., Any] = value
    return function


def check_different(name: str, values: Any) -> Sequence[Any]:
    """Return a list of one or more values, no two of which are equal.

    Raises:
        InvalidInput: it is no list or tuple, it is empty, or a value stands in it twice.
    """
    listed = isinstance(values, Sequence) and not isinstance(values, str)
    if not listed or not len(values) or any(values.index(v) != k for k, v in enumerate(values)):
        raise InvalidInput(f"{name} must be a list of different values, got {describe(values)}")
    different: Sequence[Any] = values
    return different


def check_items(name: str, values: Any) -> list[Any]:
    """Return the items of anything that can be listed, but not the letters of a text.

    Raises:
        InvalidInput: the value is a text or cannot be listed.
    """
    if isinstance(values, Iterable) and not isinstance(values, UNORDERED):
        try:
            return list(values)
        except Exception:  # an array without dimensions, or an iterator of somebody else
            pass
    raise InvalidInput(f"{name} must be a list, got {describe(values)}")


def _is_finite(value: Any) -> bool:
    """Return whether a value is a real number, not a flag, that a float can hold."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _is_whole(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, Integral) or (_is_finite(value) and float(value).is_integer())
