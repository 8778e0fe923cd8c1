"""Check what is stored as JSON: options, provenance and protocol."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from datetime import date, time
from typing import Any

from explore.core.array_validation import as_array
from explore.core.validation import describe, to_python
from explore.errors import InvalidInput

MOST_LEVELS = 50
"""Deeper nesting is refused, and with it what contains itself."""
MOST_VALUES = 10_000
"""Larger arrays are no description."""


def check_json(name: str, values: Any) -> dict[str, Any]:
    """Return a mapping as it will be read again from JSON.

    NumPy's and PyTorch's numbers become Python's, small arrays and tuples become lists, paths,
    dates and times become texts, and so do NaN and infinities, which JSON does not have.

    Args:
        name: how the message calls the mapping.
        values: a mapping whose keys are texts or whole numbers.

    Raises:
        InvalidInput: no mapping, a value or a key that JSON cannot hold, or more than
            ``MOST_LEVELS`` levels.

    Example:
        >>> from pathlib import PurePosixPath
        >>> check_json("options", {"file": PurePosixPath("a.pt"), "sizes": (1, 2)})
        {'file': 'a.pt', 'sizes': [1, 2]}
    """
    if not isinstance(values, Mapping):
        raise InvalidInput(f"{name} must be a mapping of names to values, got {describe(values)}")
    result: dict[str, Any] = _convert(name, values, 0)
    return result


def _convert(name: str, value: Any, level: int) -> Any:
    value = to_python(value)
    if level > MOST_LEVELS:
        raise InvalidInput(f"{name} must have at most {MOST_LEVELS} levels; store less in it")
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        if abs(value) < 2**64:
            return int(value)
    elif isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    elif isinstance(value, os.PathLike):
        return os.fsdecode(value)
    elif isinstance(value, date | time):
        return value.isoformat()
    elif isinstance(value, Mapping):
        return {
            _key(name, key): _convert(f"{name}[{key!r}]", item, level + 1)
            for key, item in value.items()
        }
    elif isinstance(value, list | tuple):
        return [_convert(f"{name}[{k}]", item, level + 1) for k, item in enumerate(value)]
    elif hasattr(value, "shape") and math.prod(value.shape) <= MOST_VALUES:
        return _convert(name, as_array(name, value).tolist(), level)
    raise InvalidInput(
        f"{name} must be something that JSON can hold (texts, numbers, lists, mappings), "
        f"got {describe(value)}; convert it"
    )


def _key(name: str, key: Any) -> str:
    key = to_python(key)
    if isinstance(key, str) or (isinstance(key, int) and not isinstance(key, bool)):
        return str(key)
    raise InvalidInput(f"the keys of {name} must be texts, got {describe(key)}")
