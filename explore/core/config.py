"""Configurations: frozen dataclasses whose fields are options with a help text and a range."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import Field, field, fields
from typing import Any, Self

from explore.core.validation import (
    MAX_SEED,
    check_choice,
    check_flag,
    check_number,
    check_text,
    check_whole_number,
    to_python,
)

UNIDENTIFYING = ("steps", "device")
"""Options that decide how far a run goes and where, but not what it computes."""


def option(
    default: Any,
    help: str,
    *,
    positional: bool = False,
    choices: Collection[str] = (),
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> Any:
    """Describe one option: a dataclass field that ``BaseConfig`` checks and the command line shows.

    Args:
        default: value of the option if none is given.
        help: one phrase for ``--help``.
        positional: the option is typed without its name.
        choices: the names that the option can have.
        above, at_least, below, at_most: limits of a number; see ``explore.core.validation``.
    """
    limits = {"above": above, "at_least": at_least, "below": below, "at_most": at_most}
    limits = {name: limit for name, limit in limits.items() if limit is not None}
    metadata = {"help": help, "positional": positional, "choices": choices, "limits": limits}
    return field(default=default, metadata=metadata)


def seed_option(help: str = "seed of every random stream") -> Any:
    """Describe the option ``seed``."""
    return option(0, help, at_least=0, at_most=MAX_SEED)


def device_option() -> Any:
    """Describe the option ``device``."""
    return option("", "where to compute, such as cpu or cuda; does not identify the run")


class BaseConfig:
    """Base of all configurations: frozen dataclasses whose fields are made by ``option``.

    Every field is checked when a configuration is made: by its type, its limits and its choices.

    Raises:
        InvalidInput: an option has another type or lies outside its limits; the message names it.
        UnknownName: an option has a name that is none of its choices.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True, kw_only=True)
        ... class WalkConfig(BaseConfig):
        ...     steps: int = option(100, "steps of the walk", at_least=1)
        ...     seed: int = seed_option()
        >>> WalkConfig(steps=0)
        Traceback (most recent call last):
        ...
        explore.errors.InvalidInput: steps must be a whole number of at least 1, got 0
    """

    def __post_init__(self) -> None:
        for setting in fields(self):  # type: ignore[arg-type]
            value = check_option(setting, getattr(self, setting.name))
            object.__setattr__(self, setting.name, value)

    @classmethod
    def make(cls, **values: Any) -> Self:
        """Return a configuration; subclasses fill in what a preset or a method decides."""
        return cls(**values)

    def identity(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return what repeats a run: all options but device and number of steps, and the data
        described."""
        names = [f.name for f in fields(self) if f.name not in UNIDENTIFYING]  # type: ignore[arg-type]
        return {**{name: getattr(self, name) for name in names}, "data": dict(data)}


def type_name(setting: Field[Any]) -> str:
    """Return the declared type of a field as text, also where annotations are no strings."""
    kind = setting.type
    return kind.__name__ if isinstance(kind, type) else str(kind)


def check_option(setting: Field[Any], value: Any) -> Any:
    """Return the value of one field in the type that the field declares.

    Raises:
        InvalidInput, UnknownName: see ``BaseConfig``.
    """
    kind, limits = type_name(setting), setting.metadata.get("limits", {})
    if value is None and "None" in kind:
        return None
    kind = kind.removesuffix(" | None")
    if kind == "int":
        return check_whole_number(setting.name, value, **limits)
    if kind == "float":
        return check_number(setting.name, value, **limits)
    if kind == "bool":
        return check_flag(setting.name, value)
    if choices := setting.metadata.get("choices"):
        return check_choice(setting.name, value, choices)
    if kind == "str":
        return check_text(setting.name, value)
    return to_python(value)
