"""Every option of every method with hostile values ends in a value of its type or in words."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from typing import Any

import pytest
from fuzz_judge import describe, limited, names_argument
from fuzz_values import CONSTANTS, VARIANTS, Hostile, Skip

from explore.core import registry
from explore.core.config import type_name
from explore.errors import ExploreError

METHOD_LIST = sorted(registry.methods())

OPEN = {
    "init": "noise, a set, its file or a tensor: checked when the run is built",
    "data": "resolved when the run is built",
    "parents": "checked against the data when the run is built",
    "distilled": "a path, a set or a list of them",
    "experts": "a path, a recording or trajectories",
    "teacher": "a path, a network or a function",
    "model": "a name or a network",
}
"""Options without a type of their own, which are checked when the run is built."""


def settings_of(name: str) -> dict[str, str]:
    """Return the options of a method with their types."""
    config = registry.resolve(registry.method(name).config)
    return {setting.name: type_name(setting) for setting in fields(config) if setting.init}


@pytest.mark.parametrize("name", METHOD_LIST)
def test_options_are_refused_in_words_or_become_plain_values(name: str) -> None:
    row = registry.method(name)
    faults = []
    for option, kind in settings_of(name).items():
        if option in OPEN or option == "method":
            continue
        for hostile in CONSTANTS:
            value = hostile.make(None)
            try:
                with limited():
                    config = registry.make_config(row, {option: value})
            except ExploreError as error:
                if not names_argument(str(error), option, {}):
                    faults.append(f"{option} = {hostile.name}: not named: {str(error)[:100]}")
            except Exception as error:
                faults.append(f"{option} = {hostile.name}: {type(error).__name__}: {error}"[:160])
            else:
                if not is_plain(getattr(config, option), kind):
                    faults.append(f"{option} = {hostile.name}: {describe(value)} was accepted")
    assert faults == []


@pytest.mark.parametrize("name", METHOD_LIST)
def test_numbers_of_numpy_and_torch_are_plain_numbers(name: str) -> None:
    row = registry.method(name)
    valid = registry.make_config(row, {})
    variants = [v for v in VARIANTS if v.name in ("NumPy number", "0-d array", "0-d tensor")]
    faults = []
    for option, kind in settings_of(name).items():
        value = getattr(valid, option)
        for hostile in variants if kind.startswith(("int", "float", "bool")) else ():
            converted = as_variant(hostile, value)
            if converted is None:
                continue
            config = registry.make_config(row, {option: converted})
            if getattr(config, option) != value or not is_plain(getattr(config, option), kind):
                faults.append(f"{option} = {hostile.name}: {getattr(config, option)!r}")
    assert faults == []


def as_variant(hostile: Hostile, value: Any) -> Any:
    try:
        return hostile.make(value)
    except Skip:
        return None


def is_plain(value: Any, kind: str) -> bool:
    """Return whether a value has the declared type and can be stored as JSON."""
    if value is None:
        return "None" in kind
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    kind = kind.removesuffix(" | None")
    if kind == "float":
        return type(value) in (int, float) and math.isfinite(value)
    expected: dict[str, Any] = {"int": int, "bool": bool, "str": str}
    return type(value) is expected[kind] if kind in expected else True
