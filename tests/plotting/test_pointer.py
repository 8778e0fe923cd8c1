"""The value under the pointer: of curves in the unit of their ticks, and of the cells of maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from explore.plotting.pointer import value_at


def figure_of(values: np.ndarray, origin: str) -> Figure:
    figure = Figure(figsize=(4, 3), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(values, origin=origin, aspect="auto")
    return figure


@pytest.mark.parametrize("origin", ["upper", "lower"])
def test_every_cell_of_a_map_tells_its_value(origin: str) -> None:
    values = np.arange(12.0).reshape(3, 4)
    figure = figure_of(values, origin)
    shown = values if origin == "upper" else values[::-1]
    for i in range(3):
        for j in range(4):
            assert value_at(figure, (j + 0.5) / 4, (i + 0.5) / 3) == f"{shown[i, j]:g}"


def test_cells_without_a_value_and_photographs_say_nothing() -> None:
    values = np.full((2, 2), np.nan)
    assert value_at(figure_of(values, "upper"), 0.2, 0.2) == ""
    assert value_at(figure_of(np.zeros((2, 2, 3)), "upper"), 0.2, 0.2) == ""


def test_the_closest_point_of_the_closest_curve_is_named() -> None:
    figure = Figure(figsize=(4, 4), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1), xlabel="training\nstep", ylabel="accuracy")
    axes.plot([0, 1, 2], [0.2, 0.2, 0.2], label="DM")
    axes.plot([0, 1, 2], [0.8, 0.8, 0.75], label="SKD")
    axes.axhline(0.5)
    axes.set(xlim=(0, 2), ylim=(0, 1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    assert value_at(figure, 0.49, 0.21) == "SKD\ntraining step 1\naccuracy 80%"
    assert value_at(figure, 0.99, 0.79) == "DM\ntraining step 2\naccuracy 20%"
    assert value_at(figure, 0.25, 0.5) == ""


@pytest.mark.parametrize(
    ("formatter", "text"),
    [
        (PercentFormatter(1), "y 50%"),
        (PercentFormatter(100), "y 0.5%"),
        (lambda value, _: f"{value:.0%}", "y 50%"),
        (lambda value, _: f"{100 * value:.4g}%", "y 50%"),
        (lambda value, _: f"{value:g}%", "y 0.5%"),
    ],
)
def test_percentages_are_those_of_the_ticks(formatter: Any, text: str) -> None:
    figure = Figure(figsize=(4, 4), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.plot([0, 1], [0.5, 0.5])
    axes.yaxis.set_major_formatter(formatter)
    assert value_at(figure, 0.05, 0.5).endswith(text)


def test_ticks_with_names_are_named() -> None:
    figure = Figure(figsize=(4, 4), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1), xlabel="score")
    axes.plot([0.2, 0.8], [0.1, 0.9], "o")
    axes.set(xlim=(0, 1), ylim=(-0.5, 1.5))
    axes.set_yticks([0, 1], ["random", "herding"])
    assert value_at(figure, 0.8, 0.3) == "score 0.8\nherding"
    assert value_at(figure, 0.2, 0.7) == "score 0.2\nrandom"
    axes.set_xticks([0.2, 0.8], ["16", "32"])
    axes.set_ylabel("chosen by")
    assert value_at(figure, 0.8, 0.3) == "score 32\nchosen by herding"


def test_a_curve_with_gaps_has_no_value_there() -> None:
    figure = Figure(figsize=(4, 4), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1), xlabel="x", ylabel="y")
    axes.plot([0, 1, 2], [0.5, np.nan, 0.5])
    axes.set(xlim=(0, 2), ylim=(0, 1))
    assert value_at(figure, 0.5, 0.5) == ""
    assert value_at(figure, 0.0, 0.5) == "x 0\ny 0.5"
