"""Every public function with one hostile argument at a time ends in a right value or in words.

The functions are found in the packages, not listed; ``fuzz_calls`` holds a valid call of each. A
case passes if it ends in an ``ExploreError`` that names the argument, in the result of the valid
call (where the hostile value means the same), or in a finite result for a value that the argument
may have. Everything else needs a reason in the table of its call.
"""

from __future__ import annotations

import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import EVERYTHING
from fuzz_calls import CALLS, EXCLUDED
from fuzz_doors import arguments_of, doors
from fuzz_judge import Call, flat, invoke, judge
from fuzz_values import VALUES, Hostile

from explore.core import registry

DOORS = doors()
SHARE = 1.0 if EVERYTHING else 0.02
"""The share of all cases in a quick run, which then takes about half a minute."""

FAULTS = ("raw", "nan", "wrong", "hang", "swallowed", "unnamed", "accepted")


def is_excluded(name: str) -> bool:
    return any(name == pattern or name.endswith(pattern) for pattern in EXCLUDED)


def cases(name: str) -> list[tuple[str, Hostile]]:
    """Return the arguments and values of a door; a quick run takes a fixed sample."""
    function, call = DOORS[name], CALLS[name]
    names = arguments_of(getattr(function, "__func__", function))
    pairs = [(a, value) for a in names if a not in call.skip for value in VALUES]
    return [
        (argument, value)
        for argument, value in pairs
        if zlib.crc32(f"{name} {argument} {value.name}".encode()) % 10_000 < SHARE * 10_000
    ]


def test_every_public_function_has_a_valid_call() -> None:
    missing = [name for name in DOORS if name not in CALLS and not is_excluded(name)]
    assert missing == [], "add a valid call to fuzz_calls, or a reason to EXCLUDED"
    assert [name for name in CALLS if name not in DOORS] == [], "these are not public"


def test_there_are_enough_cases() -> None:
    names = [getattr(DOORS[name], "__func__", DOORS[name]) for name in CALLS]
    assert sum(len(arguments_of(function)) for function in names) * len(VALUES) > 5_000


@pytest.mark.timeout(0)  # each call has a limit of its own
@pytest.mark.parametrize("name", sorted(CALLS))
def test_hostile_arguments(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EXPLORE_TOPICS", "")  # add_topic changes it
    function, call = DOORS[name], CALLS[name]
    selected = cases(name)
    if not selected:
        return
    valid = flat(invoke(function, call.arguments(), call.after))
    counts: Counter[str] = Counter()
    faults = []
    for argument, hostile in selected:
        kind, text = judge(function, call, argument, hostile, valid)
        counts[kind] += 1
        if kind in FAULTS:
            faults.append(f"{argument} = {hostile.name}: {kind}: {text}")
    record_property("cases", dict(counts))
    registry.forget()
    assert faults == []


def test_the_judge_finds_faults() -> None:
    """The harness itself: each kind of fault is seen in a function that has it."""

    def door(x: float) -> float:
        if isinstance(x, str):
            raise KeyError(x)
        if x is None:
            return float("nan")
        if isinstance(x, list):
            return 1.0
        return 2.0 * float(x)

    call = Call(lambda: {"x": 1.5})
    values = {value.name: value for value in VALUES}
    kinds = {
        name: judge(door, call, "x", values[name], flat(3.0))[0]
        for name in ("text", "None", "empty list", "NumPy number", "1.5")
    }
    assert kinds == {
        "text": "raw",
        "None": "nan",
        "empty list": "accepted",
        "NumPy number": "pass",
        "1.5": "pass",
    }
    assert judge(lambda x: 4.0, call, "x", values["NumPy number"], flat(3.0))[0] == "wrong"
