"""Checks that every explorer of every lab must pass."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import pytest
from toys import run_python

from explore.widgets.controls import Button
from explore.widgets.explorer import Explorer

VALUES = 6 if os.environ.get("EXPLORE_ALL_TESTS") == "1" else 2
"""Values of each control that are tried, at most."""


def explorer_names(names: Iterable[str], slow: Iterable[str] = ()) -> list[Any]:
    """Return the names of a lab's explorers as parameters; some are left out of a quick run."""
    return [pytest.param(n, marks=[pytest.mark.slow] if n in slow else []) for n in names]


def check_controls(explorer: Explorer, values: int = VALUES) -> None:
    """Check that every control has a name and changes the picture to that of the new data."""
    for name, control in explorer.controls.items():
        if isinstance(control, Button):
            continue
        assert control.widget.description
        pictures, start = set(), getattr(explorer, name)
        for value in control.values[: min(values, VALUES)]:
            setattr(explorer, name, value)
            pictures.add((explorer.alt, explorer.view.png))
            assert explorer.picture is not None
            assert explorer.view.png == type(explorer.picture)(explorer.data).png(), (
                f"{name} = {value} is not drawn anew"
            )
        assert len(pictures) > 1, f"{name} changes nothing"
        setattr(explorer, name, start)


def check_targets(explorer: Explorer) -> None:
    """Check that every target of a click sets controls."""
    for target in explorer.picture.targets(explorer.data):  # type: ignore[union-attr, arg-type]
        assert set(target.state) <= set(explorer.state)
        explorer.set(**target.state)
        assert explorer.state.items() >= target.state.items()


def check_size(explorer: Explorer) -> None:
    """Check that the output in a saved notebook is small."""
    assert all(len(value) < 200_000 for value in map(str, explorer._repr_mimebundle_().values()))


def check_labels(explorer: Explorer) -> None:
    """Check that no slider shows a long number."""
    for control in explorer.controls.values():
        assert all(len(text) < 45 for text, _ in control.widget.options)  # type: ignore[union-attr]


def check_lab_without(missing: tuple[str, ...], topic: str, calls: tuple[str, ...]) -> None:
    """Check that a lab and its explorers work if packages cannot be imported."""
    code = f"""
import sys
sys.modules.update(dict.fromkeys({missing!r}))
from explore.{topic} import lab
for explorer in ({"".join(f"lab.{call}(), " for call in calls)}):
    print(len(explorer.alt) > 50)
"""
    assert run_python(code).split() == ["True"] * len(calls)
