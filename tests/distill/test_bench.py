"""The benchmark measures the same loss in every form, and prints what it measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from explore.data import load
from explore.distill.bench import evaluation as bench_evaluation
from explore.distill.bench.matching import main, our_loss, plain_loss
from explore.distill.matching import attention_matching_loss
from explore.models.convnet import ConvNet


def test_plain_form_ours_and_the_public_loss_agree() -> None:
    network = ConvNet(3, 3, 16, width=8).requires_grad_(False)
    real, synthetic = torch.randn(12, 3, 16, 16), torch.randn(3, 3, 16, 16)
    plain, ours = (float(form(network, real, synthetic, 3)) for form in (plain_loss, our_loss))
    assert ours == pytest.approx(plain, rel=1e-5)
    public = 0.0
    for k in range(3):
        taps = [network.taps_and_embed(x) for x in (real[4 * k : 4 * k + 4], synthetic[k : k + 1])]
        public += float(
            attention_matching_loss(*([*maps[:-1], embedding] for maps, embedding in taps)).detach()
        )
    assert public == pytest.approx(plain, rel=1e-5)


def test_it_prints_seconds_ratio_and_limit(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    main(
        [
            "--rounds",
            "1",
            "--size",
            "16",
            "--width",
            "8",
            "--batch",
            "2",
            "--json",
            str(tmp_path / "b.json"),
        ]
    )
    said = capsys.readouterr().out
    assert "plain / explore:" in said
    assert "convolutions alone" in said
    found = json.loads((tmp_path / "b.json").read_text())
    assert found["relative_difference"] < 1e-5
    assert found["speedup"] > 0


def test_both_trainings_end_in_the_same_weights_and_scores() -> None:
    x, y = (
        torch.randn(20, 1, 16, 16, generator=torch.Generator().manual_seed(0)),
        torch.arange(20) % 10,
    )
    plain, ours = (ConvNet(1, 10, 16, width=8, seed=1) for _ in range(2))
    bench_evaluation.plain_training(plain, x, y, 5)
    bench_evaluation.our_training(ours, x, y, 5)
    for a, b in zip(plain.parameters(), ours.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    test = load("digits", "test")
    assert bench_evaluation.plain_score(ours, test) == pytest.approx(
        bench_evaluation.scored(ours, test), abs=0.003
    )


def test_the_evaluation_benchmark_prints_seconds_and_ratios(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bench_evaluation.main(
        ["--rounds", "1", "--size", "8", "--width", "4", "--images", "10", "--epochs", "1"]
    )
    said = capsys.readouterr().out
    assert "training, plain / explore:" in said
    assert "scoring, plain / explore:" in said
