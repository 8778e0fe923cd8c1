"""Doors of controls, explorers and jobs: a value of the list, or a sentence that lists them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import traitlets
from bar_picture import Bar, source

from explore.errors import InvalidInput, UnknownName
from explore.widgets.controls import Choice, MultiChoice, Slider, ValueNotOffered
from explore.widgets.explorer import Explorer
from explore.widgets.job import Job


@pytest.fixture
def explorer() -> Explorer:
    controls = {"step": Slider("step", [0, 1, 3]), "kind": Choice("kind", ["low", "tall"])}
    return Explorer(source, Bar, controls)


@pytest.mark.parametrize("value", [3, 3.0, np.int64(3), np.array(3)], ids=repr)
def test_equal_numbers_are_one_value(value: Any, explorer: Explorer) -> None:
    explorer.set(step=value)
    assert (explorer.state["step"], type(explorer.state["step"])) == (3, int)


@pytest.mark.parametrize(
    "value", [2, -1, 0.5, float("nan"), "3", True, None, [3], np.arange(2), {}], ids=repr
)
def test_another_value_is_refused_and_changes_nothing(value: Any, explorer: Explorer) -> None:
    for change in (lambda: explorer.set(step=value, kind="tall"), lambda: setattr_step(value)):
        with pytest.raises(ValueNotOffered, match="step must be one of 0, 1, 3; got"):
            change()

    assert explorer.state == {"step": 0, "kind": "low"}


def setattr_step(value: Any) -> None:
    Explorer(
        source, Bar, {"step": Slider("step", [0, 1, 3]), "kind": Choice("k", ["low"])}
    ).step = value


def test_an_error_of_a_value_is_one_of_explore_and_of_traitlets(explorer: Explorer) -> None:
    for kind in (InvalidInput, traitlets.TraitError, ValueError):
        with pytest.raises(kind):
            explorer.step = 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Slider("step", []), "the control 'step' needs a list of one value or more"),
        (lambda: Choice("kind", "low"), "the control 'kind' needs a list of one value or more"),
        (lambda: Slider("step", 3), "the control 'step' needs a list of one value or more, got 3"),
        (lambda: MultiChoice("marks", []), "the control 'marks' needs a list"),
        (lambda: Slider("step", [1, 2], 5), "the start of 'step' must be one of 1, 2; got 5"),
        (lambda: MultiChoice("marks", ["a"], ["b"]), "marks must be one of 'a'; got 'b'"),
        (lambda: Slider(3, [1]), "label must be a text, got 3"),
        (lambda: Explorer(3, Bar, {}), "source must be a function"),
        (lambda: Explorer(source, "Bar", {}), "picture must be a class of pictures, got 'Bar'"),
        (lambda: Explorer(source, Bar, ["step"]), "controls must be controls by name"),
        (lambda: Explorer(source, Bar, {"step": 3}), "controls must be sliders, choices and but"),
        (lambda: Explorer(source, Bar, {"a b": Slider("s", [1])}), "controls must be sliders"),
        (lambda: Job(3), "work must be a function of progress and stop, got 3"),
        (lambda: Job(print, on_done=3), "on_done must be a function"),
    ],
)
def test_impossible_arguments_are_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        call()


def test_numpy_values_become_python_values() -> None:
    slider = Slider("step", np.arange(3), np.int64(2))
    assert (slider.values, slider.start) == ([0, 1, 2], 2)
    assert all(type(value) is int for value in [*slider.values, slider.start])
    assert MultiChoice("marks", ["a", "b"], "b").start == ("b",)


def test_offers_that_cannot_be_shown_are_refused(explorer: Explorer) -> None:
    with pytest.raises(UnknownName, match="unknown control 'stop'; known: kind, step"):
        explorer.offer("stop", [1])
    with pytest.raises(UnknownName, match="unknown control 'seed'"):
        explorer.set(step=1, seed=3)
    with pytest.raises(InvalidInput, match="needs a list of one value or more"):
        explorer.offer("step", [])
    with pytest.raises(ValueNotOffered, match="step must be one of 5, 6; got 0"):
        explorer.offer("step", [5, 6])
    assert explorer.controls["step"].values == [0, 1, 3]
    explorer.offer("step", [5, 6], 6)
    assert explorer.state["step"] == 6


@pytest.mark.parametrize("name", ["bar.jpeg", "", "bar"])
def test_files_of_other_formats_are_refused(name: str, explorer: Explorer) -> None:
    with pytest.raises(InvalidInput, match=r"unknown file format|out must be a path"):
        explorer.save(name)
