"""The benchmark measures the same loss in every form, and prints what it measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from explore.data import load
from explore.distill.bench import evaluation, matching
from explore.distill.evaluation.run import measure_accuracy
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
