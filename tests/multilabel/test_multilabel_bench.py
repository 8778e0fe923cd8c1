"""The benchmark of the losses: the loop has the loss and gradients of the package, labels are as in COCO, and the command prints its numbers."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import torch

from explore.cli import main as cli
from explore.core import registry
from explore.errors import InvalidInput
from explore.multilabel.bench import losses, memory
from explore.multilabel.bench.inputs import (
    generate_density_mixture,
    generate_kernel_mixture,
    generate_labels,
)
from explore.multilabel.bench.reference import looped_kmcl_loss
from explore.multilabel.kernel_mixture import KernelMixture
from explore.multilabel.kmcl import kmcl_loss

pytestmark = pytest.mark.usefixtures("_one_thread")


def double_mixture() -> KernelMixture:
    """Return a small isotropic mixture in double precision that needs gradients."""
    mixture = generate_kernel_mixture(9, 6, 12)
    return KernelMixture(*(values.detach().double().requires_grad_() for values in mixture))


@pytest.mark.parametrize("loops_over_pairs", [True, False])
def test_the_loop_has_the_loss_and_the_gradients_of_the_package(loops_over_pairs: bool) -> None:
    mixture, labels = double_mixture(), generate_labels(9, 6)
    total = kmcl_loss(mixture, labels)["total"]
    looped = looped_kmcl_loss(mixture, labels.double(), loops_over_pairs=loops_over_pairs)
    assert looped.item() == pytest.approx(total.item(), rel=1e-6)  # correlations are float32
    for first, second in zip(
        torch.autograd.grad(looped, mixture), torch.autograd.grad(total, mixture), strict=True
    ):
        torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-9)


def test_a_sample_without_positives_is_left_out_of_the_loop() -> None:
    mixture = KernelMixture(*(values[:3] for values in double_mixture()))
    labels = torch.eye(6)[[0, 0, 1]]
    total = kmcl_loss(mixture, labels)["total"]
    assert looped_kmcl_loss(mixture, labels.double()).item() == pytest.approx(total.item())


def test_another_loss_is_refused_before_it_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    mixture, labels = double_mixture(), generate_labels(9, 6)
    assert losses.check_same_loss(mixture, labels) < 1e-6
    monkeypatch.setattr(
        losses, "kmcl_loss", lambda *arguments: kmcl_loss(*arguments, temperature=0.18)
    )
    with pytest.raises(InvalidInput, match="that of the loop over anchors"):
        losses.check_same_loss(mixture, labels)


def test_labels_are_about_three_a_sample_and_few_are_frequent() -> None:
    labels = generate_labels(2000, 80)
    counts = labels.sum(1)
    assert (counts.min().item(), counts.max().item()) == (1, 5)
    assert counts.mean().item() == pytest.approx(3, abs=0.1)
    shares = labels.mean(0)
    assert shares[0] > 0.4
    assert 0 < shares[40:].max() < 0.03
    assert generate_labels(20, 3).sum(1).max() == 3


def test_the_inputs_are_leaves_that_need_gradients() -> None:
    for mixture in (
        generate_kernel_mixture(3, 4, 5, "anisotropic", 2),
        generate_density_mixture(3, 4, 2),
    ):
        assert all(values.is_leaf and values.requires_grad for values in mixture)


def test_memory_grows_with_the_chunk_and_with_the_batch() -> None:
    # One chunk of 64² · 3 rows of 64 values holds about 25 arrays of 3 MB more than a small one.
    small, large = (memory.measure_memory(64, 40, 256, size)["bytes"] for size in (2**18, 2**30))
    assert 0 < small < large


@pytest.mark.parametrize(("stderr", "message"), [("a\nKilled\n", "Killed"), ("", "no message")])
def test_a_failed_measurement_of_memory_says_why(
    stderr: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = subprocess.CompletedProcess([], 137, "", stderr)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: process)
    with pytest.raises(InvalidInput, match=f"of memory ended with 137: {message}"):
        memory.measure_memory(4, 2, 3)


def test_the_exponent_is_the_slope_of_logarithms(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {"1": [3.0], "2": [12.0], "4": [48.0]}
    monkeypatch.setattr(losses.benchmark, "time_rounds", lambda *_, **__: seconds)
    sizes = {1: (1, 5), 2: (2, 5), 4: (4, 5)}
    result = losses.time_sizes(lambda batch, labels: lambda: None, sizes, 1)
    assert result["exponent"] == pytest.approx(2)
    assert result["seconds"] == {"1": 3.0, "2": 12.0, "4": 48.0}


def test_the_command_prints_ratios_memory_and_exponents(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "losses.json"
    with pytest.raises(SystemExit) as exit_info:
        cli.main(["bench", "multilabel", "--quick", "--json", str(file)])
    assert not exit_info.value.code
    text = capsys.readouterr().out
    assert "loop over anchors, positives and labels / explore: " in text
    assert text.count("; exponent ") == 6
    values = json.loads(file.read_text())
    assert values["loops"]["difference"] < losses.TOLERANCE
    assert values["memory"]["in chunks"]["seconds"] > 0
    assert len(values["sizes"]) == 6


def test_the_methods_of_both_losses_have_the_benchmark() -> None:
    timed = {name for name, bench in registry.benchmarks().items() if ".multilabel." in bench}
    assert timed == {"multilabel", "kmcl", "kmcl-constant", "probmcl"}
