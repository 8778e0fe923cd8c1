"""Checks that every explorer of every lab must pass."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from text_boxes import problems
from toys import run_python

from explore.widgets.controls import Button
from explore.widgets.explorer import Explorer
from explore.widgets.prediction import Prediction

VALUES = 8 if os.environ.get("EXPLORE_ALL_TESTS") == "1" else 2
"""Positions of each control that are tried, at most."""


def explorer_names(names: Iterable[str], slow: Iterable[str] = ()) -> list[Any]:
    """Return the names of a lab's explorers as parameters; some are left out of a quick run."""
    return [pytest.param(n, marks=[pytest.mark.slow] if n in slow else []) for n in names]


def positions(values: Sequence[Any], most: int) -> list[Any]:
    """Return up to ``most`` values at equal distances in the list, with the first and the last."""
    count = min(most, len(values))
    return [values[round(k * (len(values) - 1) / max(1, count - 1))] for k in range(count)]


def check_controls(explorer: Explorer, most: int = VALUES) -> None:
    """Check every control of an explorer at up to ``most`` positions.

    It has a name, and it changes the picture to what a new picture of the same data shows. No text
    overlaps another one or is cut off.
    """
    reveal(explorer)
    for name, control in explorer.controls.items():
        if isinstance(control, Button | Prediction):
            continue
        assert control.widget.description
        pictures, start = set(), getattr(explorer, name)
        for value in positions(control.values, min(most, VALUES)):
            setattr(explorer, name, value)
            pictures.add((explorer.alt, explorer.view.png))
            check_picture(explorer, f"{name} = {value}")
        assert len(pictures) > 1 or len(control.values) == 1, f"{name} changes nothing"
        setattr(explorer, name, start)


def reveal(explorer: Explorer) -> Explorer:
    """Answer the question in front of a picture, if there is one, and return the explorer."""
    control = explorer.controls.get("prediction")
    if isinstance(control, Prediction):
        assert problems(explorer.picture) == []
        explorer.set(prediction=control.values[1])
        assert "The picture shows: " in explorer.view.note
    return explorer


def check_picture(explorer: Explorer, state: str) -> None:
    """Check that the picture equals a new one of the same data, and that its texts can be read."""
    new = type(explorer.picture)(explorer.data)
    assert problems(new) == [], f"{state}: texts overlap or are cut off"
    assert explorer.view.png == new.png(), f"{state} is not drawn anew"


def check_targets(explorer: Explorer) -> None:
    """Check that every target of a click sets controls."""
    reveal(explorer)
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
