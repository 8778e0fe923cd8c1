"""Checks of single values, with messages that say what was given and what was expected."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from numbers import Integral, Real
from typing import Any

from explore.errors import InvalidInput, UnknownName


def check_whole_number(
    name: str, value: Any, at_least: int | None = None, at_most: int | None = None
) -> int:
    """Return a whole number as an ``int``.

    Floats without decimals and NumPy's integers are accepted.

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
    number = isinstance(value, Integral) or (isinstance(value, Real) and float(value).is_integer())
    inside = (
        number and (at_least is None or value >= at_least) and (at_most is None or value <= at_most)
    )
    if isinstance(value, bool) or not inside:
        limits = [
            f"at {word} {limit}"
            for word, limit in (("least", at_least), ("most", at_most))
            if limit is not None
        ]
        expected = " of ".join(["a whole number", *([" and ".join(limits)] if limits else [])])
        raise InvalidInput(f"{name} must be {expected}, got {value!r}")
    return int(value)


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
    real = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    inside = (
        real
        and (above is None or value > above)
        and (at_least is None or value >= at_least)
        and (below is None or value < below)
        and (at_most is None or value <= at_most)
    )
    if not inside:
        limits = {"above": above, "of at least": at_least, "below": below, "of at most": at_most}
        texts = [f"{word} {limit:g}" for word, limit in limits.items() if limit is not None]
        raise InvalidInput(
            f"{name} must be {' '.join(['a number', ' and '.join(texts)]).strip()}, got {value!r}"
        )
    return float(value)


def check_choice(name: str, value: Any, choices: Collection[str]) -> str:
    """Return a value that is one of ``choices``.

    Raises:
        UnknownName: it is none of them; the message lists them.
    """
    if not isinstance(value, str) or value not in choices:
        raise UnknownName(name, value, choices)
    return value


def check_flag(name: str, value: Any) -> bool:
    """Return a value that is true or false.

    Raises:
        InvalidInput: it is neither.
    """
    if value is not True and value is not False and type(value).__name__ not in ("bool", "bool_"):
        raise InvalidInput(f"{name} must be true or false, got {value!r}")
    return bool(value)


def check_different(name: str, values: Any) -> Sequence[Any]:
    """Return a list of one or more values, no two of which are equal.

    Raises:
        InvalidInput: it is no list or tuple, it is empty, or a value stands in it twice.
    """
    listed = isinstance(values, Sequence) and not isinstance(values, str)
    if not listed or not len(values) or any(values.index(v) != k for k, v in enumerate(values)):
        raise InvalidInput(f"{name} must be a list of different values, got {values!r}")
    different: Sequence[Any] = values
    return different
