"""The benchmark measures the same loss in every form, and prints what it measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from explore.data import load
from explore.distill.bench import evaluation, matching, trajectories
from explore.distill.evaluation.run import measure_accuracy
from explore.distill.figures.gradient_costs import GradientCosts, gradient_costs
from explore.distill.matching_loss import attention_matching_loss
from explore.models.convnet import ConvNet


def test_all_forms_of_the_loss_agree() -> None:
    network = ConvNet(3, 3, 16, width=8).requires_grad_(False)
    real, synthetic = torch.randn(12, 3, 16, 16), torch.randn(3, 3, 16, 16)
    plain = float(matching.plain_loss(network, real, synthetic, 3))
    computed = float(matching.explore_loss(network, real, synthetic, 3))
    assert computed == pytest.approx(plain, rel=1e-5)
    public = 0.0
    for k in range(3):
        taps = [network.taps_and_embed(x) for x in (real[4 * k : 4 * k + 4], synthetic[k : k + 1])]
        public += float(
            attention_matching_loss(*([*maps[:-1], embedding] for maps, embedding in taps)).detach()
        )
    assert public == pytest.approx(plain, rel=1e-5)


def test_the_step_benchmark_prints_seconds_ratio_and_limit(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "values.json"
    options = "--rounds 1 --size 16 --width 8 --batch 2 --json"
    matching.main([*options.split(), str(path)])
    text = capsys.readouterr().out
    assert "plain / explore:" in text
    assert "convolutions alone" in text
    values = json.loads(path.read_text())
    assert values["relative_difference"] < 1e-5
    assert values["speedup"] > 0


def test_both_trainings_end_with_the_same_weights_and_accuracies() -> None:
    x, y = (
        torch.randn(20, 1, 16, 16, generator=torch.Generator().manual_seed(0)),
        torch.arange(20) % 10,
    )
    plain, trained = (ConvNet(1, 10, 16, width=8, seed=1) for _ in range(2))
    evaluation.plain_training(plain, x, y, 5)
    evaluation.explore_training(trained, x, y, 5)
    for a, b in zip(plain.parameters(), trained.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    test = load("digits", "test")
    assert evaluation.plain_accuracy(trained, test) == pytest.approx(
        measure_accuracy(trained, test), abs=0.003
    )


def test_the_evaluation_benchmark_prints_seconds_and_ratios(
    capsys: pytest.CaptureFixture[str],
) -> None:
    evaluation.main(
        ["--rounds", "1", "--size", "8", "--width", "4", "--images", "10", "--epochs", "1"]
    )
    text = capsys.readouterr().out
    assert "training, plain / explore:" in text
    assert "scoring, plain / explore:" in text


def test_the_benchmark_of_trajectories_prints_and_draws_all_gradients(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    json_file, figure = tmp_path / "values.json", tmp_path / "costs.csv"
    options = "--rounds 1 --width 4 --steps 1,3"
    trajectories.main([*options.split(), "--json", str(json_file), "--figure", str(figure)])
    text = capsys.readouterr().out
    assert "adjoint / unroll:" in text
    measures = json.loads(json_file.read_text())["measures"]
    # One step is exact for all; for three, TESLA's sum is an approximation.
    assert max(measures[kind]["deviation"][0] for kind in measures) < 1e-4
    assert measures["adjoint"]["deviation"][1] < 1e-3 < measures["tesla"]["deviation"][1]
    assert len(figure.read_text().splitlines()) == 7


def test_the_picture_of_costs_describes_the_last_numbers() -> None:
    one = {"seconds": [1.0, 2.0], "memory": [10.0, 30.0], "deviation": [1e-6, 1e-5]}
    data = gradient_costs([5, 40], {"adjoint": one, "tesla": {**one, "deviation": [0.1, 0.4]}})
    text = GradientCosts(data).describe(data)
    assert "with 40 steps of the student: adjoint 2.00 s, 30 MB, deviation 1.0e-05" in text
    assert GradientCosts(data).table(data)["added memory, MB"].tolist() == [10, 30, 10, 30]
