"""Comparisons: every row has the same protocol, and the baselines are what their names say."""

from __future__ import annotations

import numpy as np
import torch

from explore.core.runs import stream_seed
from explore.data import DistilledSet, ImageSet, load
from explore.distill import EvaluationProtocol
from explore.distill.evaluation.fair_comparison import compare, starting_points
from explore.models.convnet import ConvNet
from explore.models.training import Fit, accuracy


def few(digits: ImageSet, n: int, start: int = 0) -> DistilledSet:
    rows = slice(start, start + n)
    return DistilledSet(
        digits.batch(rows), digits.labels[rows], digits.class_names, digits.mean, digits.std
    )


def test_a_row_equals_the_result_of_a_plain_training() -> None:
    digits, test = load("digits"), load("digits", "test").subset(slice(0, 50))
    distilled = few(digits, 20)
    result = compare(
        {"own": distilled}, test, EvaluationProtocol(networks=2, seed=3, epochs=3, width=8)
    )
    for number in range(2):
        seed = stream_seed(3, "evaluation", number)
        network = ConvNet(1, 10, 16, width=8, seed=seed)
        Fit(network, distilled.images, distilled.labels, epochs=3, seed=seed).run()
        assert (
            np.float32(accuracy(network, test.batch(), test.labels))
            == result.accuracy.values[0, number]
        )


def test_sets_of_one_name_take_turns() -> None:
    digits, test = load("digits"), load("digits", "test").subset(slice(0, 100))
    a, b = few(digits, 20), few(digits, 20, 40)
    result = compare(
        {"a": a, "b": b, "both": [a, b]}, test, EvaluationProtocol(networks=3, epochs=4, width=8)
    ).accuracy
    assert not np.array_equal(result.sel(set="a"), result.sel(set="b"))
    for number in range(3):
        assert result.sel(set="both")[number] == result.sel(set="ab"[number % 2])[number]


def test_the_baselines_are_random_herding_and_class_means() -> None:
    digits = load("digits").subset(slice(0, 300))
    baselines = starting_points(digits, seed=1)
    assert list(baselines) == ["random", "herding = k-center", "class mean"]
    (mean,) = baselines["class mean"]
    assert mean.labels.tolist() == list(range(10))
    assert torch.allclose(mean.images[4], digits.batch()[digits.labels == 4].mean(0), atol=1e-6)
    draws = baselines["random"]
    assert len({draw.sha256 for draw in draws}) == 5
    (herded,) = baselines["herding = k-center"]
    real = digits.batch()[digits.labels == 7]
    nearest = (real - real.mean(0)).flatten(1).norm(dim=1).argmin()
    assert torch.equal(herded.images[herded.labels == 7][0], real[nearest])


def test_a_stopped_comparison_returns_its_finished_accuracies() -> None:
    digits, test = load("digits"), load("digits", "test").subset(slice(0, 20))
    distilled, messages = few(digits, 10), []
    protocol = EvaluationProtocol(networks=2, epochs=1, width=8)
    result = compare(
        {"a": distilled, "b": distilled},
        test,
        protocol,
        progress=lambda *report: messages.append(report[2]),
        stop=lambda: len(messages) >= 1,
    )
    assert np.isfinite(result.accuracy.values).tolist() == [[True, False], [False, False]]
    assert result.attrs["protocol"]["epochs"] == 1
