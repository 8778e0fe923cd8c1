"""The benchmark compares equal results, and prints what it measured."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from explore.mixtures import load_mixture, pdf_angle, reduce
from explore.mixtures.bench import reduction as bench
from explore.mixtures.bench.reference import plain_greedy
from explore.mixtures.figures.cost import Costs, costs, exponent


@pytest.mark.parametrize("criterion", ["angle", "ise"])
@pytest.mark.parametrize("dimension", [1, 2, 4])
def test_the_reference_and_the_reduction_take_the_same_path(criterion: str, dimension: int) -> None:
    mixture = load_mixture("random", components=25, dimension=dimension, seed=3)
    expected, path = plain_greedy(mixture, 4, criterion)
    reduction = reduce(mixture, 4, "oggmr", criterion=criterion, refine="none")
    assert [(step.i, step.j) for step in reduction.path] == [step[:2] for step in path]
    assert [step.score for step in reduction.path] == pytest.approx(
        [step[2] for step in path], rel=1e-6, abs=1e-9
    )
    assert bench.largest_difference(expected, reduction.mixture) < 1e-10


def test_other_packages_reduce_the_same_mixture() -> None:
    mixture = load_mixture("random", components=20, dimension=2)
    tracker = bench.nrl_runnalls(mixture, 5)
    assert bench.largest_difference(tracker, reduce(mixture, 5, "runnalls").mixture) < 1e-6
    soup = bench.stone_soup(mixture, 5)
    assert 1 <= len(soup) <= 5
    assert 0 < pdf_angle(mixture, soup) < np.pi / 2


def test_unlike_results_differ() -> None:
    mixture = load_mixture("claw")
    assert bench.largest_difference(mixture, reduce(mixture, 3, "runnalls").mixture) == float("inf")
    assert bench.largest_difference(mixture, mixture.affine([[1.001]])) > 1e-4


def test_the_exponent_is_that_of_a_power() -> None:
    sizes = np.array([10, 20, 50, 100])
    assert exponent(sizes, 3e-5 * sizes**2.5) == pytest.approx(2.5)


@pytest.mark.slow
def test_the_benchmark_prints_ratios_and_exponents_and_draws(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "measure", partial(bench.measure, sizes=(20, 25, 30, 35)))
    json_file, figure = tmp_path / "values.json", tmp_path / "cost.png"
    bench.main(["--rounds", "1", "--json", str(json_file), "--figure", str(figure)])
    text = capsys.readouterr().out
    assert "nrl-tracker / explore, Runnalls:" in text
    assert "plain / explore:" in text
    assert "N^" in text
    values = json.loads(json_file.read_text())
    assert values["difference_from_nrl_tracker"] < 1e-6
    assert values["difference_from_plain"] < 1e-9
    packages = {"nrl-tracker", "stone soup", "plain"}
    assert set(values["seconds"]) >= {*packages, "runnalls", "oggmr 200", "ise-local 1000"}
    assert figure.stat().st_size > 1000


def test_the_picture_of_costs_describes_the_powers() -> None:
    data = costs([10, 20, 100, 200], {"one": [0.1, 0.4, 10.0, 40.0], "two": [0.1, 0.2, 1.0, 2.0]})
    assert "one 40 s at 200, growing with N^2.0; two 2 s at 200, growing with N^1.0" in Costs(
        data
    ).describe(data)
    assert Costs(data).table(data)["one, s"].tolist() == [0.1, 0.4, 10.0, 40.0]
