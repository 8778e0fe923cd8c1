"""What the config dataclass of a method is made of: options with a sentence each, and what identifies a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field, fields
from numbers import Real
from typing import Any

from explore.errors import InvalidInput

UNIDENTIFYING = ("steps", "device")
"""Options that do not decide what a run computes, only how far it goes and where."""


def option(default: Any, help: str, positional: bool = False) -> Any:
    """A dataclass field with the sentence that the command line and the schema show; ``positional`` is typed without its name."""
    return field(default=default, metadata={"help": help, "positional": positional})


def identity(config: Any, data: Mapping[str, Any]) -> dict[str, Any]:
    """All options but device and number of steps, with the data described: what repeats a run."""
    return {
        **{f.name: getattr(config, f.name) for f in fields(config) if f.name not in UNIDENTIFYING},
        "data": dict(data),
    }


def check_positive(name: str, value: Any) -> None:
    """Refuse what is not a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < math.inf:
        raise InvalidInput(f"{name} must be a number above 0, got {value!r}")
